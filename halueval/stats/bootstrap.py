"""Paired bootstrap of differences between two models, over samples or clusters of samples.

Both models answer the same samples, so a resample draws a sample (or a whole cluster: a document, a fact
with its paraphrases) together with both answers (Efron & Tibshirani 1993; Koehn 2004 for systems compared
on one test set). What the two have in common cancels, and the interval is as narrow as the pairing allows.

Percentile intervals of few clusters are too narrow, for two reasons with known sizes: the bootstrap variance
is (K-1)/K of the unbiased one, and quantiles of the normal stand in for Student's. Both are undone by reading
the percentiles farther out (the expanded percentile interval: Hesterberg 2015, "What Teachers Should Know
About the Bootstrap", The American Statistician 69). With 30 clusters the tails are 1.9 %, not 2.5 %.

`halueval diff` takes its intervals from `stats.jackknife` and closed forms, which cover better at 30 samples (see
benchmarks/coverage.md). These are for figures of one's own, and what those are held against.

Every difference here is b - a: what going from a (the base) to b (the candidate) adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halueval.stats.blocks import bootstrap_sums, make_blocks, sum_by_cluster
from halueval.stats.intervals import CONFIDENCE, Interval, Resampler, percentile_interval
from halueval.stats.special import NORMAL, student_t_cdf, student_t_quantile

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]
"""Weights of shape (b, n) to figures of shape (b,)."""
Finalize = Callable[[FloatArray], FloatArray]
"""Column sums of shape (b, m) to figures of shape (b,), NaN where undefined."""
Method = Literal["percentile", "standard", "bca"]

MAX_JACKKNIFE = 1000


@dataclass(frozen=True, slots=True)
class Replicates:
    """What a bootstrap gave, from which interval and p-value are read.

    Attributes:
        estimate: the figure of the samples as they are; NaN where undefined.
        values: shape (B,), the figure of each resample; NaN where it held nothing to score.
        n_clusters: clusters with something to score.
        acceleration: of the BCa interval; None where the jackknife was not asked for.
        exact: whether every row was drawn, not blocks of rows (see `stats.blocks`).
    """

    estimate: float
    values: FloatArray
    n_clusters: int
    acceleration: float | None = None
    exact: bool = True

    def interval(self, method: Method = "percentile") -> Interval:
        """The 95 % interval.

        Args:
            method: "percentile"; "standard", the figure ± t standard errors of the replicates, which of all
                covers best for means of fewer than 100 clusters (see benchmarks/coverage.md) but can reach
                beyond the range of a figure; or "bca", which corrects bias and skewness (Efron 1987) and
                needs `acceleration`. All are corrected for few clusters.

        Returns:
            An interval without ends, with the reason, where none can be had.

        Raises:
            ValueError: BCa without an acceleration, or another name.
        """
        names = {"percentile": "bootstrap", "standard": "bootstrap-standard", "bca": "bca"}
        if method not in names:
            raise ValueError(f"no bootstrap interval {method!r}; choose percentile, standard or bca")
        name = names[method] + ("" if self.exact else "-blocked")
        if not math.isfinite(self.estimate):
            return Interval(None, None, name, "the figure is undefined for this set")
        if self.n_clusters < 2:
            return percentile_interval(self.values, self.n_clusters, name)
        if method == "bca":
            return self._bca(name)
        tail = expanded_tail(self.n_clusters)
        percentile = percentile_interval(self.values, self.n_clusters, name, (tail, 1 - tail))
        if method == "percentile" or percentile.low is None:
            return percentile
        half = -NORMAL.inv_cdf(tail) * float(np.std(self.values[np.isfinite(self.values)]))
        return Interval(self.estimate - half, self.estimate + half, name)

    def _bca(self, name: str) -> Interval:
        tails = self._bca_tails()
        if tails is None:
            return Interval(None, None, name, "all resamples lie on one side of the figure")
        return percentile_interval(self.values, self.n_clusters, name, tails)

    def _bca_tails(self) -> tuple[float, float] | None:
        """Where the BCa ends lie among the replicates (Efron & Tibshirani 1993, 14.10)."""
        if self.acceleration is None:
            raise ValueError("a BCa interval needs the acceleration; ask for the jackknife")
        valid = self.values[np.isfinite(self.values)]
        # Replicates equal to the estimate count half, or tied (discrete) figures would look biased.
        below = float((valid < self.estimate).mean() + 0.5 * (valid == self.estimate).mean()) if valid.size else 0.0
        if not 0 < below < 1:
            return None
        bias, z = NORMAL.inv_cdf(below), NORMAL.inv_cdf(expanded_tail(self.n_clusters))
        ends = []
        for shift in (bias + z, bias - z):
            stretch = 1 - self.acceleration * shift
            ends.append(NORMAL.cdf(bias + shift / stretch) if stretch > 0 else float(shift > 0))
        return ends[0], ends[1]

    def p_value(self) -> float | None:
        """Two-sided p of "the figure is 0", such that p < .05 exactly when the percentile interval excludes 0.

        For figures that no permutation test fits: rates, calibration errors. Never below 2/(B+1).

        Returns:
            None where there is no interval.
        """
        if self.interval().low is None:
            return None
        valid = self.values[np.isfinite(self.values)]
        side = min((valid <= 0).sum(), (valid >= 0).sum())
        tail = (1 + float(side)) / (1 + valid.size)
        if tail >= 0.5:
            return 1.0
        z = NORMAL.inv_cdf(tail)  # undo the expansion: see `expanded_tail`
        return max(2 / (1 + valid.size), 2 * student_t_cdf(z * math.sqrt(1 - 1 / self.n_clusters), self.n_clusters - 1))


def expanded_tail(n_clusters: int, confidence: float = CONFIDENCE) -> float:
    """Share of replicates to leave out on each side: Φ(√(K/(K-1)) · t), t the quantile with K-1 degrees of freedom.

    Args:
        n_clusters: K ≥ 2.
        confidence: of the interval.

    Raises:
        ValueError: K < 2.
    """
    if n_clusters < 2:
        raise ValueError(f"{n_clusters} cluster: nothing to resample")
    t = student_t_quantile((1 - confidence) / 2, n_clusters - 1)
    return NORMAL.cdf(math.sqrt(n_clusters / (n_clusters - 1)) * t)


def table_replicates(
    table: FloatArray,
    finalize: Finalize,
    clusters: Sequence[str] | None = None,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    jackknife: bool = False,
) -> Replicates:
    """Bootstrap of a figure that is a function of column sums.

    The draws depend on the seed and on the set of rows, not on their order.

    Args:
        table: shape (n, m), a row of zeros where there is no score.
        finalize: sums of shape (b, m) to figures of shape (b,).
        clusters: n names; None where each sample is its own cluster.
        n_resamples: replicates.
        seed: of the draws.
        jackknife: also compute the acceleration that BCa needs.

    Raises:
        ValueError: a table that is empty or not finite, or another number of clusters.
    """
    rows = sum_by_cluster(table, clusters)
    blocks = make_blocks(rows)
    totals = np.array([[math.fsum(column) for column in rows.T]])
    values = np.concatenate([finalize(sums) for sums in bootstrap_sums(blocks, n_resamples, seed)])
    acceleration = _acceleration(finalize(totals - blocks.rows), blocks.counts) if jackknife else None
    return Replicates(
        estimate=float(finalize(totals)[0]),
        values=values,
        n_clusters=int(rows.any(axis=1).sum()),
        acceleration=acceleration,
        exact=blocks.factor is None,
    )


def _acceleration(left_out: FloatArray, counts: NDArray[np.int64]) -> float:
    """Efron's acceleration from the figures with one cluster left out, each `counts` times."""
    valid = np.isfinite(left_out)
    values, weight = left_out[valid], counts[valid]
    if not values.size:
        return 0.0
    influence = weight @ values / weight.sum() - values
    scale = float(weight @ influence**2) ** 1.5
    return float(weight @ influence**3) / (6 * scale) if scale > 0 else 0.0


