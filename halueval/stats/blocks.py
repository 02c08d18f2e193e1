"""Resampled sums of table rows, at a cost that does not grow with the number of samples.

A figure that is a function of column sums needs only the sums of a resample, not the resample. Rows that are
equal are one category, drawn as one multinomial (or, for flipped signs, binomial) count: exact, and cheap for
right-or-wrong metrics, whose tables have a handful of distinct rows however many samples there are.

Tables with very many distinct rows (log-likelihoods of 100,000 samples) are cut into blocks of neighbouring
rows, with the rows farthest from the mean left on their own. How often each block is drawn stays exact; the
spread of rows inside a block, a sum of thousands of small independent terms, is drawn from the normal
distribution with its covariance. Drawing every row 10,000 times over would take some 5 s a metric for
the same interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.intervals import CHUNK_BYTES, Resampler

FloatArray = NDArray[np.float64]

MAX_CATEGORIES = 256
"""Most distinct rows to draw as counts, each at some 90 ns."""
MAX_DRAWN_ROWS = 2048
"""Most rows to draw one by one, each at some 10 ns."""
N_ALONE = 64
N_BLOCKS = 128


@dataclass(frozen=True, slots=True)
class Blocks:
    """A table's rows as categories.

    Attributes:
        rows: shape (g, m); the row of each category, or the mean row of a block.
        counts: shape (g,), how many rows of the table it stands for; they sum to the table's length.
        factor: shape (m, m); the symmetric root of the scatter of rows inside blocks, or None where every
            category is a single distinct row, so that resampling is exact.
    """

    rows: FloatArray
    counts: NDArray[np.int64]
    factor: FloatArray | None


def sum_by_cluster(table: FloatArray, clusters: Sequence[str] | None) -> FloatArray:
    """Add up the rows of each cluster, so that what is resampled is independent.

    Args:
        table: shape (n, m).
        clusters: name of the cluster of each row; None where each row is its own.

    Returns:
        Shape (K, m).

    Raises:
        ValueError: no rows, a table that is not two-dimensional or not finite, or another number of names.
    """
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2 or not len(table):
        raise ValueError(f"a table of shape {table.shape}; it must have rows and columns")
    if not np.isfinite(table).all():
        raise ValueError("the table holds NaN or infinity; a row without a score is a row of zeros")
    if clusters is None:
        return table
    if len(clusters) != len(table):
        raise ValueError(f"{len(clusters)} clusters for {len(table)} rows")
    return Resampler(clusters, 1).cluster_sums(table)


def make_blocks(table: FloatArray) -> Blocks:
    """Group equal rows; where more than `MAX_DRAWN_ROWS` remain, neighbouring ones.

    The result depends on the set of rows, not on their order.

    Args:
        table: shape (K, m), finite.
    """
    table = table + 0.0  # -0.0 becomes 0.0, or equal rows would differ
    ordered = table[np.lexsort(table.T[::-1])]
    starts = np.flatnonzero(np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)])
    counts = np.diff(np.r_[starts, len(ordered)])
    distinct = ordered[starts]
    if len(distinct) <= MAX_CATEGORIES or len(ordered) <= MAX_DRAWN_ROWS:
        return Blocks(distinct, counts, None)
    return _merge(distinct, counts)


def _merge(distinct: FloatArray, counts: NDArray[np.int64]) -> Blocks:
    """Blocks of neighbouring distinct rows, about as many samples in each."""
    share = counts / counts.sum()
    centred = distinct - share @ distinct
    spread = np.sqrt(share @ centred**2)
    distance = np.abs(centred / np.where(spread > 0, spread, 1.0)).max(axis=1)
    alone = np.zeros(len(distinct), dtype=bool)
    alone[np.argsort(-distance, kind="stable")[:N_ALONE]] = True
    rest, weight = distinct[~alone], counts[~alone]
    before = np.cumsum(weight) - weight
    block = before * N_BLOCKS // weight.sum()
    starts = np.flatnonzero(np.r_[True, block[1:] != block[:-1]])
    sizes = np.add.reduceat(weight, starts)
    means = np.add.reduceat(rest * weight[:, None], starts, axis=0) / sizes[:, None]
    inside = rest - np.repeat(means, np.diff(np.r_[starts, len(rest)]), axis=0)
    # Not a matrix product: a threaded BLAS sums in another order on another machine, and the symmetric root
    # does not hang on the signs that a library gives to eigenvectors.
    values, vectors = np.linalg.eigh(np.einsum("ij,ik->jk", inside * weight[:, None], inside))
    factor = vectors * np.sqrt(np.clip(values, 0.0, None)) @ vectors.T  # rounding leaves eigenvalues of -1e-20
    return Blocks(np.concatenate([distinct[alone], means]), np.concatenate([counts[alone], sizes]), factor)


def bootstrap_sums(blocks: Blocks, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Column sums of resamples: as many rows as the table has, drawn with replacement.

    Yields:
        Shape (b, m), `n_resamples` rows in all.
    """
    rng = np.random.default_rng(seed)
    total = int(blocks.counts.sum())
    one_by_one = _draws_one_by_one(blocks)
    rows = np.repeat(blocks.rows, blocks.counts, axis=0) if one_by_one else blocks.rows
    for size in _chunks(n_resamples, len(rows)):
        if one_by_one:
            drawn = rng.integers(0, total, size=(size, total))
            drawn += total * np.arange(size)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=size * total).reshape(size, total)
        else:
            counts = rng.multinomial(total, blocks.counts / total, size=size)
        sums = counts.astype(np.float64) @ rows
        yield sums if blocks.factor is None else sums + _noise(rng, size, blocks.factor)


def flipped_sums(blocks: Blocks, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Column sums after giving each row of the table a random sign.

    Yields:
        Shape (b, m), `n_resamples` rows in all.
    """
    rng = np.random.default_rng(seed)
    one_by_one = _draws_one_by_one(blocks)
    rows = np.repeat(blocks.rows, blocks.counts, axis=0) if one_by_one else blocks.rows
    for size in _chunks(n_resamples, len(rows)):
        if one_by_one:
            signs = 2.0 * rng.integers(0, 2, size=(size, len(rows)), dtype=np.int8) - 1.0
        else:
            signs = 2.0 * rng.binomial(blocks.counts, 0.5, size=(size, len(rows))) - blocks.counts
        sums = signs @ rows
        yield sums if blocks.factor is None else sums + _noise(rng, size, blocks.factor)


def _draws_one_by_one(blocks: Blocks) -> bool:
    """Whether drawing rows is cheaper than drawing how often each distinct row comes up."""
    total = int(blocks.counts.sum())
    return blocks.factor is None and total <= MAX_DRAWN_ROWS and 8 * len(blocks.counts) > total


def _noise(rng: np.random.Generator, size: int, factor: FloatArray) -> FloatArray:
    noise: FloatArray = rng.standard_normal((size, len(factor))) @ factor.T
    return noise


def _chunks(n_resamples: int, width: int) -> Iterator[int]:
    """Sizes of chunks whose counts stay below `CHUNK_BYTES`."""
    if n_resamples < 1:
        raise ValueError(f"{n_resamples} resamples; there must be at least one")
    rows = max(1, CHUNK_BYTES // (8 * width))
    for start in range(0, n_resamples, rows):
        yield min(rows, n_resamples - start)
