"""Names of models, tasks and pairs as names of files."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from halueval.report.site.names import slug, slugs

HARMLESS = re.compile(r"[a-z0-9][a-z0-9._-]*")


@given(st.text())
@example("../../etc/passwd")
@example("CON")
@example("nul.txt")
@example("a" * 1_000_000)
@example("\ud800")
@example("..")
@example("index")
@example("x.")
def test_a_slug_is_a_harmless_file_name(name):
    made = slug(name)
    assert HARMLESS.fullmatch(made)
    assert len(made) <= 60
    assert ".." not in made
    assert not made.endswith(".")
    assert made.partition(".")[0] not in {"con", "prn", "aux", "nul", "com1", "lpt1", "index"}
    assert slug(made) == made


def test_a_harmless_name_is_its_own_slug_and_others_carry_a_digest():
    assert slug("smollm2-135m-instruct") == "smollm2-135m-instruct"
    # sha256("Qwen/Qwen2.5-7B") begins with these digits
    assert slug("Qwen/Qwen2.5-7B") == "qwen-qwen2-5-7b-" + _sha("Qwen/Qwen2.5-7B")[:10]
    assert slug("模型") == "x-" + _sha("模型")[:10]


@given(st.lists(st.text(alphabet="aA/-é ", min_size=1, max_size=6)))
def test_no_two_names_share_a_slug_even_where_case_is_folded(names):
    made = slugs(names)
    assert set(made) == set(names)
    assert len({one.lower() for one in made.values()}) == len(made)
    assert made == slugs(reversed(names))


def test_a_name_that_looks_like_anothers_slug_keeps_its_own():
    clash = slug("a/b")
    assert slugs(["a/b", clash]) == {clash: clash, "a/b": "a-b-" + _sha("a/b")[:20]}


def _sha(text):
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()
