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

Where no item says anything else than the others (0 of 40 in both arms) a bootstrap has no width, and "no difference"
would be certain. Closed forms stand in, of as many independent items as there are: Wilson's for a share, Newcombe's
paired one for a difference of shares, as in `halueval diff`; for other figures there is no interval, and the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from halueval.stats.intervals import CONFIDENCE
from halueval.stats.proportions import newcombe_paired, wilson
from halueval.stats.special import student_t_quantile
from halueval.sweep.measures import BY_NAME, Pool, Table, Training

FloatArray = NDArray[np.float64]

N_RESAMPLES = 2000
NO_WIDTH = 1e-12
"""Errors below it are rounding: nothing varied."""
ONE_SEED = "one seed: the interval leaves out how trainings differ"


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
        by_item: shape (items,), mean over trainings of each item's own value, NaN where it has none.
    """

    by_seed: FloatArray
    replicates: FloatArray
    by_item: FloatArray

    @property
    def n_items(self) -> int:
        """Items with a value."""
        return int(np.isfinite(self.by_item).sum())


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
    values, replicates, items = [], [], []
    for i, training in enumerate(trainings):
        table = training.tables[name]
        one = np.ones((1, table.top.shape[1]))
        values.append(float(at_position(curve(table, one), np.array([points[i]]))[0]))
        where = np.full(len(pool), points[i]) if drawn is None else drawn[i]
        replicates.append(at_position(curve(table, pool), where))
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(table.bottom > 0, table.top / table.bottom, np.nan).T
        items.append(at_position(each, np.full(len(each), points[i])))
    return Part(np.array(values), np.mean(replicates, axis=0), _mean_of_valid(np.array(items)))


def _mean_of_valid(values: FloatArray) -> FloatArray:
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
    valid = np.isfinite(values)
    count = valid.sum(axis=0)
    mean: FloatArray = np.where(count > 0, np.where(valid, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return mean


def figure(part: Part | None, name: str) -> Figure:
    """The mean over trainings with its interval."""
    if part is None or not len(part.by_seed):
        return Figure(None, None, None, 0, 0, reason="not measured by the study's tasks" if part is None else "no seed")
    value = float(np.mean(part.by_seed))
    if not math.isfinite(value):
        return Figure(None, None, None, len(part.by_seed), part.n_items, reason="no item has a value")
    if not BY_NAME[name].share:
        return _with_interval(value, [part], None, lambda: None)
    n, successes = part.n_items, min(max(value, 0.0), 1.0) * part.n_items
    return _with_interval(value, [part], (0.0, 1.0), lambda: wilson(successes, n))


def difference(part: Part | None, reference: Part | None, name: str) -> Figure:
    """The arm less the reference, paired by items; the seeds of the two are taken as independent."""
    if part is None or reference is None or not len(part.by_seed) or not len(reference.by_seed):
        return Figure(None, None, None, 0, 0, reason="one of the two has no value")
    value = float(np.mean(part.by_seed) - np.mean(reference.by_seed))
    if not math.isfinite(value):
        return Figure(None, None, None, len(part.by_seed), part.n_items, reason="no item has a value")
    both = Part(part.by_seed, part.replicates - reference.replicates, part.by_item - reference.by_item)
    if not BY_NAME[name].share:
        return _with_interval(value, [both, reference], None, lambda: None)
    return _with_interval(value, [both, reference], (-1.0, 1.0), lambda: _newcombe(part, reference))


def _newcombe(part: Part, reference: Part) -> tuple[float, float]:
    """Newcombe's interval of paired shares (1998, Stat. Med. 17:2635, method 10), of as many pairs as items.

    Counts are expected ones: of an item that half of the trainings hallucinate on, half is counted.
    """
    pairs = np.isfinite(part.by_item) & np.isfinite(reference.by_item)
    first, second = part.by_item[pairs], reference.by_item[pairs]
    both, n = float(np.mean(first * second)), int(pairs.sum())
    shares = both, float(np.mean(first)) - both, float(np.mean(second)) - both
    a, b, c, d = (max(0.0, share) * n for share in (*shares, 1 - sum(shares)))
    return newcombe_paired(a, b, c, d)


def _with_interval(
    value: float,
    parts: Sequence[Part],
    bounds: tuple[float, float] | None,
    closed_form: Callable[[], tuple[float, float] | None],
) -> Figure:
    """Student's interval, inside the bounds; where no item varies the closed form's, no narrower than the seeds'.

    The first part has the resamples and the items; each has the spread of its seeds.
    """
    first, items = parts[0], _error_items(parts[0])
    errors = [_error_seeds(part) for part in parts]
    known = [error for error in errors if error is not None]
    seeds = math.sqrt(sum(error**2 for error in known)) if known else None
    reason = None if len(known) == len(parts) else ONE_SEED
    plain = Figure(value, None, None, len(first.by_seed), first.n_items, items, seeds, reason)
    if items is None:
        return replace(plain, reason="fewer than two items")
    ends = closed_form() if items < NO_WIDTH else None
    variance = items**2 + (seeds or 0.0) ** 2
    if variance < NO_WIDTH**2:
        if ends is None:
            return replace(plain, reason=f"nothing varied among {first.n_items} items: no telling how much could")
        return replace(plain, ci_low=ends[0], ci_high=ends[1])
    spread = items**4 / max(first.n_items - 1, 1)
    spread += sum(e**4 / (len(p.by_seed) - 1) for e, p in zip(errors, parts, strict=True) if e is not None)
    df = variance**2 / spread if spread > 0 else float(max(first.n_items - 1, 1))
    half = -student_t_quantile((1 - CONFIDENCE) / 2, df) * math.sqrt(variance)
    low, high = value - half, value + half
    if ends is not None:
        low, high = min(low, ends[0]), max(high, ends[1])
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return replace(plain, ci_low=low, ci_high=high)


def _error_items(part: Part) -> float | None:
    """Standard deviation of the resamples, made unbiased for K clusters; None for fewer than two."""
    valid = part.replicates[np.isfinite(part.replicates)]
    if part.n_items < 2 or len(valid) < 2:
        return None
    return float(np.std(valid)) * math.sqrt(part.n_items / (part.n_items - 1))


def _error_seeds(part: Part) -> float | None:
    count = len(part.by_seed)
    return float(np.std(part.by_seed, ddof=1)) / math.sqrt(count) if count > 1 else None
