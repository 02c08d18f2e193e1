"""`lite_lm`: words and features by hand, the fit, what a small model cannot read, and the packaged coefficients."""

import math
from itertools import pairwise

import numpy as np
import pytest
from letters import Letters

from halueval.consistency.base import NO_CLAIM, NO_SOURCE, Pair
from halueval.consistency.catalog import create
from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.language_model import LanguageModel
from halueval.consistency.lite_lm import LiteLM, probabilities
from halueval.consistency.lite_lm.features import (
    ENOUGH,
    EVIDENCE,
    NAMES,
    NOTHING_NEW,
    OF_WORDS,
    WordTable,
    features,
    soft_minimum,
)
from halueval.consistency.lite_lm.reading import TWO_WAYS, read_words
from halueval.consistency.lite_lm.train import balanced_weights, fit, non_negative
from halueval.consistency.lite_lm.words import WordLikelihood, word_likelihoods


def test_a_word_is_the_sum_of_its_tokens_and_marks_are_no_words():
    # " He", " lef", "t", ".", " Now!" of " He left. Now!": a token with its white space, a mark alone, a mark attached.
    spans = [(0, 3), (3, 7), (7, 8), (8, 9), (9, 14)]
    found = word_likelihoods(" He left. Now!", spans, (-1.0, -2.0, -0.5, -9.0, -3.0), (-2.0, -4.0, -0.5, -9.0, -2.0))
    assert [(w.word, w.given, w.alone) for w in found] == [
        ("he", -1.0, -2.0),
        ("left", -2.5, -4.5),
        ("now", -3.0, -2.0),
    ]
    assert [w.information for w in found] == [1.0, 2.0, -1.0]


def test_a_token_over_two_words_counts_for_both_and_a_word_without_token_is_left_out():
    assert [w.given for w in word_likelihoods("in it", [(0, 5)], [-2.0], [-1.0])] == [-2.0, -2.0]
    assert [w.word for w in word_likelihoods("in it", [(0, 2)], [-2.0], [-1.0])] == ["in"]
    with pytest.raises(ValueError, match="2 tokens, but 1 and 2"):
        word_likelihoods("in it", [(0, 2), (2, 5)], [-2.0], [-1.0, -1.0])


def test_the_soft_minimum_lies_between_the_least_and_the_mean():
    assert soft_minimum(np.array([1.5, 1.5])) == pytest.approx(1.5)
    assert soft_minimum(np.array([0.0, 2.0])) == pytest.approx(-2 * math.log((1 + math.exp(-1)) / 2))
    assert soft_minimum(np.array([0.0, 1e6])) == pytest.approx(2 * math.log(2))


SOURCE = "The mayor of Lyon opened a new bridge in May. It cost 12 million euros."


def made(claim, words, source=SOURCE):
    """Features by name of a claim whose words have these likelihoods (given, alone), each one token."""
    table = WordTable(
        tuple(WordLikelihood(word, *values) for word, values in words.items()),
        tuple(given for given, _ in words.values()),
        tuple(alone for _, alone in words.values()),
    )
    (row,) = features([Pair(source, claim)], [table], Letters())
    return dict(zip(NAMES, row, strict=True))


def test_features_of_words_by_hand():
    found = made(
        "The mayor closed a bridge.",
        {"the": (-1, -1), "mayor": (-2, -6), "closed": (-8, -6), "a": (-1, -2), "bridge": (-1, -9)},
    )
    # Content: mayor +4, closed -2 (new), bridge +8.
    assert found["likelihood"] == pytest.approx(-13 / 5)
    assert found["likelihood_worst"] == -8
    assert found["information"] == pytest.approx((0 + 4 - 2 + 1 + 8) / 5)
    assert found["information_soft_minimum"] == pytest.approx(
        -2 * math.log((math.exp(-2) + math.exp(1) + math.exp(-4)) / 3)
    )
    assert found["information_capped"] == pytest.approx((ENOUGH - 2 + ENOUGH) / 3)
    assert found["information_worst_tenth"] == pytest.approx(np.quantile([4, -2, 8], 0.1))
    assert found["information_worst_new"] == -2
    assert found["likelihood_new"] == pytest.approx(-8 / 5)
    assert found["saved"] == pytest.approx((0 + 4 / 6 - 2 / 6 + 1 / 2 + 8 / 9) / 5)
    assert found["saved_content"] == pytest.approx((4 / 6 - 2 / 6 + 8 / 9) / 3)
    assert found["saved_worst_tenth"] == pytest.approx(np.quantile([4 / 6, -2 / 6, 8 / 9], 0.1))
    assert found["lost"] == pytest.approx(-2 / 5)
    assert found["coverage"] == pytest.approx(4 / 5)


def test_a_claim_of_the_sources_words_has_nothing_new():
    found = made("A bridge opened.", {"a": (-1, -1), "bridge": (-1, -3), "opened": (-1, -2)})
    assert (found["information_worst_new"], found["likelihood_new"]) == (NOTHING_NEW, 0)


