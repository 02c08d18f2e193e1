"""Standard errors and intervals from leaving out one cluster at a time.

A figure of column sums without cluster k is that of the sums less the cluster's row, so all K of them cost one call.
Their spread gives the standard error (Tukey 1958; Efron & Tibshirani 1993, chapter 11):

    se² = (K - 1)/K · Σ_k (θ_(k) - mean θ_(.))²

For a mean of single samples that is s/√n to the digit; for means over clusters it is the cluster-robust error known as
CR3, which holds up where clusters are few or of unequal size (MacKinnon, Nielsen & Webb 2023, J. Econometrics 232:272).
The interval is θ ± t · se. Of the intervals tried for means, F1 and perplexities it covers closest to 95 %
(benchmarks/coverage.md); it needs no random numbers, and does not depend on the order of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.blocks import sum_by_cluster
from halueval.stats.intervals import CONFIDENCE, Interval
from halueval.stats.special import student_t_cdf, student_t_quantile

FloatArray = NDArray[np.float64]
Finalize = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its standard error.

    Attributes:
        value: NaN where undefined.
        standard_error: None where there is none; `reason` says why.
        df: degrees of freedom of Student's t.
        n_clusters: clusters with something to score.
        reason: why there is no standard error.
    """

    value: float
    standard_error: float | None
    df: float
    n_clusters: int
    reason: str | None = None

    def interval(self, method: str = "jackknife-t") -> Interval:
        """The 95 % interval value ± t · standard error; without ends, with the reason, where there is no error."""
        if self.standard_error is None:
            return Interval(None, None, method, self.reason)
        half = -student_t_quantile((1 - CONFIDENCE) / 2, self.df) * self.standard_error
        return Interval(self.value - half, self.value + half, method)

    def p_value(self) -> float | None:
        """Two-sided p of "the figure is 0", such that p < .05 exactly when the interval excludes 0."""
        if self.standard_error is None:
            return None
        return min(1.0, 2 * student_t_cdf(-abs(self.value) / self.standard_error, self.df))


def jackknife(table: FloatArray, finalize: Finalize, clusters: Sequence[str] | None = None) -> Estimate:
    """Standard error of a figure that is a function of column sums.

    Args:
        table: shape (n, m), a row of zeros where there is no score.
        finalize: sums of shape (b, m) to figures of shape (b,), NaN where undefined.
        clusters: n names; None where each sample is its own cluster.

    Returns:
        The figure; no standard error, with the reason, where fewer than two clusters have a score, where leaving one
        out leaves the figure undefined, or where it changes nothing: an error of 0 would claim a certainty that
        nobody has.

    Raises:
        ValueError: a table that is empty or not finite, or another number of clusters.
    """
    rows = sum_by_cluster(table, clusters)
    rows = rows[rows.any(axis=1)]
    totals = np.array([[math.fsum(column.tolist()) for column in rows.T]])
    value = float(finalize(totals)[0])
    count = len(rows)
    df = effective_clusters(table, clusters) - 1
    if count < 2:
        return Estimate(value, None, df, count, f"{count} cluster: nothing to leave out")
    without = finalize(totals - rows)
    if not (math.isfinite(value) and np.isfinite(without).all()):
        return Estimate(value, None, df, count, "the figure hangs on a single cluster, without which it is undefined")
    spread = without - math.fsum(without.tolist()) / count
    error = math.sqrt((count - 1) / count * math.fsum(np.square(spread).tolist()))
    # Sums that differ in their last bits only are equal.
    if error <= 1e-12 * max(abs(value), 1.0):
        return Estimate(value, None, df, count, "every resample gives the same figure")
    return Estimate(value, error, df, count)


def effective_clusters(table: FloatArray, clusters: Sequence[str] | None) -> float:
    """Clusters of equal size that say as much: (Σ n_k)²/Σ n_k² for n_k samples with a score in cluster k.

    Degrees of freedom are one less (Carter, Schnepel & Steigerwald 2017, Rev. Econ. Stat. 99:698, in its simplest
    form); at least 2.
    """
    scored = np.asarray(table, dtype=np.float64) != 0
    sizes = sum_by_cluster(scored.max(axis=1, keepdims=True), clusters)[:, 0]
    total = float(np.square(sizes).sum())
    return max(2.0, float(sizes.sum()) ** 2 / total) if total else 2.0
