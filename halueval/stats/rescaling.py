"""Temperature and Platt scaling: one or two numbers, fitted on held-out samples, that repair confidences.

Temperature scaling (Guo et al. 2017) divides all log-probabilities of a sample by one T and renormalises. It changes
no answer, only how sure of it the model is; T > 1 means that the model was too sure. T minimises the negative
log-likelihood over a bounded range, found on a grid and refined by golden-section search.

Platt scaling (Platt 1999) maps a confidence c to 1/(1 + exp(-(a · logit c + b))), with Platt's smoothed targets
(N₊+1)/(N₊+2) and 1/(N₋+2), so that the fit is finite even where all samples are right; Newton's method as in Lin, Lin
and Weng (2007).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.bootstrap import expanded_tail
from halueval.stats.calibration import Numbers
from halueval.stats.intervals import Interval, Resampler, percentile_interval
from halueval.stats.scoring_rules import Gold, classes_of

FloatArray = NDArray[np.float64]

BOUNDS = (0.01, 1000.0)
"""Temperatures searched; one at an end means that no finite temperature is best."""
GRID = 240
TOLERANCE = 1e-7
LOGIT_LIMIT = 700.0
"""Largest log-odds; beyond it exp overflows. A sequence probability of 0 has log-odds of minus this."""
MAX_NEWTON = 100


@dataclass(frozen=True, slots=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: T; 1 leaves confidences as they are.
        at_bound: T is an end of `BOUNDS`: the samples fitted on would have T go to 0 or to infinity.
        interval: 95 %, by resampling what it was fitted on.
    """

    value: float
    at_bound: bool
    interval: Interval


@dataclass(frozen=True, slots=True)
class Platt:
    """A fitted sigmoid: probability = 1/(1 + exp(-(slope · logit + intercept)))."""

    slope: float
    intercept: float


