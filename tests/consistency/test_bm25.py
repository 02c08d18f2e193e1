"""Passages and BM25, by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.consistency.bm25 import MAX_WORDS, Index, passages


def test_scores_by_hand():
    # Two passages of 2 and 4 words, mean 3. "b" stands in one of two: ln(1 + 1.5/1.5) = ln 2; twice in a passage of
    # 4 words: 2 · 2.5/(2 + 1.5 · (.25 + .75 · 4/3)) = 5/3.875. "a" stands in both: ln(1 + .5/2.5) = ln 1.2.
    index = Index(["a c", "a b b d"])
    rare, common = math.log(2), math.log(1.2)
    first = common * 2.5 / (1 + 1.5 * (0.25 + 0.75 * 2 / 3))
    second = common * 2.5 / (1 + 1.875) + rare * 5 / 3.875
    assert index.scores("A, b!") == pytest.approx([first, second])
    assert index.scores("b b") == pytest.approx([0, 2 * rare * 5 / 3.875])
    assert index.scores("nothing") == [0, 0]


def test_best_first_equal_ones_in_order_and_all_where_k_is_larger():
    index = Index(["x", "y", "x", "z z"])
    assert index.best("z x", 3) == ["z z", "x", "x"]
    assert index.best("absent", 2) == ["x", "y"]
    assert index.best("y", 9)[0] == "y"
    assert len(index.best("y", 9)) == 4


def test_passages_hold_whole_sentences():
    sentence = "Word " * 99 + "end."
    assert passages(" ".join([sentence] * 5)) == [f"{sentence} {sentence}", f"{sentence} {sentence}", sentence]
    assert passages("One. Two.", title=" T ") == ["T\nOne. Two."]
    assert passages(" \n") == []


def test_a_sentence_beyond_the_limit_is_cut_by_words():
    long = " ".join(str(i) for i in range(600))
    assert [len(p.split()) for p in passages(long)] == [256, 256, 88]
    assert [len(p) for p in passages("字" * 300, "zh")] == [256, 44]


def test_chinese_is_searched_by_characters():
    assert Index(["上海在东部。", "北京是首都。"], "zh").best("首都", 1) == ["北京是首都。"]


@given(st.lists(st.text(alphabet="ab .", max_size=30), max_size=20))
def test_no_word_is_lost_and_no_passage_too_long(sentences):
    text = ". ".join(sentences)
    found = passages(text)
    assert " ".join(found).split() == text.split()
    assert all(len(p.split()) <= MAX_WORDS for p in found)
