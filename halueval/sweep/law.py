"""Accuracy against what was fitted: the linear model of Gekhman et al. 2024, section 4.3.

    accuracy = β₀ + β_known · N_known/|D| + β_unknown · N_unknown/|D|

N_known and N_unknown are the training facts that a checkpoint gives back, of those that the base knew and of those that
it did not, |D| is the number of training facts. Published for PaLM 2-M on EntityQuestions, in per cent:
36.9 + 7.3 · known − 8.3 · unknown, R² .86, in-domain.

A training gives several checkpoints, which are not independent: coefficients have intervals by the jackknife over
trainings, Student's with their number less one degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.intervals import CONFIDENCE
from halueval.stats.special import student_t_quantile

FloatArray = NDArray[np.float64]

PUBLISHED = {"intercept": 0.369, "known": 0.073, "unknown": -0.083, "r_squared": 0.86}
"""Gekhman et al. 2024, table 3, in-domain; as shares."""
NAMES = ("intercept", "known", "unknown")


@dataclass(frozen=True, slots=True)
class Point:
    """One checkpoint of one training.

    Attributes:
        training: name of the training; checkpoints of one are not independent.
        step: optimizer steps.
        accuracy: on questions that were not trained, 0-1.
        known: training facts that the base knew and the checkpoint gives back, as a share of all training facts.
        unknown: the same of facts that the base did not know.
    """

    training: str
    step: int
    accuracy: float
    known: float
    unknown: float


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient with its 95 % interval; no interval with `reason`."""

    value: float
    ci_low: float | None
    ci_high: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Law:
    """The fitted model.

    Attributes:
        coefficients: by `NAMES`.
        r_squared: share of the variance of accuracies that it explains.
        n_points: checkpoints.
        n_trainings: trainings.
    """

    coefficients: dict[str, Coefficient]
    r_squared: float
    n_points: int
    n_trainings: int


def fit_law(points: Sequence[Point]) -> Law:
    """Fit the model by least squares.

    Args:
        points: of at least two trainings, and more than the three coefficients.

    Raises:
        ValueError: too few points, or shares that do not vary, so that coefficients cannot be told apart.
    """
    trainings = list(dict.fromkeys(point.training for point in points))
    if len(points) < 4 or len(trainings) < 2:
        raise ValueError(f"{len(points)} checkpoints of {len(trainings)} trainings; the model needs 4 of 2 at least")
    design = np.array([(1.0, point.known, point.unknown) for point in points])
    accuracy: FloatArray = np.array([point.accuracy for point in points], dtype=np.float64)
    if np.linalg.matrix_rank(design) < 3:
        raise ValueError("the shares of known and unknown facts do not vary independently of each other")
    beta = _least_squares(design, accuracy)
    left = accuracy - design @ beta
    total = accuracy - accuracy.mean()
    spread = float(total @ total)
    names = np.array([point.training for point in points])
    without = [_without(design[names != name], accuracy[names != name]) for name in trainings]
    return Law(
        coefficients={name: _coefficient(beta[i], [w[i] for w in without]) for i, name in enumerate(NAMES)},
        r_squared=1 - float(left @ left) / spread if spread > 0 else math.nan,
        n_points=len(points),
        n_trainings=len(trainings),
    )


def _least_squares(design: FloatArray, accuracy: FloatArray) -> FloatArray:
    found: FloatArray = np.asarray(np.linalg.lstsq(design, accuracy, rcond=None)[0], dtype=np.float64)
    return found


def _without(design: FloatArray, accuracy: FloatArray) -> FloatArray:
    """Coefficients with one training left out; NaN where the rest does not tell them apart."""
    if np.linalg.matrix_rank(design) < 3:
        return np.full(3, np.nan)
    return _least_squares(design, accuracy)


def _coefficient(value: float, without: Sequence[float]) -> Coefficient:
    """Jackknife over trainings: s² = (G-1)/G · Σ (β₍₋g₎ - mean)²."""
    left = np.array(without)
    if not np.isfinite(left).all():
        return Coefficient(float(value), None, None, "without one of the trainings it is undefined")
    groups = len(left)
    error = math.sqrt((groups - 1) / groups * float(((left - left.mean()) ** 2).sum()))
    if error == 0:
        return Coefficient(float(value), None, None, "nothing varies")
    half = -student_t_quantile((1 - CONFIDENCE) / 2, groups - 1) * error
    return Coefficient(float(value), float(value) - half, float(value) + half)
