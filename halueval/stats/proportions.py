"""Closed-form 95 % intervals of proportions, for sets too small or too one-sided for the bootstrap.

They have a width even where nothing was observed: 0 of 20 is not "certainly never". All but `wilson_clustered`
assume independent samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from halueval.stats.intervals import CONFIDENCE, Z_95, wilson_interval
from halueval.stats.special import binomial_cdf, find_root, student_t_quantile


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927).

    Raises:
        ValueError: n is not positive, or successes outside [0, n].
    """
    interval = wilson_interval(successes, n)
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def wilson_clustered(share: float, standard_error: float, n: int, n_clusters: int) -> tuple[float, float]:
    """Wilson's interval of a proportion of clustered samples: of as many independent ones as its error amounts to.

    The effective number is share(1 - share)/error², and made smaller by (z/t)², t with K - 1 degrees of freedom for
    K clusters (Korn and Graubard 1998, Survey Methodology 24:193, who so adapt the exact interval). Never more than
    n; where the share is 0 or 1, or nothing varies, the number of clusters.

    Args:
        share: the proportion.
        standard_error: its cluster-robust one.
        n: samples.
        n_clusters: K among them.

    Raises:
        ValueError: a share outside [0, 1], a negative error, or fewer samples than clusters.
    """
    if not (0 <= share <= 1 and standard_error >= 0 and 1 <= n_clusters <= n):
        raise ValueError(f"share {share} with error {standard_error} of {n} samples in {n_clusters} clusters")
    if n_clusters == 1:
        return wilson(share, 1)
    variance = standard_error**2
    effective = min(n, share * (1 - share) / variance) if 0 < share < 1 and variance > 0 else float(n_clusters)
    effective *= (Z_95 / student_t_quantile((1 - CONFIDENCE) / 2, n_clusters - 1)) ** 2
    return wilson(share * effective, effective)


def newcombe_difference(s1: float, n1: float, s2: float, n2: float) -> tuple[float, float]:
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


def newcombe_paired(a: float, b: float, c: float, d: float) -> tuple[float, float]:
    """Interval of a difference of paired proportions (Newcombe 1998, Stat. Med. 17:2635, method 10).

    The difference is *first minus second*, (b - c)/n. For candidate minus base, let the candidate be first. Counts
    need not be whole: an effective number of independent pairs may stand for clustered ones.

    Args:
        a: samples with both.
        b: samples with the first only.
        c: samples with the second only.
        d: samples with neither.

    Raises:
        ValueError: a negative count, or no samples.
    """
    n = a + b + c + d
    if min(a, b, c, d) < 0 or n <= 0:
        raise ValueError(f"counts {a}, {b}, {c}, {d}; none can be negative, and there must be some")
    (low1, high1), (low2, high2) = wilson(a + b, n), wilson(a + c, n)
    determinant = float(a * d - b * c)
    if determinant > 0:  # the continuity correction that makes it method 10 and not 8
        determinant = max(determinant - n / 2, 0.0)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    phi = determinant / math.sqrt(margins) if margins else 0.0
    return _square_and_add((a + b) / n, low1, high1, (a + c) / n, low2, high2, phi)


def mean_of_intervals(parts: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """The mean of independent figures, with an interval from theirs (MOVER: Zou and Donner 2008, Stat. Med. 27:1693).

    Each end lies √Σ(distance of a figure to its own end)²/m from the mean of m figures, so that lopsided intervals
    make a lopsided one.

    Args:
        parts: figure, low end and high end of each.

    Returns:
        The mean, its low end and its high end.

    Raises:
        ValueError: no parts, or an end on the wrong side of its figure.
    """
    if not parts or not all(low <= value <= high for value, low, high in parts):
        raise ValueError(f"{len(parts)} figures; there must be some, each inside its interval")
    m = len(parts)
    mean = math.fsum(value for value, _, _ in parts) / m
    below = math.sqrt(math.fsum((value - low) ** 2 for value, low, _ in parts)) / m
    above = math.sqrt(math.fsum((high - value) ** 2 for value, _, high in parts)) / m
    return mean, mean - below, mean + above


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
