"""Scores over classes and Murphy's parts, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.stats.calibration import brier, ece, ece_of_sums
from halueval.stats.scoring_rules import (
    brier_sum_terms,
    choice_nll_terms,
    classwise_ece,
    classwise_table,
    murphy,
    murphy_of_sums,
    murphy_table,
)

confidences = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


def test_brier_over_classes_by_hand():
    # (.7-1)² + .2² + .1² = .14; .5² + .5² + 1 = 1.5
    terms = brier_sum_terms(np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]]), [[0], [2]])
    assert terms == pytest.approx([0.14, 1.5])


def test_brier_over_two_classes_is_twice_the_scalar_one():
    p = np.array([0.9, 0.6, 0.75])
    right = [1, 0, 1]
    both = np.stack([p, 1 - p], axis=1)
    terms = brier_sum_terms(both, [[0] if r else [1] for r in right])
    assert terms.mean() == pytest.approx(2 * brier(p, right))


def test_nll_counts_all_right_choices_together():
    p = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    terms = choice_nll_terms(p, [[0, 2], [1]])
    assert terms == pytest.approx([-math.log(0.75), 0.0])
    assert math.copysign(1, terms[1]) == 1


def test_a_right_choice_of_probability_0_costs_27_nats_and_not_infinity():
    assert choice_nll_terms(np.array([[1.0, 0.0]]), [[1]])[0] == pytest.approx(-math.log(1e-12))


def test_classwise_ece_by_hand():
    # Two bins, (0, .5] and (.5, 1]. Class 0: low bin holds .2 (wrong) and .4 (right): gap |.2+.4 - 1| = .4;
    # high bin .8 (right) and .6 (wrong): gap |1.4 - 1| = .4; error .8/4 = .2. Class 1 mirrors it: .2. Mean .2.
    p = np.array([[0.8, 0.2], [0.6, 0.4], [0.2, 0.8], [0.4, 0.6]])
    gold = [[0], [1], [1], [0]]
    assert classwise_ece(p, gold, n_bins=2) == pytest.approx(0.2)
    assert ece_of_sums(classwise_table(p, gold, n_bins=2).sum(axis=0)[None])[0] == pytest.approx(0.2)


def test_classwise_ece_differs_from_that_of_the_answer():
    # Class 2 never occurs and always gets .2: its error is .2, whatever the confidence in the answer.
    p = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2]] * 5)
    gold = [[0], [1]] * 5
    # Class 0: bin of .6 always right (gap .4 of half the samples), bin of .2 never (.2 of half): .3. Mean of .3 .3 .2.
    assert classwise_ece(p, gold, n_bins=5) == pytest.approx((0.3 + 0.3 + 0.2) / 3)
    assert ece([0.6] * 10, [1] * 10, n_bins=5) == pytest.approx(0.4)


def test_adaptive_bins_hold_about_as_many_samples_each():
    # Of class 0 the bins of equal mass are {.9, .8} and {.7, .6}: gaps |1.7 - 2| and |1.3 - 1| of 4: .15.
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    assert classwise_ece(p, [[0], [0], [0], [1]], n_bins=2, scheme="equal_mass") == pytest.approx(0.15)
    # Of equal width all four share a bin: |3.0 - 3| = 0.
    assert classwise_ece(p, [[0], [0], [0], [1]], n_bins=2) == pytest.approx(0.0)


def test_murphy_by_hand():
    # Forecasts .8 (right, right, wrong, right) and .2 (wrong, wrong): accuracy 1/2.
    conf, right = [0.8, 0.8, 0.8, 0.8, 0.2, 0.2], [1, 1, 0, 1, 0, 0]
    parts = murphy(conf, right)
    assert parts.uncertainty == pytest.approx(0.25)
    assert parts.reliability == pytest.approx(4 / 6 * 0.05**2 + 2 / 6 * 0.2**2)
    assert parts.resolution == pytest.approx(4 / 6 * 0.25**2 + 2 / 6 * 0.5**2)
    assert parts.within_bins == pytest.approx(0.0, abs=1e-15)
    assert parts.brier == pytest.approx((3 * 0.04 + 0.64 + 2 * 0.04) / 6)
    assert parts.reliability - parts.resolution + parts.uncertainty == pytest.approx(parts.brier)


@given(confidences, st.integers(1, 20), st.sampled_from(["equal_mass", "equal_width"]))
def test_murphys_parts_add_up(samples, n_bins, scheme):
    conf, right = zip(*samples, strict=True)
    parts = murphy(conf, right, n_bins=n_bins, scheme=scheme)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert total == pytest.approx(parts.brier, abs=1e-12)
    assert parts.brier == pytest.approx(brier(conf, right), abs=1e-12)
    assert parts.reliability >= 0
    assert parts.resolution >= 0


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.55, 0.8]), st.integers(0, 1)), min_size=1, max_size=40))
def test_of_forecasts_with_few_values_three_parts_are_all(samples):
    conf, right = zip(*samples, strict=True)
    # Ten bins of equal width keep the four values apart.
    assert murphy(conf, right, n_bins=10, scheme="equal_width").within_bins == pytest.approx(0, abs=1e-12)


@given(confidences, st.randoms(use_true_random=False))
def test_order_changes_no_digit(samples, random):
    shuffled = list(samples)
    random.shuffle(shuffled)
    p = [np.array([[c, 1 - c] for c, _ in rows]) for rows in (samples, shuffled)]
    gold = [[[r] for _, r in rows] for rows in (samples, shuffled)]
    assert murphy(*zip(*samples, strict=True)) == murphy(*zip(*shuffled, strict=True))
    assert classwise_ece(p[0], gold[0]) == classwise_ece(p[1], gold[1])


def test_nothing_drawn_is_nan_and_never_a_number():
    table = murphy_table([0.5, 0.6], [1, 0], n_bins=2)
    assert np.isnan(murphy_of_sums(np.zeros((1, table.shape[1])))).all()


@pytest.mark.parametrize(
    ("p", "gold", "message"),
    [
        ([[0.5, 0.6]], [[0]], "add up to 1"),
        ([[math.nan, 1.0]], [[0]], "add up to 1"),
        ([[0.5, 0.5]], [[2]], "right classes"),
        ([[0.5, 0.5]], [[]], "right classes"),
        ([[0.5, 0.5]], [[0], [1]], "right classes of 2 samples"),
        ([[0.5, 0.5]], [[0, 1]], "exactly one right class"),
    ],
)
def test_what_is_no_forecast_is_refused(p, gold, message):
    with pytest.raises(ValueError, match=message):
        brier_sum_terms(np.array(p), gold)
