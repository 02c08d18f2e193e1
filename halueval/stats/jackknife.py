"""Standard errors by leaving out one cluster at a time, and the symmetric intervals that stand on them.

A figure of column sums costs one subtraction a cluster to compute again without it, so the delete-one jackknife
(Quenouille 1949, Tukey 1958; Efron and Tibshirani 1993, ch. 11) is exact, needs no draws and no seed, and takes
milliseconds for 100,000 clusters. Of a mean of single samples its error is the usual s/√n. Of clusters of unequal
size it is the cautious one of the cluster-robust errors (CR3: Bell and McCaffrey 2002).

The interval is figure ± t · error. An error that comes from few clusters, or in which few clusters say nearly all
there is to say, is itself uncertain; how uncertain is estimated from the contributions d of the clusters by
Satterthwaite's rule (1946). A sum Σd² of independent normal d with variances σ² has (Σσ²)²/Σσ⁴ degrees of freedom;
E d² = σ² and E d⁴ = 3σ⁴ give 3(Σd²)²/Σd⁴, less one for the mean. That is about K - 1 for K clusters of one size,
and far less where one document holds most of the words or two samples alone differ. benchmarks/coverage.md shows
that with it intervals hold what they say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.blocks import sum_by_cluster
from halueval.stats.intervals import CHUNK_BYTES, CONFIDENCE, Interval, Resampler
from halueval.stats.special import student_t_cdf, student_t_quantile

FloatArray = NDArray[np.float64]
Finalize = Callable[[FloatArray], FloatArray]
"""Column sums of shape (b, m) to figures of shape (b,), NaN where undefined."""
Statistic = Callable[[FloatArray], FloatArray]
"""Weights of shape (b, n) to figures of shape (b,)."""

ROUNDING = 32 * float(np.finfo(np.float64).eps)
"""Contributions below this share of the figure are rounding errors of it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its standard error.

    Attributes:
        value: the figure; NaN where undefined.
        standard_error: 0 where nothing varies, NaN where there is none (`reason`).
        df: degrees of freedom of the error, in [1, K - 1].
        n_clusters: K, clusters with something to score.
        method: how the error was made, for the record.
        reason: why there is no error.
    """

    value: float
    standard_error: float
    df: float
    n_clusters: int
    method: str = "jackknife-t"
    reason: str | None = None

    def interval(self, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
        """The 95 % interval, cut at `bounds`, what the figure can be at all.

        Returns:
            An interval without ends, with the reason, where there is no error or it is 0: no width would claim a
            certainty that nobody has.
        """
        if self.reason is not None:
            return Interval(None, None, self.method, self.reason)
        if self.standard_error == 0:
            return Interval(None, None, self.method, "nothing varies")
        half = -student_t_quantile((1 - CONFIDENCE) / 2, self.df) * self.standard_error
        return Interval(max(bounds[0], self.value - half), min(bounds[1], self.value + half), self.method)

    def p_value(self) -> float | None:
        """Two-sided p of "the figure is 0" by the same t; None where there is no interval."""
        if self.reason is not None or self.standard_error == 0:
            return None
        return 2 * student_t_cdf(-abs(self.value) / self.standard_error, self.df)


def table_estimate(table: FloatArray, finalize: Finalize, clusters: Sequence[str] | None = None) -> Estimate:
    """A figure that is a function of column sums, with its jackknife error.

    Args:
        table: shape (n, m), a row of zeros where there is no score.
        finalize: sums of shape (b, m) to figures of shape (b,).
        clusters: n names; None where each sample is its own cluster.

    Raises:
        ValueError: a table that is empty or not finite, or another number of clusters.
    """
    rows = sum_by_cluster(table, clusters)
    whole, left_out = _leave_one_out(rows[rows.any(axis=1)], finalize)
    return _estimate(whole, left_out, np.abs(left_out))


def difference_estimate(
    table_a: FloatArray, table_b: FloatArray, finalize: Finalize, clusters: Sequence[str] | None = None
) -> Estimate:
    """The figure of b less that of a, over the same samples, with its jackknife error.

    Args:
        table_a: shape (n, m), the base's sufficient statistics.
        table_b: shape (n, m), the candidate's, in the same order of samples.
        finalize: sums of shape (b, m) to figures of shape (b,).
        clusters: n names; None where each sample is its own cluster.

    Raises:
        ValueError: tables that are empty, not finite or of different shape, or another number of clusters.
    """
    if np.shape(table_a) != np.shape(table_b) or np.ndim(table_a) != 2:
        raise ValueError(f"tables of shape {np.shape(table_a)} and {np.shape(table_b)}; pairs need the same")
    width = np.shape(table_a)[1]
    rows = sum_by_cluster(np.hstack([table_a, table_b]), clusters)
    rows = rows[rows.any(axis=1)]
    (whole_a, left_a), (whole_b, left_b) = (
        _leave_one_out(part, finalize) for part in (rows[:, :width], rows[:, width:])
    )
    return _estimate(whole_b - whole_a, left_b - left_a, np.maximum(np.abs(left_a), np.abs(left_b)))


def weighed_difference_estimate(
    statistic_a: Statistic, statistic_b: Statistic, clusters: Sequence[str], *, max_groups: int = 1000
) -> Estimate:
    """The same for figures that see the weights of samples (AUROC), at one evaluation a cluster.

    Args:
        statistic_a: the base's figure; weights of shape (b, n) to shape (b,).
        statistic_b: the candidate's; it is given the same weights.
        clusters: n names.
        max_groups: of more clusters, so many random groups are left out instead, and `method` says so.

    Raises:
        ValueError: no samples, or fewer than two groups allowed.
    """
    if max_groups < 2:
        raise ValueError(f"{max_groups} groups; a standard error needs two")
    resampler = Resampler(clusters, 1)
    n_groups = min(resampler.n_clusters, max_groups)
    group = np.random.default_rng(0).permutation(resampler.n_clusters)[resampler.index] % n_groups
    size = max(1, CHUNK_BYTES // (8 * len(group)))
    chunks = [np.arange(start, min(start + size, n_groups)) for start in range(0, n_groups, size)]
    left_a, left_b = (
        np.concatenate([statistic((group != chunk[:, None]).astype(np.float64)) for chunk in chunks])
        for statistic in (statistic_a, statistic_b)
    )
    every = np.ones((1, len(group)))
    whole = float(statistic_b(every)[0] - statistic_a(every)[0])
    method = "jackknife-t" if n_groups == resampler.n_clusters else f"jackknife-t-{n_groups}"
    return _estimate(whole, left_b - left_a, np.maximum(np.abs(left_a), np.abs(left_b)), method)


def _leave_one_out(rows: FloatArray, finalize: Finalize) -> tuple[float, FloatArray]:
    """The figure of all rows, and the figures without each of them, shape (K,)."""
    totals = np.array([[math.fsum(column.tolist()) for column in rows.T]])
    size = max(1, CHUNK_BYTES // (8 * max(1, rows.shape[1])))
    parts = [finalize(totals - rows[start : start + size]) for start in range(0, len(rows), size)]
    return float(finalize(totals)[0]), np.concatenate(parts) if parts else np.empty(0)


def _estimate(value: float, left_out: FloatArray, scale: FloatArray, method: str = "jackknife-t") -> Estimate:
    """Tukey's error from the figures with one part left out; `scale` is the size of what was subtracted."""
    k = len(left_out)
    reason = None
    if not math.isfinite(value):
        reason = "the figure is undefined for this set"
    elif k < 2:
        reason = f"{k} cluster: nothing to compare it with"
    elif not np.isfinite(left_out).all():
        reason = f"undefined without one of the {k} clusters"
    if reason is not None:
        return Estimate(value, math.nan, math.nan, k, method, reason)
    # Sums of squares are correctly rounded, so that the order of clusters cannot move the last digit.
    moved = left_out - math.fsum(left_out.tolist()) / k
    largest = float(np.abs(moved).max())
    if largest <= ROUNDING * float(scale.max()):
        return Estimate(value, 0.0, k - 1, k, method)
    squares = (moved / largest) ** 2  # in [0, 1], so that no fourth power vanishes
    second, fourth = math.fsum(squares.tolist()), math.fsum((squares**2).tolist())
    error = largest * math.sqrt((k - 1) / k * second)
    return Estimate(value, error, min(max(3 * second**2 / fourth - 1, 1.0), k - 1), k, method)
