"""Two scorers held against the same human values: Williams' test, and the paired bootstrap of any figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from halueval.stats.agreement import pearson
from halueval.stats.bootstrap import replicates_of_difference
from halueval.stats.measure import DIGITS, FloatArray, Measure
from halueval.stats.special import student_t_cdf


@dataclass(frozen=True, slots=True)
class Williams:
    """Williams' test.

    Attributes:
        t: positive where the first correlation is the larger; None where the test is undefined.
        df: degrees of freedom, n - 3.
        p_value: two-sided; None where the test is undefined.
        reason: why it is.
    """

    t: float | None
    df: int
    p_value: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """First minus second in one figure, with its percentile interval and the p-value that goes with it."""

    delta: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    reason: str | None = None


def williams(r_first: float, r_second: float, r_between: float, n: int) -> Williams:
    """Test whether two correlations with one shared variable differ (Williams 1959; Steiger 1980, formula 7).

    It takes rows as independent and normal; with several rows a document the bootstrap is the one to read.

    Args:
        r_first: correlation of the first scorer with the shared variable.
        r_second: of the second.
        r_between: of the two scorers with each other.
        n: rows.
    """
    df = n - 3
    if n < 4:
        return Williams(None, df, None, f"{n} rows: too few")
    if not all(math.isfinite(r) and -1 <= r <= 1 for r in (r_first, r_second, r_between)):
        return Williams(None, df, None, "a correlation is undefined")
    if r_between >= 1 - 1e-12:
        return Williams(None, df, None, "the two scorers are the same up to scale")
    determinant = 1 - r_first**2 - r_second**2 - r_between**2 + 2 * r_first * r_second * r_between
    mean = (r_first + r_second) / 2
    spread = 2 * (n - 1) / df * max(determinant, 0.0) + mean**2 * (1 - r_between) ** 3
    if spread <= 0:
        return Williams(None, df, None, "the correlations leave no variance")
    t = (r_first - r_second) * math.sqrt((n - 1) * (1 + r_between) / spread)
    return Williams(t, df, min(1.0, 2 * student_t_cdf(-abs(t), df)))


def williams_of(first: FloatArray, second: FloatArray, human: FloatArray) -> Williams:
    """Williams' test from three arrays of shape (n,)."""
    measures = pearson(first, human), pearson(second, human), pearson(first, second)
    for measure in measures:
        if measure.problem is not None:
            return Williams(None, len(human) - 3, None, measure.problem)
    ones = np.ones((1, len(human)))
    r = [float(measure.statistic(ones)[0]) for measure in measures]
    return williams(r[0], r[1], r[2], len(human))


def paired_difference(
    first: Measure, second: Measure, clusters: Sequence[str], *, n_resamples: int = 2000, seed: int = 0
) -> PairedDifference:
    """First minus second, both from the same draws of rows or clusters.

    Args:
        first: a figure of the first scorer.
        second: the same figure of the second, on the same rows.
        clusters: n names; rows of one are drawn together.
        n_resamples: replicates.
        seed: of the draws.
    """
    problem = first.problem or second.problem
    if problem is not None:
        return PairedDifference(None, reason=problem)
    no_interval = first.no_interval or second.no_interval
    if no_interval is not None:
        ones = np.ones((1, len(clusters)))
        return PairedDifference(float(first.statistic(ones)[0] - second.statistic(ones)[0]), reason=no_interval)
    made = replicates_of_difference(
        second.statistic, first.statistic, list(clusters), n_resamples=n_resamples, seed=seed
    )
    made = replace(made, values=np.round(made.values, DIGITS))
    if not math.isfinite(made.estimate):
        return PairedDifference(None, reason="undefined for these rows")
    interval = made.interval()
    return PairedDifference(made.estimate, interval.low, interval.high, made.p_value(), interval.reason)
