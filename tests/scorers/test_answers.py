"""Exact match, token F1, word and sentence accuracy, ROUGE."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import ABSTAINED, JUDGED, said, sample, value

from halueval.errors import UsageError
from halueval.scorers.exact_match import ExactMatch, SentenceAccuracy
from halueval.scorers.rouge import Rouge1, Rouge2, RougeL, RougeLsum
from halueval.scorers.token_f1 import TokenF1, token_f1
from halueval.scorers.word_accuracy import WordAccuracy, edit_distance

WORDS = st.lists(st.sampled_from("abcd"), max_size=9)


@pytest.mark.parametrize(
    ("response", "references", "expected"),
    [
        ("The Eiffel Tower.", ["eiffel tower"], 1.0),
        ("Tower", ["Eiffel Tower", "tower!"], 1.0),
        ("Eiffel", ["Eiffel Tower"], 0.0),
        ("", ["Eiffel Tower"], 0.0),
    ],
)
def test_exact_match(response, references, expected):
    assert value(ExactMatch(), response, references) == expected


def test_a_perfect_chinese_answer_is_a_match():
    assert value(ExactMatch(language="zh"), "《红楼梦》", ["红楼梦"]) == 1
    assert value(TokenF1(language="zh"), "红楼", ["红楼梦"]) == pytest.approx(0.8)  # 2·2/(2+3)


def test_abstaining_is_right_on_an_unanswerable_question_only():
    for scorer in (ExactMatch(), TokenF1()):
        assert value(scorer, "I don't know", [""], ABSTAINED) == 1
        assert value(scorer, "Paris", [""]) == 0
        assert value(scorer, "I don't know", ["Paris"], ABSTAINED) == 0


def test_options_of_the_harness_replace_squads_rule():
    # By hand from lm-evaluation-harness's order: expressions, case, punctuation, digits.
    assert value(ExactMatch(ignore_case=True), "THE cat", ["the cat"]) == 1
    assert value(ExactMatch(ignore_case=True), "the cat", ["cat"]) == 0  # articles stay
    assert value(ExactMatch(ignore_punctuation=True), "3,000", ["3000"]) == 1
    assert value(ExactMatch(ignore_numbers=True), "a1", ["a2"]) == 1
    assert value(ExactMatch(regexes_to_ignore=["<.*?>"]), "<b>x", ["x"]) == 1
    assert value(ExactMatch(ignore_case=False), "X", ["x"]) == 0


def test_a_broken_expression_is_named():
    with pytest.raises(UsageError, match=r"regexes_to_ignore: '\['"):
        ExactMatch(regexes_to_ignore=["["])


def test_token_f1_counts_multisets():
    assert token_f1("new york new york", "new york") == pytest.approx(2 / 3)
    assert token_f1("the", "a") == 0  # both normalise to nothing and differ
    assert token_f1("the", "the") == 1
    # "cat sat" against "cat sat mat": P = 1, R = 2/3, F1 = 0.8.
    assert value(TokenF1(), "the cat sat", ["dog", "a cat sat, mat"]) == pytest.approx(0.8)


@given(st.text(), st.text(), st.sampled_from(["en", "zh"]))
def test_token_f1_is_symmetric_and_bounded(left, right, language):
    f1 = token_f1(left, right, language)
    assert 0 <= f1 <= 1
    assert f1 == token_f1(right, left, language)
    assert token_f1(left, left, language) == 1


def table_distance(left, right):
    """Wagner and Fischer's table, the definition."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(WORDS, WORDS)
def test_edit_distance_equals_the_table(left, right):
    assert edit_distance(left, right) == table_distance(left, right)


@pytest.mark.parametrize(
    ("response", "references", "expected"),
    [
        ("the cat sat", ["the cat sat"], 1.0),
        ("the dog sat", ["the cat sat"], 2 / 3),
        ("the cat", ["the cat sat"], 2 / 3),
        ("a b c d e f g", ["x y"], 0.0),  # 1 - 7/2, clipped
        ("The cat sat", ["the cat sat"], 2 / 3),  # case counts
        ("b", ["a", "b"], 1.0),
        ("", ["a"], 0.0),
    ],
)
def test_word_accuracy(response, references, expected):
    assert value(WordAccuracy(), response, references) == pytest.approx(expected)


def test_word_accuracy_of_chinese_counts_characters():
    assert value(WordAccuracy(language="zh"), "北京市", ["北京"]) == pytest.approx(0.5)


def test_sentence_accuracy_squeezes_white_space_only():
    assert value(SentenceAccuracy(), " The  cat.\n", ["The cat."]) == 1
    assert value(SentenceAccuracy(), "the cat.", ["The cat."]) == 0


@pytest.mark.parametrize("scorer", [WordAccuracy(), SentenceAccuracy(), Rouge1()])
def test_without_reference_text_there_is_no_figure(scorer):
    score = scorer.score(sample([""]), said("x"), JUDGED)
    assert (score.value, score.reason) == (None, "no reference text")


def test_rouge_by_hand():
    # "the cat sat" / "the cat was": unigrams 2/3 both ways; bigrams 1/2; LCS 2/3.
    assert value(Rouge1(), "the cat sat", ["the cat was"]) == pytest.approx(2 / 3)
    assert value(Rouge2(), "the cat sat", ["the cat was"]) == pytest.approx(1 / 2)
    assert value(RougeL(), "the cat sat", ["the cat was"]) == pytest.approx(2 / 3)
    assert value(Rouge1(), "", ["the cat"]) == 0
    assert value(Rouge1(), "x", ["y", "x"]) == 1


def test_rouge_lsum_splits_at_line_breaks_only():
    # Sentences in the other order: one sequence has LCS 2 of 4; line by line each is found whole.
    assert value(RougeL(), "a b\nc d", ["c d\na b"]) == pytest.approx(0.5)
    assert value(RougeLsum(), "a b\nc d", ["c d\na b"]) == 1
    assert value(RougeLsum(), "a b. c d.", ["c d. a b."]) == pytest.approx(0.5)


def test_rouge_does_not_stem_unless_asked():
    assert value(Rouge1(), "running", ["run"]) == 0
    assert value(Rouge1(use_stemmer=True), "running", ["run"]) == 1
    with pytest.raises(UsageError, match="English only"):
        Rouge1(language="zh", use_stemmer=True)


def test_rouge_keeps_letters_of_other_scripts():
    assert value(Rouge1(language="zh"), "北京市", ["北京"]) == pytest.approx(0.8)
    assert value(Rouge1(language="fr"), "été", ["été"]) == 1
    assert value(Rouge1(language="fr"), "été", ["t"]) == 0  # rouge-score's own tokenizer makes "t" of both
