"""McNemar, sign flips, swaps and clustered errors."""

import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from halueval.stats.paired import clustered_standard_error, mcnemar_exact, sign_flip, swap_test


def mean(sums):
    return sums[:, 0] / sums[:, 1]


def column(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


def exact_sign_flip(differences):
    """All 2^n flips, by force."""
    signs = np.array(list(itertools.product([-1, 1], repeat=len(differences))))
    sums = np.abs(signs @ differences)
    return (sums >= abs(sum(differences)) - 1e-9).mean()


def test_mcnemar_by_hand():
    # b=10, c=2: 2 (1 + 12 + 66)/4096 = 158/4096; the mid-p leaves out one term of 66. b=30, c=15: .035698.
    test = mcnemar_exact(10, 2)
    assert test.p_value == pytest.approx(158 / 4096)
    assert test.p_mid == pytest.approx(92 / 4096)
    assert (test.b, test.c) == (10, 2)
    assert mcnemar_exact(30, 15).p_value == pytest.approx(0.035698, abs=5e-7)
    # Armitage and Berry 1994, p. 127 (as StatsDirect's manual prints it): 12 against 2, p = .0129.
    assert mcnemar_exact(12, 2).p_value == pytest.approx(0.0129, abs=5e-5)


def test_a_planted_effect_is_found_and_chance_is_not():
    # 12 of 200 samples flip one way: 2/2^12. 2 of 200: 2/2^2.
    assert mcnemar_exact(12, 0).p_value == pytest.approx(2 / 2**12)
    assert mcnemar_exact(2, 0).p_value == pytest.approx(0.5)


def test_no_discordant_sample_is_no_evidence():
    assert (mcnemar_exact(0, 0).p_value, mcnemar_exact(0, 0).p_mid) == (1.0, 1.0)
    assert (mcnemar_exact(7, 7).p_value, mcnemar_exact(7, 7).p_mid) == (1.0, pytest.approx(1.0))


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_statsmodels_and_scipys(b, c):
    test = mcnemar_exact(b, c)
    assert test.p_value == pytest.approx(mcnemar([[1, b], [c, 1]], exact=True).pvalue, rel=1e-9, abs=1e-12)
    if b + c:
        assert test.p_value == pytest.approx(stats.binomtest(b, b + c).pvalue, rel=1e-9, abs=1e-12)
    assert test.p_mid <= test.p_value
    assert test.p_value == mcnemar_exact(c, b).p_value


def test_mcnemar_of_large_counts():
    assert mcnemar_exact(50_000, 49_500).p_value == pytest.approx(stats.binomtest(50_000, 99_500).pvalue, rel=1e-8)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="-1"):
        mcnemar_exact(-1, 2)


def test_sign_flip_against_all_flips():
    differences = [0.5, -0.25, 1.0, 0.75, 0.0, 0.3, 0.3, -0.1, 0.9, 0.2]
    assert sign_flip(differences, n_resamples=40_000) == pytest.approx(exact_sign_flip(differences), abs=0.004)


def test_sign_flip_of_one_way_flips_is_mcnemar():
    # Six differences of 1: only all-up and all-down are as far, 2/64; zeros change nothing.
    values = [1.0] * 6 + [0.0] * 50
    assert sign_flip(values, n_resamples=40_000) == pytest.approx(2 / 64, abs=0.003)
    assert sign_flip([0.0] * 9) == 1.0


def test_sign_flip_is_scipys_permutation_test():
    rng = np.random.default_rng(5)
    a, b = rng.gamma(2, size=40), rng.gamma(2.6, size=40)
    reference = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert sign_flip(b - a, n_resamples=20_000) == pytest.approx(reference.pvalue, abs=0.012)


def test_samples_of_a_cluster_flip_together():
    # Five clusters that all went up by 4 samples of 1: 2/32, though 20 single samples would give 2e-6.
    clusters = [f"fact{i // 4}" for i in range(20)]
    assert sign_flip([1.0] * 20, clusters, n_resamples=40_000) == pytest.approx(2 / 32, abs=0.004)
    assert sign_flip([1.0] * 20, n_resamples=1000) == 1 / 1001
    table_a, table_b = column([0.0] * 20), column([1.0] * 20)
    assert swap_test(table_a, table_b, mean, clusters, n_resamples=40_000) == pytest.approx(2 / 32, abs=0.004)


