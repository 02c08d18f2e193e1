"""Scoring rules and calibration errors over all classes, and Murphy's decomposition of the Brier score.

- Brier score over classes: Σ_k (p_k - [k is right])² per sample, in [0, 2] (Brier 1950; lm-evaluation-harness's
  `brier_score`). For two classes it is twice the scalar score of `calibration.brier`.
- Classwise calibration error: the mean over classes of Σ_b (n_b/n) · |share of class k in bin b - mean p_k in b|.
  With bins of equal width it is the static calibration error (Nixon et al. 2019) or classwise ECE (Kull et al. 2019);
  with bins of equal mass the adaptive one (Nixon et al. 2019). The adaptive ECE of the confidence in the answer given
  is `calibration.ece` with its own bins of equal mass (Nguyen and O'Connor 2015).
- Murphy (1973): of forecasts that take the values c_b, Brier = reliability - resolution + uncertainty, with
  reliability = Σ (n_b/n) (c_b - a_b)², resolution = Σ (n_b/n) (a_b - a)², uncertainty = a (1 - a), a_b and a being
  the shares of right answers in bin b and in all. Confidences within a bin differ; what that adds to the score of the
  confidences themselves is `within_bins` (Stephenson, Coelho and Jolliffe 2008), so that the four parts always add up.

Probabilities are arrays of shape (n, k); a sample with fewer classes than k has 0 in the columns beyond its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.calibration import CLIP, Numbers, Scheme, assign_bins, brier_terms

FloatArray = NDArray[np.float64]
Gold = Sequence[Sequence[int]]
"""Indices of the right classes of each sample, at least one."""

MAX_CLASSES = 40
"""Most classes for the interval of a classwise error: the covariance of their bins is a matrix of its square."""

MAX_SUM_ERROR = 1e-6
"""Probabilities of a sample must add up to 1 within this."""


@dataclass(frozen=True, slots=True)
class BrierParts:
    """Parts of the scalar Brier score: brier = reliability - resolution + uncertainty + within_bins.

    Attributes:
        brier: of the confidences as they are.
        reliability: lower is better, 0 where each bin is right as often as it says.
        resolution: higher is better, 0 where all bins are right equally often.
        uncertainty: a(1 - a) of the accuracy a; no merit or fault of the confidences.
        within_bins: what the confidences' differences inside bins add; 0 where a bin holds one value.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


def classes_of(gold: Gold, num_classes: int) -> FloatArray:
    """1 where a class is right, shape (n, num_classes).

    Raises:
        ValueError: a sample without a right class, or one out of range.
    """
    out = np.zeros((len(gold), num_classes))
    for row, indices in enumerate(gold):
        if not indices or not all(0 <= index < num_classes for index in indices):
            raise ValueError(f"sample {row}: right classes {list(indices)} among {num_classes}")
        out[row, list(indices)] = 1.0
    return out


def brier_sum_terms(probabilities: FloatArray, gold: Gold) -> FloatArray:
    """Σ_k (p_k - [k is right])² of each sample, shape (n,), in [0, 2].

    Args:
        probabilities: shape (n, k).
        gold: the one right class of each sample.

    Raises:
        ValueError: as `classes_of`; several right classes; probabilities that are none.
    """
    p, right = _checked(probabilities, gold)
    if (right.sum(axis=1) != 1).any():
        raise ValueError("the Brier score over classes needs exactly one right class for each sample")
    terms: FloatArray = np.square(p - right).sum(axis=1)
    return terms


def choice_nll_terms(probabilities: FloatArray, gold: Gold) -> FloatArray:
    """-log of the probability of the right classes together, nats, shape (n,); held to `calibration.CLIP`.

    Raises:
        ValueError: as `classes_of`, or probabilities that are none.
    """
    p, right = _checked(probabilities, gold)
    terms: FloatArray = -np.log(np.clip((p * right).sum(axis=1), CLIP, 1.0))
    return terms + 0.0  # -log(1) is -0.0


