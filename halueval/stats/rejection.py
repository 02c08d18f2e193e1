"""Whether an uncertainty tells wrong answers from right ones: AUROC, AURAC and PRR.

Answers are put in order of uncertainty, higher meaning less certain.

- AUROC: probability that a wrong answer is less certain than a right one, ties ½ (Mann and Whitney 1947); 0.5 is
  chance.
- A(k): accuracy of the k most certain answers. AURAC, the area under the rejection-accuracy curve, is the mean of A(k)
  over k = 1 … n: one point for each answer rejected, none left out (Nadeem et al. 2009; Farquhar et al. 2024 read the
  curve at 20 quantiles from 0.1 to 1 and sum, which is another figure). Chance is the accuracy itself.
- PRR, the prediction rejection ratio: (AURAC - accuracy) / (AURAC of the oracle - accuracy), the oracle rejecting wrong
  answers first (Malinin and Gales 2021). 1 is the oracle, 0 chance, and it can be negative.

Among answers of equal uncertainty every order is as likely, so A(k) within a tie is its expectation, and no figure
depends on the order of samples. A resample of the bootstrap, in which answers occur several times, is such a tie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.bootstrap import Replicates
from halueval.stats.intervals import Resampler

FloatArray = NDArray[np.float64]
Numbers = Sequence[float] | FloatArray

NONE_WRONG, NONE_RIGHT = "no wrong answer among those judged", "no right answer among those judged"
NOTHING = "no answer to judge"

DECIMALS = 12


@dataclass(frozen=True, slots=True)
class RejectionFigure:
    """A figure with its 95 % interval; None, with the reason, where there is none."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RejectionFigures:
    """The three figures of one uncertainty over n answers, of which `accuracy` are right (None for n = 0)."""

    auroc: RejectionFigure
    aurac: RejectionFigure
    prr: RejectionFigure
    n: int
    accuracy: float | None


def auroc(uncertainty: Numbers, wrong: Sequence[bool]) -> float | None:
    """Area under the ROC curve of wrongness; None where one class is missing.

    Args:
        uncertainty: shape (n,), higher is less certain.
        wrong: shape (n,).

    Raises:
        ValueError: no samples, different lengths, or an uncertainty that is not finite.
    """
    return _single(uncertainty, wrong, 0)


def aurac(uncertainty: Numbers, wrong: Sequence[bool]) -> float | None:
    """Area under the rejection-accuracy curve; None where one class is missing. Arguments and errors as `auroc`."""
    return _single(uncertainty, wrong, 1)


def prr(uncertainty: Numbers, wrong: Sequence[bool]) -> float | None:
    """Prediction rejection ratio; None where one class is missing. Arguments and errors as `auroc`."""
    return _single(uncertainty, wrong, 2)


