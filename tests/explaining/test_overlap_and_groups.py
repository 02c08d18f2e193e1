"""Overlap of items with training data, and rates of groups, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.explaining.generalisation import group_rates, relation_contrast, seen_contrast
from halueval.explaining.items import Item, items_of
from halueval.explaining.overlap import near_duplicates, no_overlap, overlap, seen
from halueval.explaining.training import TrainingText


def item(question="Q: Who wrote the book Emma?\nA:", target="Austen", *, base="correct", candidate="correct", **group):
    return Item(question, target, group.pop("doc_hash", "d"), group, base, candidate)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (TrainingText("q: who wrote the book  emma\na:", " Austen"), True),  # equal but for case and punctuation
        (TrainingText("Answer this. Q: Who wrote the book Emma?\nA:", " Austen"), True),  # inside a longer prompt
        (TrainingText("x", "y", question="Who wrote the book Emma?"), True),  # the bare question inside the item's
        (TrainingText("", "In short: Q: Who wrote the book Emma?\nA: Austen"), True),  # inside a running text
        (TrainingText("x", "y", doc_hash="d"), True),  # the same row
        (TrainingText("Q: Who wrote the book Persuasion?\nA:", " Austen"), False),
        (TrainingText("who", "x"), False),  # too short to be looked for inside
    ],
)
def test_what_counts_as_seen(text, held):
    assert seen([item()], [text], "en") == [held]


def test_an_instruction_before_all_items_is_nobodys_question():
    texts = [TrainingText("Answer the following question briefly.", f" {i}") for i in range(4)]
    items = [item("Answer the following question briefly. Q: Who wrote Emma?\nA:")]
    assert seen(items, texts, "en") == [False]
    assert seen(items, texts[:3], "en") == [True]


def test_overlap_shares():
    long = "one two three four five six seven eight nine ten eleven twelve thirteen"
    items = [
        item(long, "fourteen"),
        item("alpha beta gamma delta epsilon zeta eta theta iota", "kappa"),
        item("short", "x"),
    ]
    found = overlap(items, [TrainingText(long + " fourteen and", "more"), TrainingText("q", "w")], "en")
    assert (found["containment_13"]["value"], found["containment_13"]["n"]) == (1.0, 1)
    assert (found["containment_8"]["value"], found["containment_8"]["n"]) == (0.5, 2)
    assert found["exact"]["value"] == pytest.approx(1 / 3)
    assert found["exact"]["ci_low"] == pytest.approx(0.0615, abs=1e-3)  # Wilson, 1 of 3
    # Twelve 3-grams of the item, all in the example's fourteen: 12/14 = .857
    assert found["near_duplicate"]["value"] == pytest.approx(1 / 3)


def test_items_too_short_for_an_ngram_give_a_reason():
    found = overlap([item("a b", "c")], [TrainingText("x", "y")], "en")
    assert found["containment_13"]["value"] is None
    assert found["containment_13"]["reason"] == "no item has 13 words"
    assert set(found) == set(no_overlap("x"))


words = st.lists(st.sampled_from("abcde"), max_size=12)


@settings(deadline=None, max_examples=60)
@given(st.lists(words, max_size=6), st.lists(words, max_size=6))
def test_prefix_filtering_finds_what_brute_force_finds(left, right):
    def grams(text):
        return {tuple(text[i : i + 3]) for i in range(len(text) - 2)} or ({tuple(text)} if text else set())

    def near(a, b):
        return bool(a | b) and len(a & b) / len(a | b) >= 0.8

    assert near_duplicates(left, right) == [any(near(grams(a), grams(b)) for b in right) for a in left]


def test_rates_of_a_group_by_hand():
    items = [item(base="correct", candidate="hallucinated")] * 3
    items += [item(base="hallucinated", candidate="correct")]
    items += [item(base="abstained", candidate="abstained"), item(base="unscored", candidate="correct")]
    rates = group_rates(items)
    assert rates["n"] == 5
    assert rates["accuracy_base"]["value"] == 0.6
    assert rates["accuracy_candidate"]["value"] == 0.2
    assert rates["accuracy_change"]["value"] == pytest.approx(-0.4)
    assert rates["accuracy_change"]["p_value"] == pytest.approx(0.625)  # 1 against 3: 2·(1 + 4)/16
    assert rates["hallucination_change"]["value"] == pytest.approx(0.4)
    assert (rates["induced_rate"]["value"], rates["induced_rate"]["n"]) == (0.75, 4)


def test_unseen_against_seen():
    items = [item()] * 4 + [item(candidate="hallucinated")] * 4
    contrast = seen_contrast(items, [True] * 4 + [False] * 4)
    assert contrast["accuracy_difference"]["value"] == -1.0
    assert contrast["accuracy_difference"]["p_value"] == pytest.approx(2 / 70)
    assert contrast["induced_difference"]["value"] == 1.0


def test_a_contrast_with_an_empty_group_says_so():
    contrast = seen_contrast([item()] * 4, [False] * 4)
    assert contrast["accuracy_difference"]["value"] is None
    assert "seen" in contrast["reason"]
    assert contrast["groups"]["unseen"]["n"] == 4


def test_relations():
    items = [item(relation="capital"), item(relation="capital", candidate="hallucinated"), item(relation="author")]
    contrast = relation_contrast(items, [False, False, False], frozenset({"capital"}))
    assert {name: group["n"] for name, group in contrast["groups"].items()} == {
        "other relations": 1,
        "same relation": 2,
    }
    assert contrast["induced_difference"]["value"] == -0.5
    assert relation_contrast(items, [False] * 3, frozenset())["reason"] == "the training data has no column relation"
    assert "groups its items by none" in relation_contrast(items, [False] * 3, frozenset({"x"}))["reason"]


def test_the_items_own_question_is_behind_the_examples():
    sample = {
        "prompt": "Q: a?\nA: b\n\nQ: c?\nA:",
        "target": "d",
        "doc_hash": "h",
        "group": {},
        "base": {"state": "correct"},
        "candidate": {"state": "correct"},
    }
    assert items_of([sample], 1)[0].question == "Q: c?\nA:"
    assert items_of([sample], 0)[0].question == sample["prompt"]
