"""SelfCheckGPT: the authors' printed example, tiny ones by hand, and what order and faults do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.schema import Draw, Outcome, Score
from halueval.text import split_sentences
from halueval.uncertainty.measures import uncertainties
from halueval.uncertainty.selfcheck_embedding import selfcheck_embedding
from halueval.uncertainty.selfcheck_ngram import selfcheck_ngram
from halueval.uncertainty.selfcheck_nli import selfcheck_nli
from halueval.uncertainty.settings import UncertaintySettings

BORN = "Michael Alan Weiner (born March 31, 1942) is an American radio host."
TEXTS = st.lists(st.text("ab. ", max_size=8), min_size=1, max_size=5)


def test_the_example_of_the_authors_readme():
    found = selfcheck_ngram(
        [BORN, "He is the host of The Savage Nation."],
        [
            f"{BORN} He is the host of The Savage Country.",
            "Michael Alan Weiner (born January 13, 1960) is a Canadian radio host. He works at The New York Times.",
            f"{BORN} He obtained his PhD from MIT.",
        ],
    )
    assert found.mean == pytest.approx(3.218678904916201, abs=1e-14)
    assert found.highest == pytest.approx(4.025404834169327, abs=1e-14)
    assert found.sentence_mean == pytest.approx([3.184312, 3.279774], abs=1e-6)
    assert found.sentence_highest == pytest.approx([3.476098, 4.574710], abs=1e-6)


def test_unigrams_by_hand():
    # Counts of "a b" and the draws "a." and "a c": a 3, b 1, c 1, full stop 1; of 6.
    found = selfcheck_ngram(["A b"], ["a.", "a c"])
    assert found.mean == pytest.approx((math.log(6 / 3) + math.log(6 / 1)) / 2)
    assert found.highest == pytest.approx(math.log(6))


def test_bigrams_by_hand_begin_each_sentence_anew():
    # Of the draw: start-a, a-cat, cat-. and again start-a. With the answer's start-a and a-b there are six.
    found = selfcheck_ngram(["a b"], ["a cat. A"], n=2)
    assert found.sentence_mean == (pytest.approx((math.log(6 / 3) + math.log(6)) / 2),)


def test_figures_of_an_answer_are_of_single_tokens_and_of_pairs():
    draws = (Draw("a cat. A", -1.0, 4), Draw("", -1.0, 0))
    outcome = Outcome("a b. c", 4, "stop", -0.5, draws=draws)
    found = uncertainties(outcome, Score(0.5), UncertaintySettings(num_draws=2))
    for n, name in ((1, "unigram"), (2, "bigram")):
        expected = selfcheck_ngram(split_sentences("a b. c"), ["a cat. A"], n=n)
        assert found[f"selfcheck_{name}"].value == pytest.approx(expected.mean)
        assert found[f"selfcheck_{name}_max"].value == pytest.approx(expected.highest)
    assert found["selfcheck_bigram"].value != found["selfcheck_unigram"].value


def test_chinese_is_counted_by_characters():
    assert selfcheck_ngram(["北京"], ["北海"], language="zh").mean == pytest.approx((math.log(2) + math.log(4)) / 2)


@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_draws_does_not_matter(draws, random):
    shuffled = list(draws)
    random.shuffle(shuffled)
    assert selfcheck_ngram(["a b."], draws) == selfcheck_ngram(["a b."], shuffled)


@given(st.integers(1, 5))
def test_draws_that_repeat_the_answer_leave_it_as_certain_as_it_was(times):
    assert selfcheck_ngram(["a b."], ["a b."] * times).mean == pytest.approx(math.log(3))


@pytest.mark.parametrize("sentences", [[], [""], ["a", " "]])
def test_nothing_to_count_is_refused(sentences):
    with pytest.raises(ValueError, match="sentence"):
        selfcheck_ngram(sentences, ["a"])
    with pytest.raises(ValueError, match="at least 1"):
        selfcheck_ngram(["a"], [], n=0)


def vectors(texts):
    table = {"Paris.": [1.0, 0.0], "Rome.": [0.0, 1.0], "Lyon.": [0.6, 0.8]}
    return np.array([table[text] for text in texts])


def test_embedding_takes_the_nearest_sentence_of_each_draw_and_their_mean():
    # Nearest to "Paris.": in the first draw .6, in the second 1.
    assert selfcheck_embedding(["Paris."], ["Rome. Lyon.", "Paris.", " "], vectors) == (
        pytest.approx(1 - (0.6 + 1) / 2),
    )
    assert selfcheck_embedding(["Paris.", "Rome."], ["Paris."], vectors) == pytest.approx([0.0, 1.0])


def test_inference_is_the_mean_probability_and_asks_each_pair_once():
    asked = []

    def contradiction(pairs):
        asked.extend(pairs)
        return [0.8 if "Rome" in draw else 0.1 for _, draw in pairs]

    found = selfcheck_nli(["Paris."], ["Rome.", "Paris.", "Paris.", ""], contradiction)
    assert found == (pytest.approx((0.8 + 0.1 + 0.1) / 3),)
    assert asked == [("Paris.", "Rome."), ("Paris.", "Paris.")]


@pytest.mark.parametrize("draws", [[], ["", " \n"]])
def test_without_a_draw_that_says_something_there_is_no_figure(draws):
    with pytest.raises(ValueError, match="nothing to compare"):
        selfcheck_embedding(["Paris."], draws, vectors)
    with pytest.raises(ValueError, match="nothing to compare"):
        selfcheck_nli(["Paris."], draws, lambda pairs: [0.0 for _ in pairs])


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.1])
def test_a_model_that_gives_no_probability_is_refused(value):
    with pytest.raises(ValueError, match="must be in"):
        selfcheck_nli(["Paris."], ["Rome."], lambda pairs: [value for _ in pairs])
