"""Where arms are compared: at a matched in-task score.

An arm that learnt nothing also forgot nothing, so arms are compared where each has learnt as much: on the way from
checkpoint to checkpoint, at the first point where the in-task score reaches the target. Between two checkpoints every
figure is taken to be linear in the score. A path ends with the weights that the training keeps: what early stopping
trained on and then discarded is nobody's result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.sweep.figures import Part
from halueval.sweep.measures import BY_NAME, Pool, Table, Training

FloatArray = NDArray[np.float64]

N_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Draws:
    """Resamples of the clusters of a pool.

    Attributes:
        weights: shape (B, items), how often each item is in each resample; items of one cluster go together.
        cluster: shape (items,), number of each item's cluster, from 0.
    """

    weights: FloatArray
    cluster: NDArray[np.intp]


def draws(names: Sequence[str], seed: int, n_resamples: int = N_RESAMPLES) -> Draws:
    """So many resamples of the clusters that the items' names are of."""
    if not names:
        return Draws(np.zeros((n_resamples, 0)), np.zeros(0, dtype=np.intp))
    distinct, index = np.unique(np.asarray(names), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), size=n_resamples)
    return Draws(counts[:, index].astype(np.float64), index.astype(np.intp))


def curve(table: Table, weights: FloatArray) -> FloatArray:
    """The figure at each checkpoint in each resample: weights (B, items) to (B, checkpoints), NaN where undefined."""
    bottom = weights @ table.bottom.T
    with np.errstate(invalid="ignore", divide="ignore"):
        values: FloatArray = np.where(bottom > 0, (weights @ table.top.T) / bottom, np.nan)
    return values


def kept_scores(training: Training, weights: FloatArray) -> FloatArray:
    """In-task score from the base to the weights that the training keeps: weights (B, items) to (B, final + 1)."""
    return curve(training.tables["learnt"], weights)[:, : training.final + 1]


def crossing(scores: FloatArray, target: float) -> FloatArray:
    """Where scores first reach a target, in checkpoints; shape (B, checkpoints) to (B,).

    1.25 is a quarter of the way from checkpoint 1 to checkpoint 2. NaN where the target is never reached.
    """
    reached = scores >= target
    first = reached.argmax(axis=1)
    rows = np.arange(len(scores))
    before = np.maximum(first - 1, 0)
    low, high = scores[rows, before], scores[rows, first]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(first > 0, (target - low) / (high - low), 0.0)
    return np.where(reached.any(axis=1), before + share, np.nan)


def at_position(values: FloatArray, position: FloatArray) -> FloatArray:
    """Values between checkpoints, linearly; shapes (B, checkpoints) and (B,) to (B,)."""
    last = values.shape[1] - 1
    low = np.clip(np.floor(np.nan_to_num(position)), 0, last).astype(int)
    high = np.minimum(low + 1, last)
    share = np.nan_to_num(position) - low
    rows = np.arange(len(values))
    # 0 · NaN is NaN: a checkpoint that is not needed must not be asked.
    upper = np.where(share > 0, values[rows, high], values[rows, low])
    found = (1 - share) * values[rows, low] + share * upper
    return np.where(np.isnan(position), np.nan, found)


def reaches(training: Training, target: float) -> float | None:
    """Position at which a training reaches the target, not after the weights that it keeps; or None."""
    one = np.ones((1, training.tables["learnt"].top.shape[1]))
    position = float(crossing(kept_scores(training, one), target)[0])
    return None if math.isnan(position) else position


def step_at(training: Training, position: float) -> float:
    """Optimizer steps at a position between checkpoints."""
    return float(np.interp(position, np.arange(len(training.steps)), np.array(training.steps, dtype=np.float64)))


def matched_part(trainings: Sequence[Training], name: str, target: float, weights: Mapping[Pool, Draws]) -> Part | None:
    """A figure where each training reaches the target; None where the measure is not had.

    A resample of the facts in which a training never reaches the target counts at its best checkpoint.

    Args:
        trainings: those that reach it.
        name: of the measure.
        target: in-task score.
        weights: draws by pool, the same for all arms, so that differences are paired.
    """
    positions = []
    for training in trainings:
        scores = kept_scores(training, weights["learnt"].weights)
        found = crossing(scores, target)
        best = np.nanargmax(np.nan_to_num(scores, nan=-1.0), axis=1)
        positions.append((reaches(training, target), np.where(np.isnan(found), best, found)))
    points = [math.nan if point is None else point for point, _ in positions]
    return part_at(trainings, name, points, [drawn for _, drawn in positions], weights)


def part_at(
    trainings: Sequence[Training],
    name: str,
    points: Sequence[float],
    drawn: Sequence[FloatArray] | None,
    weights: Mapping[Pool, Draws],
) -> Part | None:
    """A figure at a position of each training.

    Args:
        trainings: K of them.
        name: of the measure.
        points: K positions of the estimate.
        drawn: K arrays of shape (B,), positions in each resample; None takes the estimate's.
        weights: draws by pool.
    """
    if not trainings or any(name not in training.tables for training in trainings):
        return None
    pool = weights[BY_NAME[name].pool]
    values, replicates, clusters = [], [], []
    for i, training in enumerate(trainings):
        table = training.tables[name]
        one = np.ones((1, table.top.shape[1]))
        values.append(float(at_position(curve(table, one), np.array([points[i]]))[0]))
        where = np.full(len(pool.weights), points[i]) if drawn is None else drawn[i]
        replicates.append(at_position(curve(table, pool.weights), where))
        clusters.append(_by_cluster(table, points[i], pool.cluster))
    return Part(np.array(values), np.mean(replicates, axis=0), _mean_of_valid(np.array(clusters)))


def _by_cluster(table: Table, position: float, cluster: NDArray[np.intp]) -> FloatArray:
    """The figure of each cluster by itself; shape (clusters,), NaN where it has no value."""
    top, bottom = (np.array([np.bincount(cluster, row) for row in one]) for one in (table.top, table.bottom))
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(bottom > 0, top / bottom, np.nan).T
    return at_position(each, np.full(len(each), position))


def _mean_of_valid(values: FloatArray) -> FloatArray:
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
    valid = np.isfinite(values)
    count = valid.sum(axis=0)
    mean: FloatArray = np.where(count > 0, np.where(valid, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return mean
