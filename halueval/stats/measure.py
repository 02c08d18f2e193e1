"""A figure as a function of the weights of rows, its value, and its interval from many draws at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.bootstrap import Replicates
from halueval.stats.intervals import Resampler

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]
"""Weights of shape (b, n) to figures of shape (b,), NaN where undefined."""

DIGITS = 12
"""To which replicates are rounded: what differs beyond is rounding, and no width."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of given arrays, or the reason why there is none.

    Attributes:
        statistic: weights of shape (b, n) to figures of shape (b,).
        problem: why the figure is undefined for these arrays; None where it is defined.
        no_interval: why it is not resampled; None where it is.
    """

    statistic: Statistic
    problem: str | None = None
    no_interval: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval; None where there is none, with the reason."""

    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str | None = None


def estimate(
    measures: Mapping[str, Measure], clusters: Sequence[str], *, n_resamples: int = 2000, seed: int = 0
) -> dict[str, Figure]:
    """Values with percentile bootstrap intervals, all measures from the same draws.

    Args:
        measures: by name, all of the same n rows.
        clusters: n names; rows of one are drawn together.
        n_resamples: replicates.
        seed: of the draws.
    """
    defined = {name: m for name, m in measures.items() if m.problem is None}
    values = {name: float(m.statistic(np.ones((1, len(clusters))))[0]) for name, m in defined.items()}
    drawn = [name for name, m in defined.items() if m.no_interval is None and math.isfinite(values[name])]
    replicates: dict[str, list[FloatArray]] = {name: [] for name in drawn}
    n_clusters = len(set(clusters))
    if drawn:
        for weights in Resampler(clusters, n_resamples, seed).weights():
            for name in drawn:
                replicates[name].append(defined[name].statistic(weights))
    out: dict[str, Figure] = {}
    for name, measure in measures.items():
        if measure.problem is not None:
            out[name] = Figure(None, reason=measure.problem)
        elif not math.isfinite(values[name]):
            out[name] = Figure(None, reason="undefined for these rows")
        elif name not in replicates:
            out[name] = Figure(values[name], reason=measure.no_interval)
        else:
            drawn_values: FloatArray = np.concatenate(replicates[name]).round(DIGITS)
            interval = Replicates(values[name], drawn_values, n_clusters).interval()
            out[name] = Figure(values[name], interval.low, interval.high, interval.reason)
    return out


def pair_arrays(scores: FloatArray, human: NDArray[np.bool_] | FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both as floats of shape (n,).

    Raises:
        ValueError: they have another shape.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(human, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"scores of shape {x.shape} and human values of shape {y.shape}; both must be (n,)")
    return x, y


def problem_of(x: FloatArray, y: FloatArray) -> str | None:
    """Why nothing can be said of these arrays; None where something can."""
    if len(x) < 3:
        return f"{len(x)} rows: too few"
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return "a score or a human value is not a finite number"
    if x.min() == x.max():
        return "all scores are equal"
    return "all human values are equal" if y.min() == y.max() else None
