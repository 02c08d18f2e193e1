"""Closed-form 95 % intervals of proportions, for sets too small or too one-sided for the bootstrap.

They have a width even where nothing was observed: 0 of 20 is not "certainly never". All assume independent
samples; where samples come in clusters, count clusters or use the bootstrap.
"""

from __future__ import annotations

import math

from halueval.stats.intervals import CONFIDENCE, wilson_interval
from halueval.stats.special import binomial_cdf, find_root


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927).

    Raises:
        ValueError: n < 1, or successes outside [0, n].
    """
    interval = wilson_interval(successes, n)
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def newcombe_difference(s1: float, n1: int, s2: float, n2: int) -> tuple[float, float]:
    """Interval of s1/n1 - s2/n2 for two independent sets (Newcombe 1998, Stat. Med. 17:873, method 10).

    Args:
        s1: successes of the first set.
        n1: its size.
        s2: successes of the second set.
        n2: its size.

    Raises:
        ValueError: an empty set, or successes outside it.
    """
    (low1, high1), (low2, high2) = wilson(s1, n1), wilson(s2, n2)
    return _square_and_add(s1 / n1, low1, high1, s2 / n2, low2, high2, 0.0)


def newcombe_paired(a: int, b: int, c: int, d: int) -> tuple[float, float]:
    """Interval of a difference of paired proportions (Newcombe 1998, Stat. Med. 17:2635, method 10).

    The difference is *first minus second*, (b - c)/n. For candidate minus base, let the candidate be first.

    Args:
        a: samples with both.
        b: samples with the first only.
        c: samples with the second only.
        d: samples with neither.

    Raises:
        ValueError: a negative count, or no samples.
    """
    n = a + b + c + d
    if min(a, b, c, d) < 0 or n < 1:
        raise ValueError(f"counts {a}, {b}, {c}, {d}; none can be negative, and there must be some")
    (low1, high1), (low2, high2) = wilson(a + b, n), wilson(a + c, n)
    determinant = float(a * d - b * c)
    if determinant > 0:  # the continuity correction that makes it method 10 and not 8
        determinant = max(determinant - n / 2, 0.0)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    phi = determinant / math.sqrt(margins) if margins else 0.0
    return _square_and_add((a + b) / n, low1, high1, (a + c) / n, low2, high2, phi)


def _square_and_add(
    p1: float, low1: float, high1: float, p2: float, low2: float, high2: float, phi: float
) -> tuple[float, float]:
    """Join two Wilson intervals as sides of a triangle whose angle is the correlation `phi`."""

    def side(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))

    difference = p1 - p2
    return difference - side(p1 - low1, high2 - p2), difference + side(high1 - p1, p2 - low2)


def cohens_h(p1: float, p2: float) -> float:
    """Cohen's h, 2 asin √p1 - 2 asin √p2 (Cohen 1988): .2 is small, .5 medium, .8 large.

    Raises:
        ValueError: a proportion outside [0, 1].
    """
    if not (0 <= p1 <= 1 and 0 <= p2 <= 1):
        raise ValueError(f"proportions {p1} and {p2}; both must be in [0, 1]")
    return 2 * math.asin(math.sqrt(p1)) - 2 * math.asin(math.sqrt(p2))


def paired_odds_ratio(b: int, c: int) -> tuple[float | None, float, float]:
    """Conditional odds ratio b/c of paired samples with its exact 95 % interval.

    The interval is Clopper and Pearson's of b among b + c, turned into odds (Liddell 1983).

    Args:
        b: samples with the first only.
        c: samples with the second only.

    Returns:
        Ratio, low, high. The ratio and `high` are infinite where c = 0; with b = c = 0 nothing was seen: the
        ratio is None and the interval 0 to infinity.

    Raises:
        ValueError: a negative count.
    """
    if b < 0 or c < 0:
        raise ValueError(f"discordant counts {b} and {c}; neither can be negative")
    low, high = clopper_pearson(b, b + c) if b + c else (0.0, 1.0)
    ratio = None if b + c == 0 else (math.inf if c == 0 else b / c)
    return ratio, low / (1 - low), (high / (1 - high) if high < 1 else math.inf)


def clopper_pearson(successes: int, n: int) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper and Pearson 1934): covers at least 95 %, often more.

    Raises:
        ValueError: n < 1, or successes outside [0, n].
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    tail = (1 - CONFIDENCE) / 2
    low = high = 0.0
    if successes > 0:
        low = find_root(lambda p: 1 - binomial_cdf(successes - 1, n, p) - tail, 0.0, 1.0)
    high = find_root(lambda p: tail - binomial_cdf(successes, n, p), 0.0, 1.0) if successes < n else 1.0
    return low, high
