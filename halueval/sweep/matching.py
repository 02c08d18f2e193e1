"""Figures at a matched in-task score, with intervals over items and seeds.

An arm that learnt nothing also forgot nothing, so arms are compared where each has learnt as much: on the way from
checkpoint to checkpoint, at the first point where the in-task score reaches the target. Between two checkpoints every
figure is taken to be linear in the score. A path ends with the weights that the training keeps: what early stopping
trained on and then discarded is nobody's result.

Two things vary: which items were asked, and how a training with another seed would have gone. Seeds and items are
crossed (all trainings are asked the same items), so the variance of a mean over seeds is that over items, by a
bootstrap with the trainings held, and that over trainings, s²/K, with the items held. Their sum is cautious: what
belongs to a single item in a single training is in both. The interval is Student's, its degrees of freedom
Satterthwaite's (1946) of the two parts; with three seeds that differ it is wide, as it has to be, where percentiles of
a bootstrap that draws three seeds would cover far less than they say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.intervals import CONFIDENCE
from halueval.stats.proportions import wilson
from halueval.stats.special import student_t_quantile
from halueval.sweep.measures import BY_NAME, Pool, Table, Training

FloatArray = NDArray[np.float64]

N_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval.

    Attributes:
        value: None where it is undefined (`reason`).
        ci_low: lower end of the interval, None where there is none.
        ci_high: upper end.
        n_seeds: trainings that it is a mean of.
        n_items: items with a value, clusters counted once.
        error_items: standard error over items; error_seeds: over trainings, None for a single one.
        error_seeds: see above.
        reason: why there is no value, or what the interval leaves out.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_seeds: int
    n_items: int
    error_items: float | None = None
    error_seeds: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What a figure and its differences are made from.

    Attributes:
        by_seed: shape (K,), value of each training.
        replicates: shape (B,), mean over trainings of each resample of the items.
        n_items: clusters with a value.
    """

    by_seed: FloatArray
    replicates: FloatArray
    n_items: int


def draws(names: Sequence[str], seed: int, n_resamples: int = N_RESAMPLES) -> FloatArray:
    """How often each item is in each resample of clusters; shape (n_resamples, items)."""
    if not names:
        return np.zeros((n_resamples, 0))
    distinct, index = np.unique(np.asarray(names), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), size=n_resamples)
    weights: FloatArray = counts[:, index].astype(np.float64)
    return weights


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


def matched_part(
    trainings: Sequence[Training], name: str, target: float, weights: Mapping[Pool, FloatArray]
) -> Part | None:
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
        scores = kept_scores(training, weights["learnt"])
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
    weights: Mapping[Pool, FloatArray],
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
    values, replicates = [], []
    for i, training in enumerate(trainings):
        table = training.tables[name]
        one = np.ones((1, table.top.shape[1]))
        values.append(float(at_position(curve(table, one), np.array([points[i]]))[0]))
        where = np.full(len(pool), points[i]) if drawn is None else drawn[i]
        replicates.append(at_position(curve(table, pool), where))
    counted = np.any([training.tables[name].bottom.any(axis=0) for training in trainings], axis=0)
    return Part(np.array(values), np.mean(replicates, axis=0), int(counted.sum()))


def figure(part: Part | None, name: str) -> Figure:
    """The mean over trainings with its interval."""
    if part is None or not len(part.by_seed):
        return Figure(None, None, None, 0, 0, reason="not measured by the study's tasks" if part is None else "no seed")
    value = float(np.mean(part.by_seed))
    bounds = (0.0, 1.0) if BY_NAME[name].share else (-math.inf, math.inf)
    if not math.isfinite(value):
        return Figure(None, None, None, len(part.by_seed), part.n_items, reason="no item has a value")
    items, seeds = _error_items(part), _error_seeds(part)
    if BY_NAME[name].share and items == 0 and value in (0.0, 1.0):
        # Nothing varied; how much could have is what Wilson's interval of as many items says.
        low, high = wilson(round(value * part.n_items), part.n_items)
        return Figure(value, low, high, len(part.by_seed), part.n_items, items, seeds, _one_seed(part))
    return _with_interval(value, items, [part], bounds)


def difference(part: Part | None, reference: Part | None) -> Figure:
    """The arm less the reference, paired by items; the seeds of the two are taken as independent."""
    if part is None or reference is None or not len(part.by_seed) or not len(reference.by_seed):
        return Figure(None, None, None, 0, 0, reason="one of the two has no value")
    value = float(np.mean(part.by_seed) - np.mean(reference.by_seed))
    if not math.isfinite(value):
        return Figure(None, None, None, len(part.by_seed), part.n_items, reason="no item has a value")
    both = Part(part.by_seed, part.replicates - reference.replicates, min(part.n_items, reference.n_items))
    return _with_interval(value, _error_items(both), [both, reference], (-math.inf, math.inf))


def _with_interval(value: float, items: float | None, parts: Sequence[Part], bounds: tuple[float, float]) -> Figure:
    first = parts[0]
    errors = [_error_seeds(part) for part in parts]
    known = [error for error in errors if error is not None]
    seeds = math.sqrt(sum(error**2 for error in known)) if known else None
    reason = next((said for part in parts if (said := _one_seed(part)) is not None), None)
    if items is None:
        return Figure(value, None, None, len(first.by_seed), first.n_items, None, seeds, "fewer than two items")
    variance = items**2 + (seeds or 0.0) ** 2
    spread = items**4 / max(first.n_items - 1, 1)
    spread += sum(e**4 / (len(p.by_seed) - 1) for e, p in zip(errors, parts, strict=True) if e is not None)
    df = variance**2 / spread if spread > 0 else float(max(first.n_items - 1, 1))
    half = -student_t_quantile((1 - CONFIDENCE) / 2, df) * math.sqrt(variance)
    low, high = max(bounds[0], value - half), min(bounds[1], value + half)
    return Figure(value, low, high, len(first.by_seed), first.n_items, items, seeds, reason)


def _error_items(part: Part) -> float | None:
    """Standard deviation of the resamples, made unbiased for K clusters; None for fewer than two."""
    valid = part.replicates[np.isfinite(part.replicates)]
    if part.n_items < 2 or len(valid) < 2:
        return None
    return float(np.std(valid)) * math.sqrt(part.n_items / (part.n_items - 1))


def _error_seeds(part: Part) -> float | None:
    count = len(part.by_seed)
    return float(np.std(part.by_seed, ddof=1)) / math.sqrt(count) if count > 1 else None


def _one_seed(part: Part) -> str | None:
    return None if len(part.by_seed) > 1 else "one seed: the interval leaves out how trainings differ"