@pytest.mark.parametrize("decimals", [1, 12])
def test_the_order_of_samples_changes_no_p(decimals):
    # One decimal: few distinct rows, drawn as counts; twelve: as many as samples.
    rng = np.random.default_rng(0)
    values, other = rng.normal(0.1, size=(2, 300)).round(decimals)
    clusters = [str(i) for i in rng.integers(0, 90, size=300)]
    order = rng.permutation(300)
    shuffled = [clusters[i] for i in order]
    assert sign_flip(values, seed=3) == sign_flip(values[order], seed=3)
    assert sign_flip(values, clusters, seed=3) == sign_flip(values[order], shuffled, seed=3)
    assert swap_test(column(other), column(values), mean, clusters, seed=3) == swap_test(
        column(other[order]), column(values[order]), mean, shuffled, seed=3
    )


def test_sign_flip_of_many_distinct_values_is_the_normal_tail():
    # 20,000 distinct values are drawn in blocks; with so many, p is that of a z-test without centring.
    values = np.random.default_rng(11).gamma(1, size=20_000) * np.random.default_rng(12).choice([-1, 1], 20_000)
    values += 0.012
    z = values.sum() / math.sqrt((values**2).sum())
    assert 0.05 < 2 * stats.norm.sf(abs(z)) < 0.5
    assert sign_flip(values, n_resamples=20_000) == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.012)


def test_swap_of_a_mean_is_a_sign_flip():
    rng = np.random.default_rng(2)
    a, b = rng.random(50), rng.random(50) + 0.08
    assert swap_test(column(a), column(b), mean, n_resamples=20_000) == pytest.approx(
        sign_flip(b - a, n_resamples=20_000), abs=0.012
    )


def test_swap_of_a_ratio_against_all_swaps():
    # Corpus figure Σx/Σw with weights that differ between the sides: no sign flip can do it.
    rng = np.random.default_rng(8)
    a, b = rng.integers(1, 9, size=(2, 8, 2)).astype(float)
    observed = abs(mean(b.sum(0)[None]) - mean(a.sum(0)[None]))[0]
    figures = []
    for sides in itertools.product([0, 1], repeat=8):
        taken = np.array(sides, dtype=bool)[:, None]
        left, right = np.where(taken, b, a).sum(0), np.where(taken, a, b).sum(0)
        figures.append(abs(left[0] / left[1] - right[0] / right[1]))
    exact = (np.array(figures) >= observed - 1e-9).mean()
    assert 0.02 < exact < 0.98
    assert swap_test(a, b, mean, n_resamples=40_000) == pytest.approx(exact, abs=0.01)


def test_equal_sides_are_no_evidence():
    table = column([0.0, 1.0, 1.0])
    assert swap_test(table, table, mean) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sign_flip([]), "shape"),
        (lambda: sign_flip([0.1, math.nan]), "NaN"),
        (lambda: sign_flip([[1.0]]), "one-dimensional"),
        (lambda: sign_flip([1.0, 2.0], ["a"]), "1 clusters for 2"),
        (lambda: sign_flip([1.0], n_resamples=0), "0 resamples"),
        (lambda: swap_test(np.ones((2, 2)), np.ones((3, 2)), mean), "the same"),
        (lambda: swap_test(np.zeros((2, 2)), np.ones((2, 2)), lambda s: np.full(len(s), np.nan)), "finite"),
        (lambda: clustered_standard_error([1.0, 2.0], ["a", "a"]), "1 cluster"),
        (lambda: clustered_standard_error([], []), "shape"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_clustered_standard_error_by_hand():
    # Mean 1; cluster sums of deviations: a 0-1 + 0-1 = -2, b 2-1 + 2-1 = 2: sqrt(2/1 · (4 + 4)) / 4 = 1.
    assert clustered_standard_error([0.0, 0.0, 2.0, 2.0], ["a", "a", "b", "b"]) == pytest.approx(1.0)


def test_single_samples_have_the_usual_error():
    values = [1.0, 2.0, 4.0, 8.0]
    assert clustered_standard_error(values, list("abcd")) == pytest.approx(np.std(values, ddof=1) / 2)


def test_clustered_standard_error_is_statsmodels():
    rng = np.random.default_rng(4)
    groups = np.sort(rng.integers(0, 12, size=70))
    values = rng.normal(size=12)[groups] + rng.normal(size=70)
    fit = sm.OLS(values, np.ones(70)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert clustered_standard_error(values, [str(g) for g in groups]) == pytest.approx(fit.bse[0])
