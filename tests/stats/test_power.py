"""Minimum detectable effects and sample sizes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import NormalIndPower, TTestPower

from halueval.stats.power import mde_mcnemar, mde_paired_mean, required_n_mcnemar, required_n_paired_mean


def exact_power(rate, effect, n, alpha=0.05):
    """Chance that the exact McNemar test gives p ≤ alpha, summed over all tables."""
    discordant = np.arange(n + 1)
    power = 0.0
    for d, weight in zip(discordant, stats.binom.pmf(discordant, n, rate), strict=True):
        if weight > 1e-12:
            fewer = np.arange(d + 1)
            p = np.minimum(1, 2 * stats.binom.cdf(np.minimum(fewer, d - fewer), d, 0.5))
            power += weight * stats.binom.pmf(fewer, d, (rate + effect) / (2 * rate))[p <= alpha].sum()
    return power


def test_the_published_sample_size():
    # Miller 2024: (1.96 + .8416)² · (1/9) / .03² = 969.
    assert required_n_paired_mean(1 / 3, 0.03) == 969


def test_the_effect_is_statsmodels():
    # One-sample z-test: the two-sample one against an infinite second set.
    reference = NormalIndPower(ddof=0).solve_power(nobs1=400, ratio=0, alpha=0.05, power=0.8)
    assert mde_paired_mean(1.0, 400) == pytest.approx(reference, rel=1e-4)
    # Student's t wants 1 % more at 100 pairs.
    assert mde_paired_mean(2.0, 100) == pytest.approx(
        2 * TTestPower().solve_power(nobs=100, alpha=0.05, power=0.8), rel=0.02
    )


@given(st.floats(0.01, 10), st.integers(2, 10_000), st.floats(0.001, 0.2), st.floats(0.55, 0.99))
def test_size_and_effect_are_inverse(sd, n, alpha, power):
    effect = mde_paired_mean(sd, n, alpha=alpha, power=power)
    assert required_n_paired_mean(sd, effect * (1 + 1e-9), alpha=alpha, power=power) == n


@pytest.mark.parametrize(
    ("n", "rate"), [(30, 0.3), (100, 0.1), (200, 0.1), (200, 0.3), (500, 0.05), (500, 0.4), (200, 0.0)]
)
def test_the_exact_test_finds_the_mcnemar_effect(n, rate):
    effect = mde_mcnemar(rate, n)
    # Few discordant samples make the formula cautious, never bold.
    assert 0.79 <= exact_power(max(rate, effect), effect, n) <= 0.88


def test_a_model_against_itself_has_an_effect_it_could_have_found():
    # No discordant sample: the effect is its own discordance. 6 of n one-sided flips are the least that p ≤ .05
    # allows, and .0437 of 200 are 8.7 expected.
    assert mde_mcnemar(0.0, 200) == pytest.approx(0.0437, abs=5e-5)
    assert mde_mcnemar(0.0, 20_000) == pytest.approx(8.7 / 20_000, rel=0.02)


def test_too_few_pairs_find_nothing():
    # Even 5 of 5 flips give p = 2/32.
    assert mde_mcnemar(0.5, 4) is None
    assert mde_mcnemar(0.5, 30) is not None


@given(st.floats(0.02, 1), st.floats(0.05, 1))
def test_the_mcnemar_size_finds_its_effect(rate, share):
    effect = rate * share
    n = required_n_mcnemar(rate, effect)
    assert mde_mcnemar(rate, n) <= effect * (1 + 1e-6)
    assert required_n_mcnemar(rate, -effect) == n


def test_the_mcnemar_size_by_hand():
    # ψ = .2, δ = .1: (1.95996·.44721 + .84162·.43589)² / .01 + 10 = 1.54335/.01 + 10 → 165.
    by_hand = (1.959964 * math.sqrt(0.2) + 0.841621 * math.sqrt(0.19)) ** 2 / 0.01 + 10
    assert required_n_mcnemar(0.2, 0.1) == math.ceil(by_hand) == 165
    assert exact_power(0.2, 0.1, 165) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mde_paired_mean(-1, 10),
        lambda: mde_paired_mean(math.nan, 10),
        lambda: mde_paired_mean(1, 0),
        lambda: mde_paired_mean(1, 10, alpha=0),
        lambda: required_n_paired_mean(1, 0),
        lambda: mde_mcnemar(1.2, 10),
        lambda: mde_mcnemar(0.2, 10, power=0.4),
        lambda: required_n_mcnemar(0.1, 0.2),
        lambda: required_n_mcnemar(0.1, 0),
    ],
)
def test_nonsense_is_refused(call):
    with pytest.raises(ValueError, match=r"\d"):
        call()