def pad(rows: Sequence[Sequence[float]]) -> FloatArray:
    """Log-probabilities of samples with different numbers of choices, filled up with -inf; shape (n, most choices).

    Raises:
        ValueError: no samples, a sample without choices, or a number that is not finite.
    """
    if not rows or not all(rows) or not all(math.isfinite(value) for row in rows for value in row):
        raise ValueError("each sample needs choices with finite log-probabilities")
    out = np.full((len(rows), max(map(len, rows))), -np.inf)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def softmax(scores: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Probabilities of each sample's choices at a temperature, shape (n, k); -inf becomes 0."""
    shifted = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    out: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
    return out


def temperature_nll_terms(scores: FloatArray, gold: Gold, temperature: float) -> FloatArray:
    """-log of the right choices' probability at a temperature, nats, shape (n,).

    Raises:
        ValueError: a sample without a right choice, or one out of range.
    """
    return _nll_terms(scores, classes_of(gold, scores.shape[1]) > 0, temperature)


def _nll_terms(scores: FloatArray, right: NDArray[np.bool_], temperature: float) -> FloatArray:
    scaled = (scores - scores.max(axis=1, keepdims=True)) / temperature
    chosen = np.where(right, scaled, -np.inf)
    top = chosen.max(axis=1)
    of_gold = top + np.log(np.exp(chosen - top[:, None]).sum(axis=1))
    terms: FloatArray = np.log(np.exp(scaled).sum(axis=1)) - of_gold
    return terms


def fit_temperature(
    scores: FloatArray, gold: Gold, clusters: Sequence[str], *, n_resamples: int = 500, seed: int = 0
) -> Temperature:
    """The temperature with the least mean negative log-likelihood.

    Args:
        scores: shape (n, k), from `pad`: log-probabilities, normalised or not.
        gold: right choices of each sample; several count together.
        clusters: n names, resampled whole for the interval.
        n_resamples: replicates of the interval.
        seed: of the draws.

    Raises:
        ValueError: as `temperature_nll_terms`, or another number of clusters.
    """
    if len(clusters) != len(scores):
        raise ValueError(f"{len(clusters)} clusters for {len(scores)} samples")
    grid = np.linspace(math.log(BOUNDS[0]), math.log(BOUNDS[1]), GRID)
    right = classes_of(gold, scores.shape[1]) > 0
    terms = np.stack([_nll_terms(scores, right, math.exp(point)) for point in grid], axis=1)

    def mean_nll(point: float) -> float:
        return math.fsum(_nll_terms(scores, right, math.exp(point))) / len(scores)

    best = int(np.argmin([math.fsum(column) for column in terms.T]))
    at_bound = best in (0, GRID - 1)
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    point = float(grid[best]) if at_bound else golden_section(mean_nll, float(low), float(high))
    resampler = Resampler(clusters, n_resamples, seed)
    by_cluster = resampler.cluster_sums(terms)
    drawn = np.concatenate([_parabola(grid, counts @ by_cluster) for counts in resampler.counts()])
    tail = expanded_tail(resampler.n_clusters) if resampler.n_clusters > 1 else 0.025
    interval = percentile_interval(np.clip(np.exp(drawn), *BOUNDS), resampler.n_clusters, tails=(tail, 1 - tail))
    return Temperature(min(max(math.exp(point), BOUNDS[0]), BOUNDS[1]), at_bound, interval)


def golden_section(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one minimum in [low, high] is least, to `TOLERANCE`."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > TOLERANCE:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2


def _parabola(grid: FloatArray, values: FloatArray) -> FloatArray:
    """Minimum of each row of values over the grid, refined by the parabola through its neighbours."""
    best = values.argmin(axis=1)
    inner = np.clip(best, 1, len(grid) - 2)
    rows = np.arange(len(values))
    before, here, after = (values[rows, inner + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=bend > 0)
    refined = grid[inner] + np.clip(shift, -1, 1) * (grid[1] - grid[0])
    out: FloatArray = np.where(best == inner, refined, grid[best])
    return out


def logit(confidence: Numbers) -> FloatArray:
    """log(c/(1 - c)), held to ±`LOGIT_LIMIT`, shape (n,).

    Raises:
        ValueError: a confidence outside [0, 1].
    """
    conf = np.asarray(confidence, dtype=np.float64)
    if not ((conf >= 0) & (conf <= 1)).all():
        raise ValueError("confidences must be numbers in [0, 1]")
    with np.errstate(divide="ignore"):
        out: FloatArray = np.clip(np.log(conf) - np.log1p(-conf), -LOGIT_LIMIT, LOGIT_LIMIT)
    return out


def apply_platt(confidence: Numbers, fitted: Platt) -> FloatArray:
    """Confidences through the fitted sigmoid, shape (n,), in [0, 1]; errors as `logit`."""
    return _sigmoid(fitted.slope * logit(confidence) + fitted.intercept)


def fit_platt(confidence: Numbers, correct: Numbers) -> Platt:
    """Slope and intercept with the least cross-entropy to Platt's smoothed targets.

    Args:
        confidence: shape (n,), in [0, 1].
        correct: shape (n,), 0 or 1.

    Returns:
        A slope of 0 where all confidences are equal.

    Raises:
        ValueError: no samples, different lengths, or values out of range.
    """
    x, right = logit(confidence), np.asarray(correct, dtype=np.float64)
    if not x.size or right.shape != x.shape or not np.isin(right, (0.0, 1.0)).all():
        raise ValueError(f"{x.size} confidences; `correct` must be as many zeros and ones, and there must be some")
    hits = right.sum()
    target = np.where(right == 1, (hits + 1) / (hits + 2), 1 / (right.size - hits + 2))
    # Centred and scaled, Newton's steps do not depend on the size of the log-odds.
    centre, scale = float(x.mean()), float(x.std())
    varied = scale > 1e-9
    z = (x - centre) / scale if varied else np.zeros_like(x)
    design = np.stack([z, np.ones_like(z)], axis=1)
    point = np.array([0.0, math.log((hits + 1) / (right.size - hits + 1))])

    def loss(at: FloatArray) -> float:
        score = design @ at
        return math.fsum(np.logaddexp(0.0, score) - target * score)

    for _ in range(MAX_NEWTON):
        p = _sigmoid(design @ point)
        gradient = design.T @ (p - target)
        if np.abs(gradient).max() < 1e-10 * right.size:
            break
        hessian = (design.T * (p * (1 - p))) @ design + 1e-12 * np.eye(2)
        step, size, before = np.linalg.solve(hessian, gradient), 1.0, loss(point)
        while size > 1e-10 and loss(point - size * step) > before:
            size /= 2
        point = point - size * step
    slope = float(point[0]) / scale if varied else 0.0
    return Platt(slope, float(point[1]) - slope * centre)


def _sigmoid(score: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        out: FloatArray = 1.0 / (1.0 + np.exp(-score))
    return out
