"""Ranks, ties and correlations of weighted rows: many resamples at once, a row of weights each.

A weight is how often a row was drawn; a row drawn twice counts as two rows, tied with each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

RELATIVE_ZERO = 1e-12
"""A variance below this share of the second moment is rounding."""


def spread(second: FloatArray, mean: FloatArray) -> FloatArray:
    """Variance, exactly 0 where it is rounding alone."""
    variance = second - mean**2
    return np.where(variance > RELATIVE_ZERO * second, variance, 0)


def ratio(covariance: FloatArray, spread_x: FloatArray, spread_y: FloatArray) -> FloatArray:
    """Covariance over the root of both spreads, in [-1, 1]; NaN where either is 0."""
    scale = np.sqrt(np.maximum(spread_x, 0)) * np.sqrt(np.maximum(spread_y, 0))
    out = np.divide(covariance, scale, out=np.full(len(scale), np.nan), where=scale > 0)
    return np.asarray(np.clip(out, -1, 1))


def weighted_pearson(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Pearson's correlation in each resample; x and y of shape (b, n)."""
    n = weights.sum(axis=1)
    x = x - ((weights * x).sum(axis=1) / n)[:, None]
    y = y - ((weights * y).sum(axis=1) / n)[:, None]
    return ratio((weights * x * y).sum(axis=1), (weights * x * x).sum(axis=1), (weights * y * y).sum(axis=1))


def midranks(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mid-rank of each row in each resample.

    Args:
        values: shape (b, n), or (1, n) where all resamples rank the same values.
        weights: shape (b, n).
    """
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    changes = np.diff(ordered, axis=1) != 0
    edge = np.ones((len(values), 1), dtype=bool)
    first, last = np.hstack([edge, changes]), np.hstack([changes, edge])
    order = np.broadcast_to(order, weights.shape)
    drawn = np.take_along_axis(weights, order, axis=1)
    cumulated = drawn.cumsum(axis=1)
    # Cumulated weights never fall, so the running maximum carries a tie's start to all its rows.
    below = np.maximum.accumulate(np.where(first, cumulated - drawn, 0), axis=1)
    through = np.minimum.accumulate(np.where(last, cumulated, np.inf)[:, ::-1], axis=1)[:, ::-1]
    out = np.empty_like(weights)
    np.put_along_axis(out, order, (below + through + 1) / 2, axis=1)
    return out


def tied_pairs(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Ordered pairs of rows with equal values, in each resample."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) != 0])
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    return np.asarray((sizes * (sizes - 1)).sum(axis=1))
