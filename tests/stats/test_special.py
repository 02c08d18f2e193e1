"""The incomplete beta function and what hangs on it, against scipy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from halueval.stats.special import binomial_cdf, binomial_pmf, incomplete_beta, student_t_cdf, student_t_quantile


@given(st.floats(0.1, 2000), st.floats(0.1, 2000), st.floats(0, 1))
def test_incomplete_beta_is_scipys(a, b, x):
    assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-14)


@given(st.integers(0, 5000), st.data(), st.floats(1e-9, 1))  # scipy overflows below 1e-300
def test_binomial_is_scipys(n, data, p):
    k = data.draw(st.integers(-1, n + 1))
    assert binomial_cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), rel=1e-9, abs=1e-12)
    assert binomial_pmf(k, n, p) == pytest.approx(stats.binom.pmf(k, n, p), rel=1e-9, abs=1e-12)


def test_a_binomial_by_hand():
    # Three fair coins: 1/8, 3/8, 3/8, 1/8.
    assert [binomial_pmf(k, 3, 0.5) for k in range(4)] == pytest.approx([0.125, 0.375, 0.375, 0.125])
    assert binomial_cdf(1, 3, 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("df", [1, 2, 3.5, 29, 499, 1e5])
@pytest.mark.parametrize("p", [1e-4, 0.025, 0.2, 0.5, 0.975])
def test_student_t_is_scipys(p, df):
    assert student_t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-8, abs=1e-12)
    assert student_t_cdf(stats.t.ppf(p, df), df) == pytest.approx(p, rel=1e-8)


@pytest.mark.parametrize(
    "call",
    [
        lambda: incomplete_beta(0, 1, 0.5),
        lambda: incomplete_beta(1, 1, 1.5),
        lambda: incomplete_beta(1, 1, math.nan),
        lambda: binomial_cdf(1, -1, 0.5),
        lambda: binomial_pmf(1, 2, 1.5),
        lambda: student_t_cdf(0, 0),
        lambda: student_t_quantile(0, 5),
    ],
)
def test_nonsense_is_refused(call):
    with pytest.raises(ValueError, match=r"."):
        call()
