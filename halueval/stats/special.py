"""The two distributions that exact tests need, from the standard library: binomial and Student's t.

Both are the regularised incomplete beta function I_x(a, b), computed by its continued fraction (DLMF
8.17.22). scipy has it too, but a dependency of 40 MB for one function would be paid by every user.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

NORMAL = NormalDist()
MAX_TERMS = 100_000
TINY = 1e-300


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), to about 12 digits while a + b stays below 1e5.

    Args:
        a: first shape, > 0.
        b: second shape, > 0.
        x: in [0, 1].

    Raises:
        ValueError: a shape that is not positive, or x outside [0, 1].
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise ValueError(f"incomplete beta of a={a}, b={b}, x={x}; a and b must be positive, x in [0, 1]")
    if x in (0.0, 1.0):
        return float(x)
    if x > (a + 1) / (a + b + 2):  # beyond it the fraction converges slowly, and the mirror image fast
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction 1/(1 + d1/(1 + d2/(1 + …))) by the modified Lentz scheme."""
    numerator, denominator = 1.0, 1.0 - (a + b) * x / (a + 1)
    denominator = 1.0 / (denominator or TINY)
    value = denominator
    for m in range(1, MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            denominator = 1.0 / ((1.0 + term * denominator) or TINY)
            numerator = (1.0 + term / numerator) or TINY
            value *= numerator * denominator
        if abs(numerator * denominator - 1.0) < 1e-15:
            return value
    raise ArithmeticError(f"the incomplete beta function of a={a}, b={b}, x={x} does not converge")


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X ≤ k) for X ~ Binomial(n, p).

    Raises:
        ValueError: n < 0 or p outside [0, 1].
    """
    if n < 0 or not 0 <= p <= 1:
        raise ValueError(f"binomial of n={n}, p={p}")
    if k < 0:
        return 0.0
    return 1.0 if k >= n else incomplete_beta(n - k, k + 1, 1.0 - p)


def binomial_pmf(k: int, n: int, p: float) -> float:
    """P(X = k) for X ~ Binomial(n, p).

    Raises:
        ValueError: n < 0 or p outside [0, 1].
    """
    if n < 0 or not 0 <= p <= 1:
        raise ValueError(f"binomial of n={n}, p={p}")
    if not 0 <= k <= n:
        return 0.0
    if p in (0.0, 1.0):
        return 1.0 if k == n * p else 0.0
    log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log_choose + k * math.log(p) + (n - k) * math.log1p(-p))


def student_t_cdf(t: float, df: float) -> float:
    """P(T ≤ t) of Student's t with `df` degrees of freedom (DLMF 8.17 with a = df/2, b = 1/2).

    Raises:
        ValueError: df ≤ 0.
    """
    if df <= 0:
        raise ValueError(f"{df} degrees of freedom")
    tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return tail if t < 0 else 1.0 - tail


@lru_cache(maxsize=1024)
def student_t_quantile(p: float, df: float) -> float:
    """The t with P(T ≤ t) = p, 0 < p < 1.

    Raises:
        ValueError: p outside (0, 1), or df ≤ 0.
    """
    if not 0 < p < 1:
        raise ValueError(f"no t quantile of {p}; it must be in (0, 1)")
    if p == 0.5:
        return 0.0
    if p > 0.5:
        return -student_t_quantile(1.0 - p, df)
    low = -1.0
    while student_t_cdf(low, df) > p:
        low *= 2
    return find_root(lambda t: student_t_cdf(t, df) - p, low, 0.0)


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where an increasing function crosses 0 between `low` and `high`, by halving to the last digit."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if function(middle) < 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