def table_interval(
    table: FloatArray,
    finalize: Finalize,
    clusters: Sequence[str] | None = None,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    method: Method = "percentile",
) -> Interval:
    """The 95 % interval of a figure that is a function of column sums, a rate with a random denominator too.

    Arguments and errors as `table_replicates`.
    """
    wants = method == "bca"
    made = table_replicates(table, finalize, clusters, n_resamples=n_resamples, seed=seed, jackknife=wants)
    return made.interval(method)


def difference_of_tables(
    table_a: FloatArray, table_b: FloatArray, finalize: Finalize
) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
    """Both tables side by side, and the function of their sums that is b - a: what `table_replicates` takes.

    Raises:
        ValueError: tables of different shape.
    """
    if np.shape(table_a) != np.shape(table_b) or np.ndim(table_a) != 2:
        raise ValueError(f"tables of shape {np.shape(table_a)} and {np.shape(table_b)}; pairs need the same")
    width = np.shape(table_a)[1]
    joint = np.hstack([table_a, table_b])
    return joint, lambda sums: finalize(sums[:, width:]) - finalize(sums[:, :width])


def table_difference(
    table_a: FloatArray,
    table_b: FloatArray,
    finalize: Finalize,
    clusters: Sequence[str] | None = None,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    method: Method = "percentile",
) -> Interval:
    """The 95 % interval of `finalize(sums of b) - finalize(sums of a)`, both from the same draws.

    Args:
        table_a: shape (n, m), the base's sufficient statistics; see `scorers.base.TableScorer`.
        table_b: shape (n, m), the candidate's, in the same order of samples.
        finalize: sums of shape (b, m) to figures of shape (b,).
        clusters: n names; None where each sample is its own cluster.
        n_resamples: replicates.
        seed: of the draws.
        method: see `Replicates.interval`.

    Raises:
        ValueError: tables that are empty, not finite or of different shape, or another number of clusters.
    """
    joint, difference = difference_of_tables(table_a, table_b, finalize)
    return table_interval(joint, difference, clusters, n_resamples=n_resamples, seed=seed, method=method)


