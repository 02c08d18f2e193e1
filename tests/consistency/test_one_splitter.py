"""All scorers, and the strata of annotated sets, see the same sentences, in lower-cased and tokenised text too."""

import pytest
from neural_models import scripted

from halueval.annotated.sets import AnnotatedRow
from halueval.annotated.strata import sentence_masks
from halueval.consistency.base import Pair
from halueval.consistency.bm25 import passages
from halueval.consistency.catalog import create
from halueval.consistency.facts import split_facts
from halueval.consistency.hhem import HHEM
from halueval.consistency.judge import Judge, prompt
from halueval.consistency.local_model import Scored
from halueval.consistency.minicheck import chunk

TEXTS = (
    ("the man went home . he slept well .", ["the man went home .", "he slept well ."]),
    ("the man went home. he slept well.", ["the man went home.", "he slept well."]),
    ("The man went home. He slept well.", ["The man went home.", "He slept well."]),
)


@pytest.mark.parametrize(("text", "expected"), TEXTS)
@pytest.mark.parametrize("name", ["nli", "summac_zs", "alignscore"])
def test_grids_have_the_claims_sentences(name, text, expected):
    scorer = scripted(create(name, {"model": "m"}), lambda p, h: (1.0, 0.0, 0.0))
    assert list(scorer.grid(Pair(text, text)).sentences) == expected


def test_of_summac_short_sentences_are_still_left_out():
    scorer = scripted(create("summac_zs", {"model": "m"}), lambda p, h: (1.0, 0.0, 0.0))
    assert scorer.grid(Pair("a b c d e f g .", "he slept . she went to the market .")).sentences == (
        "she went to the market .",
    )


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_pieces_facts_and_strata_have_them(text, expected):
    assert list(chunk(text, lambda s: len(s.split()), 3)) == expected
    assert split_facts(text) == expected
    row = AnnotatedRow((text,), text, 1.0, True, "d", "test")
    assert list(sentence_masks([row])) == ["2"]


def test_passages_end_where_a_sentence_does():
    text = "the man went home and slept well . " * 60
    assert all(passage.endswith(" .") for passage in passages(text))


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_judge_and_hhem_ask_about_each(monkeypatch, text, expected):
    asked = []
    judge = Judge("m", by_sentence=True)
    monkeypatch.setattr(judge, "_answers", lambda prompts: asked.extend(prompts) or [judge._read("")] * len(prompts))
    judge.score([Pair("A source.", text)])
    assert asked == [prompt("A source.", sentence) for sentence in expected]
    hhem = HHEM("m", by_sentence=True)
    monkeypatch.setattr(hhem, "ask", lambda items: [Scored((0.5, 0.5)) for _ in items])
    (verdict,) = hhem.score([Pair("A source.", text)])
    assert [s.text for s in verdict.sentences] == expected
