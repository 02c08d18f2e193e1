"""Selective answering: how often a model is right if it keeps only what it is most confident of.

The risk at coverage m/n is the share of wrong answers among the m most confident (El-Yaniv and Wiener 2010). Where
samples of equal confidence straddle m, the risk is its expectation over their order, which makes the curve independent
of the order of samples. AURC is the mean of the risks at all n coverages (Geifman, Uziel and El-Yaniv 2019); lower is
better. A ranking that says nothing has the error rate as its AURC.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halueval.stats.bootstrap import Replicates
from halueval.stats.calibration import Numbers
from halueval.stats.intervals import Resampler

FloatArray = NDArray[np.float64]

COVERAGES = (0.25, 0.5, 0.75, 0.9)
"""Shares of the answers for which selective accuracy is reported; at 1 it is the accuracy."""


class _Ranking:
    """Samples in falling confidence, put together where it is equal."""

    def __init__(self, confidence: Numbers, correct: Numbers) -> None:
        conf, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
        if conf.ndim != 1 or not conf.size or right.shape != conf.shape:
            raise ValueError(f"{conf.size} confidences and {right.size} outcomes; as many of each, and at least one")
        if np.isnan(conf).any() or not np.isin(right, (0.0, 1.0)).all():
            raise ValueError("confidences must be numbers, outcomes zeros and ones")
        values, level = np.unique(-conf, return_inverse=True)
        self.level: NDArray[np.intp] = level
        self.n_levels = len(values)
        self.wrong: FloatArray = 1.0 - right

    def risks(self, weights: FloatArray | None = None) -> FloatArray:
        """Risk at each coverage, shape (sum of weights,); every weight a whole number, 1 where None."""
        sizes = np.bincount(self.level, weights, minlength=self.n_levels)
        errors = np.bincount(self.level, self.wrong if weights is None else self.wrong * weights, self.n_levels)
        kept = sizes > 0
        # The expected number of errors rises evenly through samples of one confidence.
        ends, total = np.r_[0.0, np.cumsum(sizes[kept])], np.r_[0.0, np.cumsum(errors[kept])]
        taken = np.arange(1, round(ends[-1]) + 1)
        risks: FloatArray = np.interp(taken, ends, total) / taken
        return risks


def risk_coverage(confidence: Numbers, correct: Numbers) -> tuple[FloatArray, FloatArray]:
    """The risk-coverage curve.

    Args:
        confidence: shape (n,); any number, a higher one meaning more trust.
        correct: shape (n,), 0 or 1.

    Returns:
        Coverages 1/n, 2/n … 1, and the risk at each, both of shape (n,).

    Raises:
        ValueError: no samples, different lengths, NaN, or outcomes other than 0 and 1.
    """
    risks = _Ranking(confidence, correct).risks()
    return np.arange(1, risks.size + 1) / risks.size, risks


def aurc(confidence: Numbers, correct: Numbers) -> float:
    """Area under the risk-coverage curve: the mean of its risks, in [0, 1]; errors as `risk_coverage`."""
    risks = _Ranking(confidence, correct).risks()
    return math.fsum(risks) / risks.size


def selective_accuracy(confidence: Numbers, correct: Numbers, coverage: float) -> float:
    """Share of right answers among the ⌈coverage · n⌉ most confident.

    Raises:
        ValueError: as `risk_coverage`, or a coverage outside (0, 1].
    """
    return 1.0 - float(_at(_Ranking(confidence, correct).risks(), coverage))


def selective_replicates(
    confidence: Numbers,
    correct: Numbers,
    clusters: Sequence[str],
    *,
    coverages: Sequence[float] = COVERAGES,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Replicates]:
    """Bootstrap of AURC (key "aurc") and of selective accuracy (keys as "0.5"), over whole clusters.

    Args:
        confidence: shape (n,).
        correct: shape (n,), 0 or 1.
        clusters: n names.
        coverages: shares to report selective accuracy at.
        n_resamples: replicates.
        seed: of the draws; they are the same for any two rankings of the same samples.

    Raises:
        ValueError: as `risk_coverage`, another number of clusters, or a coverage outside (0, 1].
    """
    ranking = _Ranking(confidence, correct)
    if len(clusters) != ranking.level.size:
        raise ValueError(f"{len(clusters)} clusters for {ranking.level.size} samples")

    def figures(risks: FloatArray) -> list[float]:
        return [float(risks.mean()), *(1.0 - _at(risks, share) for share in coverages)]

    resampler = Resampler(clusters, n_resamples, seed)
    drawn = np.array([figures(ranking.risks(row)) for rows in resampler.weights() for row in rows])
    names = ["aurc", *(f"{share:g}" for share in coverages)]
    return {
        name: Replicates(value, drawn[:, i], resampler.n_clusters)
        for i, (name, value) in enumerate(zip(names, figures(ranking.risks()), strict=True))
    }


def _at(risks: FloatArray, coverage: float) -> float:
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage {coverage}; it must be above 0 and at most 1")
    # 0.9 · 30 is 27.000000000000004.
    return float(risks[max(1, math.ceil(coverage * risks.size - 1e-9)) - 1])
