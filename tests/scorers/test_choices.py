"""Figures of choices: accuracy, classes, likelihoods, AUROC."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import JUDGED, said, sample
from sklearn import metrics

from halueval.schema import Judged, Kind, Outcome, OutputType, State
from halueval.scorers.base import score_sample
from halueval.scorers.catalog import create
from halueval.scorers.likelihood import argmax_against, logsumexp, weighted_auroc
from halueval.scorers.state import judge

LABELS = ("x", "y", "z")
PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30)


def score(name, item, loglikelihoods):
    outcome = Outcome(loglikelihoods=tuple(loglikelihoods))
    judged = judge(Kind.QA, OutputType.MULTIPLE_CHOICE, item, outcome)
    return score_sample(create(name), item, outcome, judged)


def classes(name, pairs, labels=LABELS):
    """Figure over (gold, predicted) pairs."""
    scorer = create(name)
    scores = [
        scorer.score(sample(choices=labels, gold=[gold]), said(""), Judged(State.CORRECT, prediction=chosen))
        for gold, chosen in pairs
    ]
    return float(scorer.statistic(scores, np.ones((1, len(pairs))))[0])


@settings(max_examples=40)
@given(PAIRS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # scikit-learn's about classes without samples
def test_class_figures_equal_scikit_learn(pairs):
    gold, chosen = zip(*pairs, strict=True)
    common = {"average": "macro", "zero_division": 0}
    expected = {
        "macro_precision": metrics.precision_score(gold, chosen, **common),
        "macro_recall": metrics.recall_score(gold, chosen, **common),
        "macro_f1": metrics.f1_score(gold, chosen, **common),
        "micro_f1": metrics.f1_score(gold, chosen, average="micro"),
        "balanced_accuracy": metrics.balanced_accuracy_score(gold, chosen),
        "accuracy": metrics.accuracy_score(gold, chosen),
        "mcc": metrics.matthews_corrcoef(gold, chosen),
    }
    for name, figure in expected.items():
        assert classes(name, pairs) == pytest.approx(figure, abs=1e-9), name


def test_class_figures_by_hand():
    # Gold x x x y, predicted x x y y: recall 2/3 and 1; precision 1 and 1/2; F1 4/5 and 2/3.
    pairs = [(0, 0), (0, 0), (0, 1), (1, 1)]
    assert classes("balanced_accuracy", pairs) == pytest.approx(5 / 6)
    assert classes("macro_precision", pairs) == pytest.approx(3 / 4)
    assert classes("macro_f1", pairs) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert classes("binary_f1", pairs, ("x", "y")) == pytest.approx(2 / 3)


def test_weights_stand_for_repeated_samples():
    scorer = create("macro_f1")
    pairs = [(0, 0), (0, 1), (2, 2)]
    scores = [
        scorer.score(sample(choices=LABELS, gold=[g]), said(""), Judged(State.CORRECT, prediction=p)) for g, p in pairs
    ]
    weighted = scorer.statistic(scores, np.array([[2.0, 1.0, 0.0]]))[0]
    assert weighted == pytest.approx(classes("macro_f1", [pairs[0], pairs[0], pairs[1]]))


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy", "auroc"])
def test_class_figures_need_fixed_choices(name):
    scorer = create(name)
    items = [sample(choices=("a", "b"), gold=[0]), sample(choices=("a", "c"), gold=[0])]
    scorer.prepare(items)
    outcome = Outcome(loglikelihoods=(-1.0, -2.0))
    got = scorer.score(items[0], outcome, Judged(State.CORRECT, prediction=0))
    assert (got.value, got.reason) == (None, "choices differ between samples")
    assert create("accuracy").score(items[0], outcome, Judged(State.CORRECT, prediction=0)).value == 1


def test_ties_count_against_the_right_choice():
    assert argmax_against([1.0, 1.0, 0.0], [0]) == 1
    assert argmax_against([1.0, 0.0], [0]) == 0
    assert argmax_against([1.0, 1.0], [0, 1]) == 0
    assert score("mc1", sample(choices=("a", "b"), gold=[0]), [-1.0, -1.0]).value == 0
    assert score("accuracy", sample(choices=("a", "b"), gold=[0]), [-1.0, -1.0]).value == 0


def test_accuracy_norm_is_by_characters_and_accuracy_bytes_by_bytes():
    # "北京" is 2 characters and 6 bytes, "abcd" 4 of both: -4/2 against -6/4, and -4/6 against -6/4.
    item = sample(choices=("北京", "abcd"), gold=[0])
    assert score("accuracy", item, [-4.0, -6.0]).value == 1
    assert score("acc_norm", item, [-4.0, -6.0]).value == 0
    assert score("acc_bytes", item, [-4.0, -6.0]).value == 1
    assert score("acc_norm", sample(choices=("", "a"), gold=[0]), [-4.0, -6.0]).value is None


def test_mc2_by_hand():
    # Probabilities .2, .1 right and .3 wrong: .3/.6.
    values = [math.log(0.2), math.log(0.1), math.log(0.3)]
    item = sample(choices=LABELS, gold=[0, 1])
    assert score("mc2", item, values).value == pytest.approx(0.5)
    # Far below the smallest float, only the differences matter.
    assert score("mc2", item, [v - 5000 for v in values]).value == pytest.approx(0.5)
    assert score("mc2", sample(choices=("a", "b"), gold=[0, 1]), [-1, -2]).reason == "no wrong choice to compare with"


def test_logsumexp():
    assert logsumexp([-1000.0, -1000.0]) == pytest.approx(-1000 + math.log(2))


@pytest.mark.parametrize("values", [(-1.0, math.nan), (-math.inf, -1.0), ()])
def test_bad_likelihoods_are_unscored(values):
    for name in ("accuracy", "acc_norm", "mc1", "mc2", "auroc", "macro_f1"):
        got = score(name, sample(choices=("a", "b"), gold=[0]), values)
        assert got.value is None, name
        assert "log-likelihood" in got.reason, name


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=2, max_size=25))
def test_weighted_auroc_equals_scikit_learn(rows):
    margins, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    got = weighted_auroc(margins.astype(float), labels, weights[None, :].astype(float))[0]
    if weights[labels].sum() == 0 or weights[~labels].sum() == 0:
        assert math.isnan(got)
    else:
        assert got == pytest.approx(metrics.roc_auc_score(labels, margins, sample_weight=weights))


def test_auroc_of_scores():
    # Margins (choice 1 - choice 0): -1 (gold 0), 2 (gold 1), 0 (gold 1): both positives above the negative.
    scorer = create("auroc")
    items = [sample(choices=("no", "yes"), gold=[g]) for g in (0, 1, 1)]
    outcomes = [Outcome(loglikelihoods=v) for v in ((-1.0, -2.0), (-4.0, -2.0), (-1.0, -1.0))]
    scores = [scorer.score(i, o, Judged(State.CORRECT, prediction=0)) for i, o in zip(items, outcomes, strict=True)]
    assert [s.value for s in scores] == [-1.0, 2.0, 0.0]
    assert scorer.statistic(scores, np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])).tolist() == pytest.approx(
        [1.0, math.nan], nan_ok=True
    )
    assert "needs exactly 2" in scorer.score(sample(choices=LABELS, gold=[0]), outcomes[0], JUDGED).reason
