"""Two unrelated sets against each other: shares by Fisher's test, any statistic by jackknife and permutation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.intervals import CONFIDENCE
from halueval.stats.special import student_t_cdf, student_t_quantile

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray, FloatArray], float]
"""Weights of the members of both sets, shapes (n,) and (m,), to a figure."""

MAX_GROUPS = 20
_TIE = 1 + 1e-7


def fisher_exact(s1: int, n1: int, s2: int, n2: int) -> float:
    """Two-sided p of Fisher's exact test that s1/n1 and s2/n2 are one share (Fisher 1935).

    The probabilities of all tables with these margins that are no likelier than the one observed are added up.

    Args:
        s1: successes of the first set.
        n1: its size.
        s2: successes of the second set.
        n2: its size.

    Raises:
        ValueError: an empty set, or successes outside it.
    """
    if not (0 <= s1 <= n1 and 0 <= s2 <= n2 and n1 and n2):
        raise ValueError(f"{s1} of {n1} and {s2} of {n2}; sets must hold something, and their successes")
    total = s1 + s2

    def log_probability(k: int) -> float:
        return _log_choose(n1, k) + _log_choose(n2, total - k) - _log_choose(n1 + n2, total)

    observed = math.exp(log_probability(s1)) * _TIE
    chances = (math.exp(log_probability(k)) for k in range(max(0, total - n2), min(n1, total) + 1))
    return min(1.0, math.fsum(chance for chance in chances if chance <= observed))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


@dataclass(frozen=True, slots=True)
class TwoSample:
    """A figure of two sets with its error and degrees of freedom; both None where a set has a single member."""

    value: float
    standard_error: float | None
    df: float

    def interval(self, low: float = -math.inf, high: float = math.inf) -> tuple[float | None, float | None]:
        """The 95 % interval, cut at what the figure can be; None at both ends where there is no error."""
        if not self.standard_error:
            return None, None
        half = -student_t_quantile((1 - CONFIDENCE) / 2, self.df) * self.standard_error
        return max(low, self.value - half), min(high, self.value + half)

    def p_value(self) -> float | None:
        """Two-sided p of "the figure is 0"."""
        if not self.standard_error:
            return None
        return 2 * student_t_cdf(-abs(self.value) / self.standard_error, self.df)


def jackknife_two_samples(statistic: Statistic, n: int, m: int, seed: int = 0) -> TwoSample:
    """A smooth figure of two independent sets, with the error of leaving out one group of members at a time.

    Each set is cut into at most `MAX_GROUPS` groups by random; each set's delete-a-group jackknife variance
    (g - 1)/g · Σ(θ_(i) - mean)² is added to the other's (Efron and Tibshirani 1993, ch. 11), with degrees of freedom
    by Welch and Satterthwaite.

    Args:
        statistic: of the weights (0 or 1) of the members.
        n: members of the first set.
        m: of the second.
        seed: of the groups.

    Raises:
        ValueError: an empty set.
    """
    if n < 1 or m < 1:
        raise ValueError(f"sets of {n} and {m}; both must hold something")
    whole = np.ones(n), np.ones(m)
    value = statistic(*whole)
    rng = np.random.default_rng(seed)
    parts = []
    for side, size in enumerate((n, m)):
        groups = min(size, MAX_GROUPS)
        if groups < 2:
            return TwoSample(value, None, 1.0)
        member = rng.permutation(size) % groups
        left_out = []
        for group in range(groups):
            weights = [whole[0], whole[1]]
            weights[side] = (member != group).astype(np.float64)
            left_out.append(statistic(weights[0], weights[1]))
        off = np.array(left_out) - np.mean(left_out)
        parts.append(((groups - 1) / groups * float(off @ off), groups - 1))
    variance = sum(part for part, _ in parts)
    if not math.isfinite(variance) or variance <= 0:
        return TwoSample(value, None, 1.0)
    return TwoSample(value, math.sqrt(variance), variance**2 / sum(part**2 / df for part, df in parts))


def permutation_null(
    statistic: Callable[[NDArray[np.bool_]], float], n: int, m: int, *, n_permutations: int = 500, seed: int = 0
) -> FloatArray:
    """A figure under random division of the pooled members into sets of the same sizes.

    Args:
        statistic: of a mask, shape (n + m,), True for members of the first set.
        n: members of the first set.
        m: of the second.
        n_permutations: divisions.
        seed: of the divisions.

    Returns:
        Shape (n_permutations,).
    """
    rng = np.random.default_rng(seed)
    first = np.arange(n + m) < n
    return np.array([statistic(rng.permutation(first)) for _ in range(n_permutations)])


def upper_p(value: float, null: FloatArray) -> float:
    """(1 + k)/(1 + B), k of the B draws of the null being at least as large (Phipson and Smyth 2010)."""
    return (1 + int((null >= value - 1e-12).sum())) / (1 + len(null))
