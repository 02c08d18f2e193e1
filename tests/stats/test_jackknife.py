"""The jackknife against closed forms, and its intervals against the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from halueval.stats.intervals import mean_interval
from halueval.stats.jackknife import effective_clusters, jackknife
from halueval.stats.paired import clustered_standard_error


def mean(sums):
    return sums[:, 0] / sums[:, 1]


def table(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


def test_of_a_mean_it_is_students_interval():
    values = [1.0, 2.0, 4.0, 7.0, 7.5]
    found = jackknife(table(values), mean)
    assert found.standard_error == pytest.approx(np.std(values, ddof=1) / math.sqrt(5), rel=1e-12)
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (found.interval().low, found.interval().high) == pytest.approx(expected, rel=1e-9)
    assert found.p_value() == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-9)


def test_of_clusters_of_one_size_it_is_the_clustered_error():
    rng = np.random.default_rng(0)
    values, clusters = rng.normal(size=30), [str(i // 3) for i in range(30)]
    found = jackknife(table(values), mean, clusters)
    assert found.standard_error == pytest.approx(clustered_standard_error(values, clusters), rel=1e-9)
    assert found.df == pytest.approx(9)


def test_of_a_ratio_worked_by_hand():
    # Sums 6 over 4; without each row 5/3, 4/2 (the row 2, 2) and 3/3: mean 14/9, deviations 1/9, 4/9, -5/9.
    rows = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 1.0]])
    expected = math.sqrt(2 / 3 * ((1 / 9) ** 2 + (4 / 9) ** 2 + (5 / 9) ** 2))
    assert jackknife(rows, mean).standard_error == pytest.approx(expected, rel=1e-12)


def test_few_large_clusters_have_few_degrees_of_freedom():
    rows = table(np.arange(12.0))
    assert effective_clusters(rows, ["a"] * 5 + list("bcdefgh")) == pytest.approx(12**2 / (25 + 7))
    assert effective_clusters(rows, None) == 12
    rows[0] = 0  # not scored
    assert effective_clusters(rows, None) == 11


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([[1, 1]], "1 cluster"),
        ([[1, 1], [1, 1]], "every resample gives the same figure"),
        ([[1, 1], [1, 0]], "hangs on a single cluster"),
    ],
)
def test_without_a_spread_there_is_a_reason_and_no_interval(rows, reason):
    with np.errstate(divide="ignore", invalid="ignore"):
        found = jackknife(np.array(rows, dtype=float), mean)
    assert reason in found.interval().reason
    assert found.interval().low is found.p_value() is None


@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 2)), min_size=3, max_size=30), st.randoms())
def test_the_order_of_rows_does_not_matter(values, random):
    clusters = [str(i // 2) for i in range(len(values))]
    order = list(range(len(values)))
    random.shuffle(order)
    one = jackknife(table(values), mean, clusters)
    other = jackknife(table([values[i] for i in order]), mean, [clusters[i] for i in order])
    assert one.value == pytest.approx(other.value, abs=1e-12)
    assert (one.standard_error or 0) == pytest.approx(other.standard_error or 0, rel=1e-9, abs=1e-12)


def test_intervals_hold_the_truth_of_skewed_clusters():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        fact = np.repeat(np.arange(30), rng.integers(1, 7, size=30))
        values = rng.exponential(size=30)[fact] + rng.normal(size=len(fact))
        interval = jackknife(table(values), mean, [str(i) for i in fact]).interval()
        held += interval.low <= 1.0 <= interval.high
    assert 0.90 <= held / 600 <= 0.98


def test_the_interval_of_a_mean_of_figures_adds_distances_as_squares():
    assert mean_interval([(1.0, 0.0, 3.0), (3.0, 2.0, 3.5)]) == pytest.approx(
        (2 - math.sqrt(2) / 2, 2 + math.sqrt(4 + 0.25) / 2)
    )
    assert mean_interval([(1.0, None, None), (3.0, 2.0, 3.5)]) == (None, None)
    with pytest.raises(ValueError, match="no figures"):
        mean_interval([])
