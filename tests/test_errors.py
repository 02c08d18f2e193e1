"""What an unknown name is answered with: a name that it may be a slip of the pen for, or the choices."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.errors import MOST_SHOWN, nearest

KEYS = ("about", "citation", "columns", "label", "labels", "license", "name", "order", "seed", "texts")


@pytest.mark.parametrize(
    ("name", "choices", "suggested"),
    [
        ("abut", KEYS, ["about"]),
        ("abuot", KEYS, ["about"]),
        ("lable", KEYS, ["label", "labels"]),
        ("licence", KEYS, ["license"]),
        ("sed", KEYS, ["seed"]),
        ("text", KEYS, ["texts"]),
        ("lables", KEYS, ["labels", "label"]),
        ("rum", ("run", "diff", "pull"), ["run"]),
        ("alfa", ("alpha", "share"), ["alpha"]),
        ("summac", ("summac_zs", "minicheck"), ["summac_zs"]),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(name, choices, suggested):
    assert nearest(name, choices) == "; did you mean " + " or ".join(map(repr, suggested)) + "?"


@pytest.mark.parametrize("name", ["bogus", "other", "colour", "notes", "system", "thing", "x", ""])
def test_a_name_that_is_near_none_is_answered_with_the_choices(name):
    assert nearest(name, KEYS) == f"; choose from: {', '.join(KEYS[:MOST_SHOWN])}, …"
    assert nearest(name, ["labels", "about"]) == "; choose from: about, labels"
    assert nearest(name, []) == ""


words = st.text("abcdeo_", max_size=8)


@given(words, st.lists(words.filter(bool), max_size=12))
def test_only_choices_are_named_and_an_order_of_them_means_nothing(name, choices):
    hint = nearest(name, choices)
    assert hint == nearest(name, choices[::-1])
    assert (hint == "") == (not choices)
    if hint.startswith("; did you mean "):
        assert 1 <= len(found := re.findall(r"'(\w+)'", hint)) <= 2
        assert set(found) <= set(choices)
    elif hint:
        assert set(hint.removeprefix("; choose from: ").removesuffix(", …").split(", ")) <= set(choices)


@given(st.lists(words.filter(lambda word: len(word) > 1), min_size=1, max_size=12, unique=True), st.data())
def test_a_letter_doubled_is_always_seen(choices, data):
    wanted = data.draw(st.sampled_from(choices))
    at = data.draw(st.integers(0, len(wanted) - 1))
    slip = wanted[:at] + wanted[at] + wanted[at:]
    assert nearest(slip, choices).startswith("; did you mean ")
