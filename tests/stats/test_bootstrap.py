"""Intervals of differences: against scipy, against each other, and by simulation."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from halueval.stats.bootstrap import (
    Replicates,
    expanded_tail,
    interval_of_difference,
    replicates_of_difference,
    table_difference,
    table_interval,
    table_replicates,
)
from halueval.stats.paired import clustered_standard_error, sign_flip


def mean(sums):
    out = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=out, where=sums[:, 1] > 0)
    return out


def column(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


def weighted(values):
    return lambda weights: weights @ values / weights.sum(axis=1)


def ends(interval):
    assert interval.low is not None, interval.reason
    return interval.low, interval.high


def test_the_expanded_tail_is_the_published_formula():
    # Hesterberg 2015: Φ(√(n/(n-1)) t). For n = 30, t = -2.04523: Φ(-2.0802) = .01876; large n gives .025.
    assert expanded_tail(30) == pytest.approx(stats.norm.cdf(math.sqrt(30 / 29) * stats.t.ppf(0.025, 29)))
    assert expanded_tail(30) == pytest.approx(0.01876, abs=1e-5)
    assert expanded_tail(10**6) == pytest.approx(0.025, abs=1e-6)
    with pytest.raises(ValueError, match="1 cluster"):
        expanded_tail(1)


def test_the_interval_of_a_mean_is_students():
    # With normal data the expanded percentile interval is the t interval.
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40))
    reference = stats.t.interval(0.95, 39, loc=(b - a).mean(), scale=stats.sem(b - a))
    width = reference[1] - reference[0]
    for method in ("percentile", "standard"):
        made = table_difference(column(a), column(b), mean, n_resamples=20_000, method=method)
        assert ends(made) == pytest.approx(reference, abs=0.04 * width)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_many_samples_are_scipys_bootstrap(method):
    # With 900 skewed samples the expansion no longer matters; the ratio makes BCa differ.
    rng = np.random.default_rng(1)
    table = np.stack([rng.gamma(0.3, size=900), rng.gamma(0.5, size=900)], axis=1)
    made = table_interval(table, mean, n_resamples=8000, method=method)
    reference = stats.bootstrap(
        (table[:, 0], table[:, 1]), lambda x, y, axis: x.mean(axis) / y.mean(axis),
        paired=True, vectorized=True, method=method, n_resamples=8000, rng=2, batch=500,
    ).confidence_interval  # fmt: skip
    width = reference.high - reference.low
    assert ends(made) == pytest.approx((reference.low, reference.high), abs=0.05 * width)


def test_the_standard_interval_is_students_for_skewed_data_too():
    values = np.random.default_rng(5).exponential(size=12)
    made = table_interval(column(values), mean, n_resamples=40_000, method="standard")
    assert ends(made) == pytest.approx(stats.t.interval(0.95, 11, values.mean(), stats.sem(values)), abs=0.02)
    assert made.method == "bootstrap-standard"


def test_bca_moves_towards_the_long_tail():
    values = np.random.default_rng(5).exponential(size=80)
    plain = table_interval(column(values), mean)
    corrected = table_interval(column(values), mean, method="bca")
    assert corrected.low > plain.low
    assert corrected.high > plain.high
    assert (plain.method, corrected.method) == ("bootstrap", "bca")


def test_the_acceleration_is_that_of_a_mean():
    # Efron 1987: for a mean, a = Σ(x - x̄)³ / (6 (Σ(x - x̄)²)^1.5), whatever the number of equal rows.
    values = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 5.0])
    moved = values - values.mean()
    expected = (moved**3).sum() / (6 * (moved**2).sum() ** 1.5)
    assert table_replicates(column(values), mean, jackknife=True).acceleration == pytest.approx(expected)
    by_weights = replicates_of_difference(
        weighted(np.zeros(6)), weighted(values), list("abcdef"), n_resamples=50, jackknife=True
    )
    assert by_weights.acceleration == pytest.approx(expected)


def test_weights_and_tables_agree():
    rng = np.random.default_rng(3)
    clusters = [str(i) for i in rng.integers(0, 60, size=200)]
    a, b = rng.normal(size=200), rng.normal(0.2, size=200)
    for method in ("percentile", "bca"):
        by_table = table_difference(column(a), column(b), mean, clusters, method=method)
        by_weight = interval_of_difference(weighted(a), weighted(b), clusters, method=method)
        assert ends(by_table) == pytest.approx(ends(by_weight), abs=0.02)


def test_the_difference_is_b_minus_a_with_shared_draws():
    # b is a + 1 everywhere: unpaired resampling would give a width; paired, every resample gives 1.
    a = np.random.default_rng(0).normal(size=50)
    made = table_replicates(*_joint(a, a + 1))
    assert made.estimate == pytest.approx(1.0)
    assert np.ptp(made.values) < 1e-12
    shifted = a + np.random.default_rng(1).normal(1, 0.01, size=50)
    low, high = ends(table_difference(column(a), column(shifted), mean))
    assert 0.98 < low < high < 1.02
    assert ends(interval_of_difference(weighted(a), weighted(shifted), [str(i) for i in range(50)]))[0] > 0.98


def _joint(a, b):
    return np.hstack([column(a), column(b)]), lambda s: mean(s[:, 2:]) - mean(s[:, :2])


def test_clusters_widen_the_interval_as_the_clustered_error_says():
    rng = np.random.default_rng(6)
    clusters = [str(i // 5) for i in range(500)]
    a = rng.normal(size=500)
    b = a + np.repeat(rng.normal(size=100), 5) + rng.normal(size=500) * 0.3
    low, high = ends(table_difference(column(a), column(b), mean, clusters))
    error = clustered_standard_error(b - a, clusters)
    assert high - low == pytest.approx(2 * 1.984 * error, rel=0.05)
    alone_low, alone_high = ends(table_difference(column(a), column(b), mean))
    assert high - low > 1.7 * (alone_high - alone_low)


@pytest.mark.parametrize(("n", "decimals"), [(200, 0), (200, 9), (4000, 9)])
def test_the_order_of_samples_changes_nothing(n, decimals):
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=(2, n)).round(decimals)
    clusters = [f"c{i}" for i in rng.integers(0, n, size=n)]
    order = rng.permutation(n)
    shuffled = [clusters[i] for i in order]
    for names, other in ((None, None), (clusters, shuffled)):
        first = table_difference(column(a), column(b), mean, names, n_resamples=300, seed=4)
        again = table_difference(column(a[order]), column(b[order]), mean, other, n_resamples=300, seed=4)
        assert first == again
    assert first != table_difference(column(a), column(b), mean, clusters, n_resamples=300, seed=5)


def test_unscored_samples_are_no_clusters():
    # Three scored samples of 400: the expansion must see three.
    table = np.zeros((400, 2))
    table[:3] = [[1.0, 1.0], [2.0, 1.0], [4.0, 1.0]]
    assert table_replicates(table, mean, n_resamples=10).n_clusters == 3


def test_no_interval_comes_with_a_reason():
    same = column([0.0, 1.0, 1.0])
    assert table_difference(same, same, mean).reason == "every resample gives the same figure"
    assert table_interval(np.zeros((3, 2)), mean).reason == "the figure is undefined for this set"
    assert table_interval(column([1.0]), mean).reason == "1 cluster: nothing to resample"
    one_sided = Replicates(5.0, np.array([1.0, 2.0, 3.0]), 9, acceleration=0.0)
    assert one_sided.interval("bca").reason == "all resamples lie on one side of the figure"
    assert one_sided.interval("bca").low is None


def test_p_and_interval_agree():
    rng = np.random.default_rng(10)
    both = set()
    for i in range(60):
        made = table_replicates(*_joint(rng.normal(size=25), rng.normal(0.45, size=25)), n_resamples=2000, seed=i)
        low, high = ends(made.interval())
        p = made.p_value()
        if abs(p - 0.05) > 0.003:  # one replicate more or less
            assert (p < 0.05) == (low > 0 or high < 0)
            both.add(p < 0.05)
    assert both == {True, False}


def test_p_is_that_of_a_t_test():
    rng = np.random.default_rng(12)
    a, b = rng.normal(size=(2, 30))
    b = b + 0.3
    made = table_replicates(*_joint(a, b), n_resamples=20_000)
    assert made.p_value() == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.015)
    assert made.p_value() == pytest.approx(sign_flip(b - a), abs=0.02)
    # No replicate of 99 beyond 0: tail 1/100, z = -2.326, which of 30 clusters is t = -2.287, p = .0297.
    assert table_replicates(*_joint(a, a + 9 + 0.01 * b), n_resamples=99).p_value() == pytest.approx(0.0297, abs=1e-4)
    assert table_replicates(*_joint(a, a)).p_value() is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: table_difference(np.ones((2, 2)), np.ones((3, 2)), mean), "the same"),
        (lambda: table_interval(column([1.0, 2.0]), mean, ["a"]), "1 clusters"),
        (lambda: table_interval(column([1.0, 2.0]), mean, n_resamples=0), "0 resamples"),
        (lambda: Replicates(0.0, np.array([0.0, 1.0]), 2).interval("bca"), "jackknife"),
        (lambda: Replicates(0.0, np.array([0.0, 1.0]), 2).interval("basic"), "choose percentile"),
        (lambda: interval_of_difference(mean, mean, []), "0 samples"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_hundred_thousand_samples_take_a_moment():
    # Right or wrong, clustered, and continuous: 10,000 resamples each. Far below what drawing every sample
    # takes (some 10 s each); the bound is loose for busy machines.
    rng = np.random.default_rng(14)
    right, moved = rng.random((2, 100_000))
    a, b = (right < 0.6).astype(float), ((right < 0.6) ^ (moved < 0.1)).astype(float)
    clusters = [str(i // 3) for i in range(100_000)]
    start = time.process_time()
    assert table_difference(column(a), column(b), mean).method == "bootstrap"
    assert table_difference(column(a), column(b), mean, clusters).method == "bootstrap"
    assert table_difference(column(right), column(moved), mean).method == "bootstrap-blocked"
    sign_flip(moved - right)
    assert time.process_time() - start < 8


@pytest.mark.parametrize("n", [30, 100])
def test_coverage_and_false_positives(n):
    # The long version with more kinds of data is benchmarks/coverage.py. 400 sets: standard error 1.1 points.
    rng = np.random.default_rng(15)
    held = fired = 0
    for i in range(400):
        base = rng.normal(size=n)
        other = base + rng.normal(0.3, 0.7, size=n)
        low, high = ends(table_difference(column(base), column(other), mean, n_resamples=400, seed=i))
        held += low <= 0.3 <= high
        fired += sign_flip(other - base - 0.3, n_resamples=199, seed=i) <= 0.05
    assert 0.92 <= held / 400 <= 0.985
    assert fired / 400 <= 0.08
