"""Standard errors by leaving one out: by hand, by force, and against scipy and statsmodels."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from halueval.stats.jackknife import difference_estimate, table_estimate, weighed_difference_estimate


def mean(sums):
    out = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=out, where=sums[:, 1] > 0)
    return out


def column(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


def weighted(values):
    return lambda weights: weights @ values / weights.sum(axis=1)


def test_the_error_of_a_mean_is_the_usual_one():
    # Flat data: no value stands out, so that the degrees of freedom are all n - 1, and the interval Student's.
    a, b = np.random.default_rng(0).random((2, 40))
    made = difference_estimate(column(a), column(b), mean)
    assert made.standard_error == pytest.approx(stats.sem(b - a))
    assert made.df == 39
    interval = made.interval()
    reference = stats.ttest_rel(b, a)
    assert (interval.low, interval.high) == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert made.p_value() == pytest.approx(reference.pvalue)


def test_clusters_by_hand():
    # Means without a, b, c: 20/3, 19/4, 3; their mean 173/36; deviations 67/36, -2/36, -65/36.
    made = table_estimate(column([1, 3, 5, 6, 9]), mean, list("aabcc"))
    assert made.value == pytest.approx(24 / 5)
    squares = (67**2 + 2**2 + 65**2) / 36**2
    assert made.standard_error == pytest.approx(math.sqrt(2 / 3 * squares))
    assert (made.df, made.n_clusters) == (2, 3)


def test_the_degrees_of_freedom_are_those_of_who_has_a_say():
    # One sample of 1000 differs: its d is 999 times as large as the others' and Σd⁴/(Σd²)² nearly 1: 3 - 1.
    values = np.zeros(1000)
    values[0] = 1.0
    made = table_estimate(column(values), mean)
    assert made.df == pytest.approx(2, abs=0.02)
    # Of an even split every d has the same size: Σd⁴ = (Σd²)²/K and 3K - 1, cut at K - 1.
    assert table_estimate(column(np.arange(50) % 2), mean).df == 49
    # Heavy words: a ratio whose one text holds nearly all of the words hangs on that one.
    lengths = np.r_[1e6, np.full(60, 10.0)]
    nats = lengths * np.random.default_rng(1).normal(3, 0.2, size=61)
    assert table_estimate(np.stack([nats, lengths], axis=1), mean).df < 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(0, 4)), min_size=3, max_size=25))
def test_a_ratio_by_force(rows):
    table = np.array([row[:2] for row in rows], dtype=float)
    names = [str(row[2]) for row in rows]
    groups = sorted(set(names))
    made = table_estimate(table, mean, names)
    if len(groups) < 2:
        assert made.reason == "1 cluster: nothing to compare it with"
        return
    left_out = [table[[name != group for name in names]].sum(axis=0) for group in groups]
    figures = np.array([x / w for x, w in left_out])
    k = len(groups)
    assert made.standard_error == pytest.approx(math.sqrt((k - 1) / k * figures.var() * k), rel=1e-9, abs=1e-13)
    assert 1 <= made.df <= max(1, k - 1)


def test_equal_clusters_have_the_error_of_cluster_robust_regression():
    # With clusters of one size all kinds of cluster-robust errors agree; statsmodels has G/(G - 1) · (n - 1)/(n - 1).
    groups = np.repeat(np.arange(12), 5)
    rng = np.random.default_rng(4)
    values = rng.normal(size=12)[groups] + rng.normal(size=60)
    fit = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    made = table_estimate(column(values), mean, [str(g) for g in groups])
    assert made.standard_error == pytest.approx(fit.bse[0], rel=1e-9)


def test_weights_and_tables_agree():
    rng = np.random.default_rng(3)
    names = [f"{i:03}" for i in rng.integers(0, 60, size=200)]
    a, b = rng.normal(size=200), rng.normal(0.2, size=200)
    by_table = difference_estimate(column(a), column(b), mean, names)
    by_weight = weighed_difference_estimate(weighted(a), weighted(b), names)
    assert by_weight.standard_error == pytest.approx(by_table.standard_error)
    assert (by_weight.df, by_weight.method) == (pytest.approx(by_table.df), "jackknife-t")


def test_many_clusters_are_left_out_in_groups():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 2000))
    names = [f"{i:04}" for i in range(2000)]
    made = weighed_difference_estimate(weighted(a), weighted(b), names, max_groups=200)
    assert made.method == "jackknife-t-200"
    assert made.df <= 199
    # 200 groups tell the error to some 1/√400 = 5 %.
    assert made.standard_error == pytest.approx(stats.sem(b - a), rel=0.15)


def test_the_order_of_samples_changes_no_digit():
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=(2, 300))
    names = [f"c{i}" for i in rng.integers(0, 90, size=300)]
    order = rng.permutation(300)
    shuffled = [names[i] for i in order]
    first = difference_estimate(column(a), column(b), mean, names)
    assert first == difference_estimate(column(a[order]), column(b[order]), mean, shuffled)
    assert table_estimate(column(a), mean) == table_estimate(column(a[order]), mean)


def test_what_does_not_vary_has_no_interval():
    # .1 + .1 + … is no round number: what is left after subtraction is rounding, not spread.
    for values in ([0.1] * 700, [1.0] * 30):
        made = table_estimate(column(values), mean)
        assert (made.standard_error, made.interval().low, made.p_value()) == (0.0, None, None)
        assert made.interval().reason == "nothing varies"
    a = np.random.default_rng(6).normal(size=50)
    assert difference_estimate(column(a), column(a + 0.1), mean).standard_error == 0
    assert difference_estimate(column(a), column(a), mean).standard_error == 0


def test_no_interval_comes_with_a_reason():
    assert table_estimate(np.zeros((3, 2)), mean).interval().reason == "the figure is undefined for this set"
    assert table_estimate(column([1.0]), mean).interval().reason == "1 cluster: nothing to compare it with"
    # All that is scored sits in one cluster of the base: without it there is no figure.
    base = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    made = difference_estimate(base, column([1.0, 0.0, 1.0]), mean)
    assert made.interval().reason == "undefined without one of the 3 clusters"
    assert made.p_value() is None


def test_an_interval_ends_where_the_figure_does():
    made = table_estimate(column([1.0, 1.0, 0.9, 0.4]), mean)
    assert made.interval().high > 1
    assert made.interval((0.0, 1.0)).high == 1.0
    assert made.interval((0.0, 1.0)).low == made.interval().low


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 9), min_size=4, max_size=30))
def test_p_and_interval_agree(values):
    made = table_estimate(column(values), mean)
    interval = made.interval()
    if interval.low is not None and min(abs(interval.low), abs(interval.high)) > 1e-9:
        assert (made.p_value() < 0.05) == (interval.low > 0 or interval.high < 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: difference_estimate(np.ones((2, 2)), np.ones((3, 2)), mean), "the same"),
        (lambda: table_estimate(column([1.0, math.nan]), mean), "NaN"),
        (lambda: table_estimate(column([1.0, 2.0]), mean, ["a"]), "1 clusters"),
        (lambda: weighed_difference_estimate(mean, mean, []), "0 samples"),
        (lambda: weighed_difference_estimate(mean, mean, ["a"], max_groups=1), "1 groups"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