def test_a_claim_of_marks_alone_has_features_too():
    (row,) = features([Pair(SOURCE, "?!")], [WordTable((), (-3.0, -1.0), (-2.0, -2.0))], Letters())
    assert np.isfinite(row).all()
    assert row[: len(OF_WORDS)].tolist() == [-2.0, -3.0, *[0.0] * (len(OF_WORDS) - 2)]


def test_the_fit_finds_what_tells_within_sets_and_not_what_tells_sets_apart():
    rng = np.random.default_rng(0)
    number = NAMES.index(EVIDENCE[1])
    parts = []
    for shift, share in ((0.0, 0.5), (5.0, 0.9)):
        labels = rng.random(4000) < share
        table = rng.normal(size=(4000, len(NAMES)))
        table[:, 0] += 1.5 * labels
        table[:, 1] += shift  # the set with more consistent claims has more of it
        table[:, 2] -= labels
        table[:, number] = np.where(labels, 1.0, rng.random(4000) < 0.8)  # seldom wrong, and then for certain
        parts.append((table, labels))
    model = fit(parts)
    weights = np.array(model["coefficients"])
    assert weights.min() >= 0
    assert weights[2] == 0
    assert min(weights[0], weights[number]) > 5 * np.delete(weights, [0, number]).max()
    (table, labels), _ = parts
    values = probabilities(model, table - table.mean(axis=0) + model["mean"])
    assert values[labels].mean() > 0.6 > 0.4 > values[~labels].mean()


def test_the_regression_finds_known_coefficients_and_an_intercept_for_each_group():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(40_000, 2))
    group = np.arange(40_000) % 2
    labels = rng.random(40_000) < 1 / (1 + np.exp(-(table @ [1.5, -0.5] + np.array([1.0, -1.0])[group])))
    found = non_negative(table, labels, np.full(40_000, 1 / 40_000), group, 0.0)
    assert found[1] == 0
    assert found[0] == pytest.approx(1.5, abs=0.1)


def test_weights_give_both_classes_one_half():
    weights = balanced_weights(np.array([True, False, False, False]))
    assert weights.tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])


@pytest.fixture
def small(models):
    """The scorer with small random models in place of the packaged ones."""
    scorer = LiteLM(device="cpu", dtype="float32")
    scorer._lm = LanguageModel(str(models("causal")), "cpu", "float32")
    scorer._encoder = SentenceEncoder(models("bert"), device="cpu", dtype="float32")
    return scorer


PAIRS = [
    Pair("The capital of France is Paris. It was reviewed.", "Paris was reviewed as good."),
    Pair("The capital of France is Paris. It was reviewed.", "12 people came."),
    Pair("A film.", "It was not true, or was it?"),
]


def test_a_value_does_not_depend_on_the_company(small, models):
    together = [verdict.value for verdict in small.score(PAIRS)]
    assert all(0 < value < 1 for value in together)
    for pair, value in zip(PAIRS, together, strict=True):
        small._lm = LanguageModel(str(models("causal")), "cpu", "float32")
        (alone,) = small.score([pair])
        assert alone.value == pytest.approx(value, abs=1e-4)


def test_the_language_models_precision_is_part_of_the_identity(small):
    assert small.identity()["dtype"] == "float32"


def test_what_cannot_be_read_has_a_reason_and_the_rest_a_value(small):
    told = []
    pairs = [
        Pair("", "Paris."),
        Pair("France.", " "),
        Pair("France.", "people " * 200),
        Pair("People came. " * 100, "Paris."),
    ]
    none, empty, long, cut = small.score(pairs, told.append)
    assert (none.value, none.reason) == (None, NO_SOURCE)
    assert (empty.value, empty.reason) == (None, NO_CLAIM)
    assert long.value is None
    assert long.reason
    assert cut.value is not None
    assert cut.truncated > 0
    assert sum(told) == len(pairs)


def test_tokens_stand_where_the_text_is(models):
    model = LanguageModel(str(models("causal")), "cpu", "float32")
    spans = model.spans("Question:", " Paris is 12.")
    assert spans[0][0] <= 0
    assert spans[-1][1] == len(" Paris is 12.")
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    (table,) = read_words(model, [Pair("A film.", "Paris is 12.")])
    assert [word.word for word in table.words] == ["paris", "is", "12"]
    assert sum(table.given) == pytest.approx(sum(word.given for word in table.words) + table.given[-1], abs=1e-6)


def test_tokens_that_differ_are_no_number(models, monkeypatch):
    model = LanguageModel(str(models("causal")), "cpu", "float32")
    monkeypatch.setattr(LanguageModel, "spans", lambda self, context, continuation: [(0, 1)])
    assert read_words(model, [Pair("A film.", "Paris is 12.")]) == [TWO_WAYS]


def test_the_packaged_coefficients_belong_to_these_features():
    scorer = create("lite_lm")
    model = scorer._model
    assert tuple(model["features"]) == NAMES
    assert min(model["coefficients"]) >= 0
    assert 0 < scorer.threshold < 1
    assert (scorer.threshold_in("en"), scorer.threshold_in("zh")) == (scorer.threshold, None)
    assert not {"qags_xsum", "frank_validation", "xsumfaith"} & set(model["fitted_on"])
