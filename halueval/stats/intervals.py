"""Intervals: the cluster bootstrap that all figures of a run share, and Wilson's for proportions.

The bootstrap draws clusters (documents, rows with their variants) with replacement, as many as there
are, and takes the 2.5th and 97.5th percentile of the replicates (Efron & Tibshirani 1993, ch. 13; for
clusters Field & Welsh 2007). Draws are handed out as integer weights, so that a figure that is a function
of sums costs one matrix product for all replicates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.95
CHUNK_BYTES = 16 * 2**20
MIN_VALID_SHARE = 0.5
Z_95 = 1.959963984540054
"""The 97.5th percentile of the standard normal."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval, or None at both ends with the reason why there is none."""

    low: float | None
    high: float | None
    method: str = "bootstrap"
    reason: str | None = None


class Resampler:
    """Draws clusters with replacement, `n_resamples` times, and hands out the draws in chunks.

    The draws depend on the seed and on the number of distinct clusters only: clusters are put in the
    order of their names first, so that the order of samples cannot move an interval, and neither can
    the size of a chunk. Iterating twice gives the same draws.

    Attributes:
        n_clusters: number of distinct clusters, K.
        index: shape (n,); the cluster of each sample, in the order of names.
    """

    def __init__(
        self,
        clusters: Sequence[str],
        n_resamples: int = 10_000,
        seed: int = 0,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """Number the clusters; nothing is drawn yet.

        Args:
            clusters: name of the cluster of each of the n samples.
            n_resamples: replicates in all.
            seed: of the generator (PCG64).
            chunk_bytes: largest size of one chunk of weights; work space comes to about four times that.

        Raises:
            ValueError: no sample, or less than one resample.
        """
        if not clusters or n_resamples < 1:
            raise ValueError(f"{len(clusters)} samples and {n_resamples} resamples; both must be positive")
        names = sorted(set(clusters))
        number = {name: i for i, name in enumerate(names)}
        self.n_clusters = len(names)
        self.n_resamples = n_resamples
        self.seed = seed
        self.index: NDArray[np.intp] = np.array([number[name] for name in clusters], dtype=np.intp)
        self._rows = max(1, min(n_resamples, chunk_bytes // (8 * len(clusters))))
        # One sample a cluster, already in order: weights are the counts, and no copy need be made.
        self._is_identity = np.array_equal(self.index, np.arange(len(names)))

    def counts(self) -> Iterator[FloatArray]:
        """Chunks of shape (b, K): how often each cluster was drawn; every row sums to K."""
        rng = np.random.default_rng(self.seed)
        k = self.n_clusters
        for start in range(0, self.n_resamples, self._rows):
            rows = min(self._rows, self.n_resamples - start)
            draws = rng.integers(0, k, size=(rows, k), dtype=np.int64)
            out = np.empty((rows, k), dtype=np.float64)
            for i in range(rows):
                out[i] = np.bincount(draws[i], minlength=k)
            yield out

    def expand(self, counts: FloatArray) -> FloatArray:
        """Turn counts of clusters, shape (b, K), into weights of samples, shape (b, n)."""
        return counts if self._is_identity else counts[:, self.index]

    def weights(self) -> Iterator[FloatArray]:
        """Chunks of shape (b, n): how often each sample was drawn, in the order of `clusters`."""
        for counts in self.counts():
            yield self.expand(counts)

    def cluster_sums(self, table: FloatArray) -> FloatArray:
        """Add up the rows of each cluster.

        Sums are correctly rounded (`math.fsum`), so that the order of samples within a cluster cannot
        move the last digit either.

        Args:
            table: shape (n, m).

        Returns:
            Shape (K, m).
        """
        out = np.zeros((self.n_clusters, table.shape[1]))
        sizes = np.bincount(self.index, minlength=self.n_clusters)
        single = sizes[self.index] == 1
        out[self.index[single]] = table[single]
        order = np.argsort(self.index, kind="stable")
        ends = np.cumsum(sizes)
        for cluster in np.flatnonzero(sizes > 1):
            rows = table[order[ends[cluster] - sizes[cluster] : ends[cluster]]]
            out[cluster] = [math.fsum(column) for column in rows.T]
        return out


def percentile_interval(
    replicates: FloatArray,
    n_clusters: int,
    method: str = "bootstrap",
    tails: tuple[float, float] = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2),
) -> Interval:
    """Percentile bootstrap interval.

    Args:
        replicates: shape (b,); NaN where a replicate held nothing to score, and dropped.
        n_clusters: distinct clusters with something to score.
        method: how the replicates were made, for the record.
        tails: which quantiles of the replicates are the ends, in [0, 1].

    Returns:
        An interval without ends where there are fewer than two clusters, where most replicates held
        nothing, or where all replicates agree: a width of 0 would claim a certainty that nobody has.
    """
    if n_clusters < 2:
        return Interval(None, None, method, f"{n_clusters} cluster: nothing to resample")
    valid = replicates[np.isfinite(replicates)]
    if valid.size < max(2, MIN_VALID_SHARE * replicates.size):
        return Interval(None, None, method, "most resamples hold nothing to score")
    low, high = (float(end) for end in np.quantile(valid, tails))
    if valid.min() == valid.max():
        return Interval(None, None, method, "every resample gives the same figure")
    return Interval(low, high, method)


def wilson_interval(successes: float, n: float) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927), which has a width at 0 and 1 too.

    Args:
        successes: number of ones among n independent trials.
        n: trials; of clustered samples, the clusters, or how many independent trials they are worth.

    Raises:
        ValueError: n is not positive, or successes outside [0, n].
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    p, z2 = successes / n, Z_95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At p = 0 and p = 1 the ends are 0 and 1 by algebra; rounding would leave -1e-18.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high, "wilson")
