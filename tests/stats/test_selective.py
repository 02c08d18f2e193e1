"""Risk, coverage and AURC, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.stats.selective import aurc, risk_coverage, selective_accuracy, selective_replicates

samples = st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.4000001, 0.9]), st.integers(0, 1)), min_size=1, max_size=30)


def test_curve_by_hand():
    coverage, risk = risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    assert coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert risk == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert aurc([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_equal_confidences_give_the_risk_expected_over_their_order():
    # One of two at .5 is wrong: half an error after the second sample, one after the third.
    _, risk = risk_coverage([0.9, 0.5, 0.5], [1, 0, 1])
    assert risk == pytest.approx([0, 0.5 / 2, 1 / 3])


def test_a_ranking_that_says_nothing_has_the_error_rate():
    assert aurc([0.5] * 8, [1, 1, 1, 0, 1, 1, 0, 1]) == pytest.approx(0.25)


def test_selective_accuracy_by_hand():
    conf, right = [0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0]
    assert selective_accuracy(conf, right, 0.4) == 1
    assert selective_accuracy(conf, right, 0.41) == pytest.approx(2 / 3)  # three samples, rounded up
    assert selective_accuracy(conf, right, 1) == pytest.approx(0.6)


def test_coverage_does_not_hang_on_a_rounding_error():
    # .9 · 30 is 27.000000000000004 in floating point: 27 samples, the wrong ones being the last three.
    conf = np.linspace(0.99, 0.1, 30)
    assert selective_accuracy(conf, [1] * 27 + [0] * 3, 0.9) == 1


@given(samples, st.randoms(use_true_random=False))
def test_order_changes_no_digit(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert aurc(*zip(*rows, strict=True)) == aurc(*zip(*shuffled, strict=True))


@given(samples, st.integers(2, 4))
def test_at_full_coverage_the_risk_is_the_error_rate_however_often_samples_stand(rows, times):
    conf, right = zip(*(rows * times), strict=True)
    _, risk = risk_coverage(conf, right)
    assert risk[-1] == pytest.approx(1 - np.mean(right))
    assert ((risk >= 0) & (risk <= 1)).all()


def test_replicates_are_those_of_drawn_samples():
    rng = np.random.default_rng(3)
    conf, right = rng.random(40), (rng.random(40) < 0.6).astype(float)
    names = [f"{i:03}" for i in range(40)]
    made = selective_replicates(conf, right, names, n_resamples=50, seed=7)
    draws = np.random.default_rng(7).integers(0, 40, size=(50, 40))
    assert made["aurc"].values == pytest.approx([aurc(conf[d], right[d]) for d in draws])
    assert made["0.5"].values == pytest.approx([selective_accuracy(conf[d], right[d], 0.5) for d in draws])
    interval = made["aurc"].interval()
    assert interval.low < made["aurc"].estimate < interval.high


def test_whole_clusters_are_drawn():
    names = ["a", "a", "b", "b"]
    made = selective_replicates([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], names, coverages=[1], n_resamples=100)
    # Both right, both wrong, or all four.
    assert set(made["1"].values) == {0.0, 0.5, 1.0}


@pytest.mark.parametrize(
    ("conf", "right", "message"),
    [
        ([], [], "at least one"),
        ([0.5], [1, 0], "as many of each"),
        ([float("nan")], [1], "must be numbers"),
        ([0.5], [0.5], "zeros and ones"),
    ],
)
def test_bad_input_is_refused(conf, right, message):
    with pytest.raises(ValueError, match=message):
        aurc(conf, right)


@pytest.mark.parametrize("coverage", [0, 1.5, -1])
def test_coverage_out_of_range_is_refused(coverage):
    with pytest.raises(ValueError, match="coverage"):
        selective_accuracy([0.5], [1], coverage)