def replicates_of_difference(
    statistic_a: Statistic,
    statistic_b: Statistic,
    clusters: Sequence[str],
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    jackknife: bool = False,
) -> Replicates:
    """Bootstrap of b - a for figures that see the weights of samples (AUROC, metrics computed anew).

    Args:
        statistic_a: the base's figure; weights of shape (b, n) to shape (b,).
        statistic_b: the candidate's; it is given the same weights.
        clusters: n names.
        n_resamples: replicates.
        seed: of the draws.
        jackknife: also compute the acceleration that BCa needs; above 1,000 clusters by leaving out groups.

    Raises:
        ValueError: no samples.
    """
    resampler = Resampler(clusters, n_resamples, seed)

    def difference(weights: FloatArray) -> FloatArray:
        return statistic_b(weights) - statistic_a(weights)

    acceleration = None
    if jackknife:
        left_out = np.concatenate([difference(weights) for weights in _leave_out(resampler)])
        acceleration = _acceleration(left_out, np.ones(len(left_out), dtype=np.int64))
    return Replicates(
        estimate=float(difference(np.ones((1, len(clusters))))[0]),
        values=np.concatenate([difference(weights) for weights in resampler.weights()]),
        n_clusters=resampler.n_clusters,
        acceleration=acceleration,
    )


def _leave_out(resampler: Resampler) -> Iterator[FloatArray]:
    """Weights of shape (1, n) with one cluster, or one of `MAX_JACKKNIFE` groups of clusters, left out."""
    n_groups = min(resampler.n_clusters, MAX_JACKKNIFE)
    for group in range(n_groups):
        yield (resampler.index % n_groups != group).astype(np.float64)[None, :]


def interval_of_difference(
    statistic_a: Statistic,
    statistic_b: Statistic,
    clusters: Sequence[str],
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    method: Method = "percentile",
) -> Interval:
    """The 95 % interval of `statistic_b - statistic_a` under the same weights.

    For figures of column sums `table_difference` gives the same in a fraction of the time. Arguments and
    errors as `replicates_of_difference`.
    """
    wants = method == "bca"
    made = replicates_of_difference(
        statistic_a, statistic_b, clusters, n_resamples=n_resamples, seed=seed, jackknife=wants
    )
    return made.interval(method)