def classwise_table(
    probabilities: FloatArray, gold: Gold, *, n_bins: int = 15, scheme: Scheme = "equal_width"
) -> FloatArray:
    """What `calibration.ece_of_sums` and `ece_difference` need of each sample for the classwise error.

    Args:
        probabilities: shape (n, k).
        gold: the one right class of each sample.
        n_bins: bins of each class.
        scheme: "equal_width" for the static or classwise ECE, "equal_mass" for the adaptive one.

    Returns:
        Shape (n, k * n_bins + 1): ([class is right] - p) / k in the column of the class's bin, and 1.

    Raises:
        ValueError: as `brier_sum_terms`, or as `calibration.assign_bins`.
    """
    p, right = _checked(probabilities, gold)
    if (right.sum(axis=1) != 1).any():
        raise ValueError("the classwise error needs exactly one right class for each sample")
    n, k = p.shape
    table = np.zeros((n, k * n_bins + 1))
    for number in range(k):
        bins = assign_bins(p[:, number], n_bins=n_bins, scheme=scheme)
        table[np.arange(n), number * n_bins + bins] = (right[:, number] - p[:, number]) / k
    table[:, -1] = 1.0
    return table


def classwise_ece(probabilities: FloatArray, gold: Gold, *, n_bins: int = 15, scheme: Scheme = "equal_width") -> float:
    """Classwise calibration error; arguments and errors as `classwise_table`."""
    table = classwise_table(probabilities, gold, n_bins=n_bins, scheme=scheme)
    return math.fsum(abs(math.fsum(column)) for column in table[:, :-1].T) / len(table)


def murphy_table(
    confidence: Numbers, correct: Numbers, *, n_bins: int = 15, scheme: Scheme = "equal_mass"
) -> FloatArray:
    """What `murphy_of_sums` needs of each sample.

    Args:
        confidence: shape (n,), in [0, 1].
        correct: shape (n,), 0 or 1.
        n_bins: bins.
        scheme: see `calibration.ece`.

    Returns:
        Shape (n, 3 * n_bins + 1): 1, confidence and correct in the columns of the bin, and the Brier term.

    Raises:
        ValueError: as `calibration.ece`.
    """
    terms = brier_terms(confidence, correct)
    conf, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    bins, every = assign_bins(conf, n_bins=n_bins, scheme=scheme), np.arange(conf.size)
    table = np.zeros((conf.size, 3 * n_bins + 1))
    table[every, bins] = 1.0
    table[every, n_bins + bins] = conf
    table[every, 2 * n_bins + bins] = right
    table[:, -1] = terms
    return table


def murphy_of_sums(sums: FloatArray) -> FloatArray:
    """Parts of the Brier score from column sums of `murphy_table`, each row by itself.

    Returns:
        Shape (b, 5): Brier score, reliability, resolution, uncertainty, within bins; NaN where nothing was drawn.
    """
    n_bins = (sums.shape[1] - 1) // 3
    count, conf, right = (sums[:, i * n_bins : (i + 1) * n_bins] for i in range(3))
    # Resampling can leave -1e-17 of a sample where nothing was drawn.
    filled = count > 1e-9
    size = np.where(filled, count, 1.0)
    n = count.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = right.sum(axis=1, keepdims=True) / n
        reliability = (np.where(filled, np.square(conf - right) / size, 0.0) / n).sum(axis=1)
        resolution = (np.where(filled, np.square(right - size * whole) / size, 0.0) / n).sum(axis=1)
        uncertainty = (whole * (1 - whole))[:, 0]
        brier = sums[:, -1] / n[:, 0]
    parts = [brier, reliability, resolution, uncertainty, brier - (reliability - resolution + uncertainty)]
    return np.stack(parts, axis=1)


def murphy(confidence: Numbers, correct: Numbers, *, n_bins: int = 15, scheme: Scheme = "equal_mass") -> BrierParts:
    """Murphy's decomposition of the scalar Brier score; arguments and errors as `murphy_table`."""
    table = murphy_table(confidence, correct, n_bins=n_bins, scheme=scheme)
    sums = np.array([[math.fsum(column) for column in table.T]])
    return BrierParts(*(float(part) for part in murphy_of_sums(sums)[0]))


def _checked(probabilities: FloatArray, gold: Gold) -> tuple[FloatArray, FloatArray]:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not len(p) or len(gold) != len(p):
        raise ValueError(f"probabilities of shape {p.shape} and right classes of {len(gold)} samples")
    if not ((p >= 0) & (p <= 1)).all() or (np.abs(p.sum(axis=1) - 1) > MAX_SUM_ERROR).any():
        raise ValueError("probabilities of a sample must lie in [0, 1] and add up to 1")
    return p, classes_of(gold, p.shape[1])
