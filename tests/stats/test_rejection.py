"""AUROC, AURAC and PRR of an uncertainty: by hand, against scikit-learn and brute force, and where there is none."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from halueval.stats.rejection import NONE_RIGHT, NONE_WRONG, NOTHING, aurac, auroc, prr, rejection_figures

ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=12).filter(
    lambda pairs: len({wrong for _, wrong in pairs}) == 2
)


def test_three_answers_by_hand():
    # Most certain first: right, wrong, right. One of the two pairs is in order. A = 1, 1/2, 2/3.
    u, wrong = [0.1, 0.5, 0.9], [False, True, False]
    assert auroc(u, wrong) == 0.5
    assert aurac(u, wrong) == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    # Chance 2/3, oracle (1 + 1 + 2/3) / 3 = 8/9.
    assert prr(u, wrong) == pytest.approx((13 / 18 - 2 / 3) / (8 / 9 - 2 / 3))


def test_the_oracle_has_one_and_its_reverse_less_than_chance():
    wrong = [False, False, True, True]
    assert (auroc([1, 2, 3, 4], wrong), prr([1, 2, 3, 4], wrong)) == (1.0, pytest.approx(1.0))
    assert auroc([4, 3, 2, 1], wrong) == 0.0
    # A = 0, 0, 1/3, 1/2; chance 1/2; oracle (1 + 1 + 2/3 + 1/2) / 4 = 19/24.
    assert prr([4, 3, 2, 1], wrong) == pytest.approx((5 / 24 - 1 / 2) / (19 / 24 - 1 / 2))


def test_all_tied_is_chance():
    wrong = [True, False, False, False]
    assert auroc([7.0] * 4, wrong) == 0.5
    assert aurac([7.0] * 4, wrong) == pytest.approx(0.75)
    assert prr([7.0] * 4, wrong) == pytest.approx(0.0)


@given(ANSWERS)
def test_auroc_is_that_of_scikit_learn(pairs):
    u, wrong = zip(*pairs, strict=True)
    assert auroc(u, wrong) == pytest.approx(roc_auc_score(wrong, u))


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=6))
def test_area_is_the_mean_over_all_orders_within_ties(pairs):
    u, wrong = zip(*pairs, strict=True)
    if len(set(wrong)) < 2:
        assert aurac(u, wrong) is None
        return
    areas = []
    for order in itertools.permutations(range(len(u))):
        if all(u[a] <= u[b] for a, b in itertools.pairwise(order)):
            right = np.cumsum([not wrong[i] for i in order])
            areas.append((right / np.arange(1, len(u) + 1)).mean())
    assert aurac(u, wrong) == pytest.approx(np.mean(areas))


@given(ANSWERS, st.randoms(use_true_random=False))
def test_order_of_samples_and_a_rising_transformation_move_nothing(pairs, random):
    u, wrong = zip(*pairs, strict=True)
    shuffled = list(pairs)
    random.shuffle(shuffled)
    v, other = zip(*shuffled, strict=True)
    for figure in (auroc, aurac, prr):
        assert figure(u, wrong) == pytest.approx(figure(v, other))
        assert figure(u, wrong) == pytest.approx(figure(np.exp(u), wrong))
    ours, theirs = (rejection_figures(*columns, n_resamples=20) for columns in ((u, wrong), (v, other)))
    assert ours == theirs


@given(ANSWERS)
def test_a_data_set_twice_over_has_the_same_auroc(pairs):
    u, wrong = zip(*pairs, strict=True)
    assert auroc(u * 2, wrong * 2) == pytest.approx(auroc(u, wrong))


def test_weights_are_repetitions():
    from halueval.stats.rejection import _Curve

    u, wrong = np.array([0.2, 0.4, 0.4, 0.9]), [False, True, False, True]
    weights = np.array([[2.0, 0.0, 3.0, 1.0]])
    curve = _Curve(u, wrong)
    repeated = np.repeat(np.arange(4), weights[0].astype(int))
    long = _Curve(u[repeated], [wrong[i] for i in repeated])
    for ours, theirs in zip(curve.figures(weights[:, curve.order]), long.figures(np.ones((1, 6))), strict=True):
        assert ours == pytest.approx(theirs)


def test_intervals_hold_the_figure_and_narrow_with_more_answers():
    rng = np.random.default_rng(1)
    wrong = rng.random(400) < 0.4
    u = rng.normal(size=400) + wrong
    small = rejection_figures(u[:50], wrong[:50], n_resamples=500)
    large = rejection_figures(u, wrong, n_resamples=500)
    for name in ("auroc", "aurac", "prr"):
        narrow, wide = getattr(large, name), getattr(small, name)
        assert narrow.ci_low < narrow.value < narrow.ci_high
        assert narrow.ci_high - narrow.ci_low < wide.ci_high - wide.ci_low
    assert large.accuracy == pytest.approx(1 - wrong.mean())


def test_answers_of_one_cluster_are_drawn_together():
    rng = np.random.default_rng(2)
    wrong = rng.random(60) < 0.5
    u = rng.normal(size=60) + wrong
    alone = rejection_figures(u, wrong, n_resamples=500)
    tenfold = rejection_figures(np.tile(u, 10), np.tile(wrong, 10), [str(i) for i in range(60)] * 10, n_resamples=500)
    assert tenfold.auroc.value == pytest.approx(alone.auroc.value)
    width = alone.auroc.ci_high - alone.auroc.ci_low
    assert tenfold.auroc.ci_high - tenfold.auroc.ci_low == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize(("wrong", "reason"), [([True] * 3, NONE_RIGHT), ([False] * 3, NONE_WRONG), ([], NOTHING)])
def test_one_class_missing_is_no_number(wrong, reason):
    found = rejection_figures([0.1, 0.2, 0.3][: len(wrong)], wrong)
    for figure in (found.auroc, found.aurac, found.prr):
        assert (figure.value, figure.ci_low, figure.reason) == (None, None, reason)
    assert found.n == len(wrong)


def test_two_answers_have_figures_and_no_false_interval():
    found = rejection_figures([0.1, 0.2], [False, True], n_resamples=200)
    assert found.auroc.value == 1.0
    assert found.auroc.ci_low is None
    assert found.auroc.reason


@pytest.mark.parametrize(
    ("u", "wrong"), [([1.0, float("nan")], [True, False]), ([1.0], [True, False]), ([float("inf"), 0], [True, False])]
)
def test_bad_input_is_refused(u, wrong):
    with pytest.raises(ValueError, match=r"uncertaint"):
        rejection_figures(u, wrong)