def rejection_figures(
    uncertainty: Numbers,
    wrong: Sequence[bool],
    clusters: Sequence[str] | None = None,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> RejectionFigures:
    """All three figures with bootstrap intervals over clusters.

    Args:
        uncertainty: shape (n,), higher is less certain.
        wrong: shape (n,).
        clusters: n names; None where each answer is its own cluster.
        n_resamples: replicates; those that drew one class only have no figure and are left out.
        seed: of the draws.

    Raises:
        ValueError: different lengths, or an uncertainty that is not finite.
    """
    if not len(wrong) and not len(uncertainty):
        none = RejectionFigure(None, None, None, NOTHING)
        return RejectionFigures(none, none, none, 0, None)
    curve = _Curve(uncertainty, wrong)
    accuracy = 1 - curve.num_wrong / curve.n
    if not 0 < curve.num_wrong < curve.n:
        none = RejectionFigure(None, None, None, NONE_RIGHT if curve.num_wrong else NONE_WRONG)
        return RejectionFigures(none, none, none, curve.n, accuracy)
    if clusters is not None and len(clusters) != curve.n:
        raise ValueError(f"{curve.n} answers and {len(clusters)} names of clusters")
    names = [f"{i:09d}" for i in range(curve.n)] if clusters is None else [clusters[i] for i in curve.order]
    sampler = Resampler(names, n_resamples, seed)
    chunks = [curve.figures(weights) for weights in sampler.weights()]
    ones = curve.figures(np.ones((1, curve.n)))
    auroc_, aurac_, prr_ = (
        _with_interval(float(ones[i][0]), np.concatenate([chunk[i] for chunk in chunks]), sampler.n_clusters)
        for i in range(3)
    )
    return RejectionFigures(auroc_, aurac_, prr_, curve.n, accuracy)


def _with_interval(value: float, replicates: FloatArray, n_clusters: int) -> RejectionFigure:
    interval = Replicates(value, replicates, n_clusters).interval()
    return RejectionFigure(value, interval.low, interval.high, interval.reason)


def _single(uncertainty: Numbers, wrong: Sequence[bool], which: int) -> float | None:
    curve = _Curve(uncertainty, wrong)
    value = float(curve.figures(np.ones((1, curve.n)))[which][0])
    return None if math.isnan(value) else value


class _Curve:
    """Answers in order of uncertainty, those of equal uncertainty together.

    Its figures take weights of shape (b, n), whole numbers in the order of `order`, and give shape (b,), NaN where a
    class is missing.
    """

    def __init__(self, uncertainty: Numbers, wrong: Sequence[bool]) -> None:
        values = np.asarray(uncertainty, dtype=np.float64)
        is_wrong = np.asarray(wrong, dtype=bool)
        if values.ndim != 1 or values.shape != is_wrong.shape or not values.size:
            raise ValueError(f"{values.size} uncertainties and {is_wrong.size} answers; one for each, and at least one")
        if not np.isfinite(values).all():
            raise ValueError("an uncertainty that is not a finite number")
        self.order: NDArray[np.intp] = np.lexsort((is_wrong, values))
        self._wrong = is_wrong[self.order]
        ordered = values[self.order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] > ordered[:-1]])
        self.n = int(values.size)
        self.num_wrong = int(is_wrong.sum())

    def figures(self, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """AUROC, AURAC and PRR."""
        right = np.add.reduceat(weights * ~self._wrong, self._starts, axis=1)
        wrong = np.add.reduceat(weights * self._wrong, self._starts, axis=1)
        n_right, n_wrong = right.sum(axis=1), wrong.sum(axis=1)
        n, both = n_right + n_wrong, (n_right > 0) & (n_wrong > 0)
        won = (wrong * (right.cumsum(axis=1) - right / 2)).sum(axis=1)
        area = np.where(both, self._area(right, wrong), np.nan)
        harmonic = _harmonic(int(n.max()))
        rest = harmonic[n.astype(np.intp)] - harmonic[n_right.astype(np.intp)]
        chance, oracle = _divided(n_right, n, both), _divided(n_right * (1 + rest), n, both)
        # Rounded: a perfect order must give the same 1.0 in every resample, not 1.0 and 1 - 1e-16.
        ratio = np.round(_divided(area - chance, oracle - chance, both), DECIMALS)
        return _divided(won, n_right * n_wrong, both), area, ratio

    @staticmethod
    def _area(right: FloatArray, wrong: FloatArray) -> FloatArray:
        """Mean of A(k): within a tie of m answers, r of them right, A(M + j) = (C + j · r/m) / (M + j)."""
        size = right + wrong
        n = size.sum(axis=1)
        end, correct = size.cumsum(axis=1), right.cumsum(axis=1) - right
        start = end - size
        rate = np.divide(right, size, out=np.zeros_like(right), where=size > 0)
        harmonic = _harmonic(int(n.max()))
        steps = harmonic[end.astype(np.intp)] - harmonic[start.astype(np.intp)]
        area = ((correct - start * rate) * steps + size * rate).sum(axis=1)
        return _divided(area, n, n > 0)


def _harmonic(n: int) -> FloatArray:
    """Sums 1 + 1/2 + … + 1/k for k = 0 … n, shape (n + 1,)."""
    return np.concatenate([np.zeros(1), np.cumsum(1 / np.arange(1, n + 1))])


def _divided(a: FloatArray, b: FloatArray, where: NDArray[np.bool_]) -> FloatArray:
    out = np.full(a.shape, np.nan)
    np.divide(a, b, out=out, where=where)
    return out
