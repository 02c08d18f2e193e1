"""Calibration: whether a confidence of 80 % is right 80 % of the time.

ECE = Σ_b (n_b/n) · |accuracy_b - mean confidence_b| over bins (Naeini 2015; Guo 2017). Bins of equal mass hold
about as many samples each; samples of equal confidence always share a bin, or the figure would depend on their
order. ECE is biased upwards for small n: a perfectly calibrated model does not score 0, but `ece_floor`.

The Brier score is the scalar one, of the confidence in the answer given, in [0, 1]; not the sum over classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halueval.stats.blocks import sum_by_cluster
from halueval.stats.intervals import CHUNK_BYTES
from halueval.stats.jackknife import Estimate
from halueval.stats.proportions import wilson

FloatArray = NDArray[np.float64]
Numbers = Sequence[float] | FloatArray
Scheme = Literal["equal_mass", "equal_width"]

CLIP = 1e-12
"""Confidences are held this far from 0 and 1 in the log score: one wrong answer given with a rounded 1.0
costs 27.6 nats, not infinity, which no mean survives."""

NOISE_OFF = 0.5
"""Share of the noise in the bins' gaps that is taken off for the interval of a change of ECE."""


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of a reliability curve: mean confidence, accuracy with its Wilson interval, and samples."""

    confidence: float
    accuracy: float
    count: int
    low: float
    high: float


def ece(confidence: Numbers, correct: Numbers, *, n_bins: int = 15, scheme: Scheme = "equal_mass") -> float:
    """Expected calibration error.

    Args:
        confidence: shape (n,), in [0, 1].
        correct: shape (n,), 0 or 1.
        n_bins: bins; fewer are filled where confidences repeat.
        scheme: "equal_mass", or "equal_width", whose bins are (low, high] with 0 in the first.

    Raises:
        ValueError: no samples, different lengths, values out of range, or an unknown scheme.
    """
    conf, right = _checked(confidence, correct)
    bins = assign_bins(conf, n_bins=n_bins, scheme=scheme)
    return float(np.abs(np.bincount(bins, right - conf)).sum() / conf.size)


def ece_table(confidence: Numbers, correct: Numbers, bins: NDArray[np.intp], *, n_bins: int = 15) -> FloatArray:
    """What `ece_of_sums` needs of each sample, so that ECE and its change can be bootstrapped with fixed bins.

    Args:
        confidence: shape (n,), in [0, 1].
        correct: shape (n,), 0 or 1.
        bins: shape (n,), from `assign_bins`.
        n_bins: as there.

    Returns:
        Shape (n, n_bins + 1): correct minus confidence in the column of the bin, and 1.

    Raises:
        ValueError: no samples, different lengths, or values out of range.
    """
    conf, right = _checked(confidence, correct)
    table = np.zeros((conf.size, n_bins + 1))
    table[np.arange(conf.size), bins] = right - conf
    table[:, n_bins] = 1.0
    return table


def ece_of_sums(sums: FloatArray) -> FloatArray:
    """ECE from column sums of `ece_table`, shape (b, n_bins + 1) to (b,); NaN where nothing was drawn."""
    out = np.full(len(sums), np.nan)
    np.divide(np.abs(sums[:, :-1]).sum(axis=1), sums[:, -1], out=out, where=sums[:, -1] != 0)
    return out


def ece_difference(
    table_a: FloatArray,
    table_b: FloatArray,
    clusters: Sequence[str] | None = None,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> tuple[Estimate, Estimate]:
    """ECE of b less that of a over the same samples, each with its own bins held fixed, with its standard error.

    ECE adds up the sizes of bins' gaps, and size is bent at 0. The gaps of all bins of both models are drawn from the
    normal distribution, around those seen and with the covariance that the samples show; the error is the spread of
    the difference of ECEs. But a gap seen is the true one and noise: draws around it vary too much where there is
    no true gap (intervals then cover 97 to 98 %), and as they should where there is one. For the interval half of
    the noise is therefore taken off, sign(gap) · √max(0, gap² - variance/2), which costs half a point of coverage
    where gaps are large (all of it would cost 1.5). The test takes off none, and keeps its level everywhere.

    Both ECEs are those of their bins at this number of samples, which is more than the models' true miscalibration
    (see `ece_floor`); interval and test are of the difference of the two.

    Args:
        table_a: shape (n, n_bins + 1), the base's `ece_table`.
        table_b: shape (n, n_bins + 1), the candidate's, of the same samples.
        clusters: n names; None where each sample is its own cluster.
        n_resamples: draws.
        seed: of the draws.

    Returns:
        The difference with the error for its interval, and with the error for its test.

    Raises:
        ValueError: tables that are empty, not finite or of different shape, another number of clusters, or no draws.
    """
    if np.shape(table_a) != np.shape(table_b) or n_resamples < 2:
        raise ValueError(f"tables of shape {np.shape(table_a)} and {np.shape(table_b)}, {n_resamples} draws")
    width = np.shape(table_a)[1] - 1
    rows = sum_by_cluster(np.hstack([table_a[:, :width], table_b]), clusters)
    totals, k = rows.sum(axis=0), len(rows)
    gaps = totals[:-1] / totals[-1]
    value = float(np.abs(gaps[width:]).sum() - np.abs(gaps[:width]).sum())
    if k < 2:
        none = Estimate(value, math.nan, math.nan, k, "normal-t", f"{k} cluster: nothing to compare it with")
        return none, none
    if np.array_equal(table_a, table_b):
        equal = Estimate(value, 0.0, k - 1, k, "normal-t")
        return equal, equal
    # Of a ratio of sums, x/n, a row moves x - n · gap; their products, from those of x and n.
    products, turn = np.einsum("ij,ik->jk", rows, rows), np.vstack([np.eye(2 * width), -gaps])
    covariance = np.einsum("ji,jk,kl->il", turn, products, turn, optimize=True) * (k / (k - 1) / totals[-1] ** 2)
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(np.clip(values, 0.0, None)) @ vectors.T  # rounding leaves eigenvalues of -1e-20
    noise = np.random.default_rng(seed).standard_normal((n_resamples, 2 * width)) @ factor

    def around(centres: FloatArray) -> Estimate:
        sizes = np.abs(centres + noise)
        spread = float((sizes[:, width:].sum(axis=1) - sizes[:, :width].sum(axis=1)).std())
        return Estimate(value, spread, k - 1, k, "normal-t")

    calmed = np.sign(gaps) * np.sqrt(np.maximum(0.0, gaps**2 - NOISE_OFF * np.diag(covariance)))
    return around(calmed), around(gaps)


def assign_bins(confidence: Numbers, *, n_bins: int = 15, scheme: Scheme = "equal_mass") -> NDArray[np.intp]:
    """Number of the bin of each sample, 0 to n_bins - 1.

    A run of equal confidences goes where its middle falls in the order of all samples.

    Args:
        confidence: shape (n,), in [0, 1].
        n_bins: bins.
        scheme: see `ece`.

    Raises:
        ValueError: no samples, a confidence outside [0, 1], n_bins < 1, or an unknown scheme.
    """
    conf = _confidences(confidence)
    if n_bins < 1 or scheme not in ("equal_mass", "equal_width"):
        raise ValueError(f"{n_bins} bins of {scheme!r}; at least one, of equal_mass or equal_width")
    if scheme == "equal_width":
        edges = np.arange(1, n_bins) / n_bins
        return np.searchsorted(edges, conf, side="left")
    _, value, counts = np.unique(conf, return_inverse=True, return_counts=True)
    # Twice the middle rank, to stay in whole numbers: a bin must not hang on a rounding error.
    twice_middle = 2 * np.cumsum(counts) - counts
    of_value: NDArray[np.intp] = twice_middle * n_bins // (2 * conf.size)
    return of_value[value]


def ece_floor(
    confidence: Numbers,
    *,
    n_bins: int = 15,
    scheme: Scheme = "equal_mass",
    n_resamples: int = 200,
    seed: int = 0,
) -> float:
    """Expected ECE of a perfectly calibrated model with these confidences: what chance alone adds.

    Answers are drawn right with the probability that the confidence states (the consistency resampling of
    Bröcker and Smith 2007), and the ECE averaged. Independent of the order of samples.

    Args:
        confidence: shape (n,), in [0, 1].
        n_bins: see `ece`.
        scheme: see `ece`.
        n_resamples: draws.
        seed: of the draws.

    Raises:
        ValueError: as `assign_bins`, or no resamples.
    """
    total = 0.0
    for gaps in _floor_gaps(confidence, n_bins=n_bins, scheme=scheme, draws=n_resamples, seed=seed):
        total += float(gaps.sum())
    return total / (n_resamples * np.size(confidence))


def ece_floor_draws(
    confidence: Numbers,
    *,
    n_bins: int = 15,
    scheme: Scheme = "equal_mass",
    n_resamples: int = 2000,
    seed: int = 0,
) -> FloatArray:
    """The draws of which `ece_floor` is the mean, shape (n_resamples,); arguments and errors as there."""
    parts = _floor_gaps(confidence, n_bins=n_bins, scheme=scheme, draws=n_resamples, seed=seed)
    return np.concatenate([gaps.sum(axis=1) for gaps in parts]) / np.size(confidence)


def _floor_gaps(confidence: Numbers, *, n_bins: int, scheme: Scheme, draws: int, seed: int) -> Iterator[FloatArray]:
    """Sizes of bins' gaps, in samples, of answers that are right as often as confidences say; shape (b, bins)."""
    conf = np.sort(_confidences(confidence))
    if draws < 1:
        raise ValueError(f"{draws} resamples; there must be at least one")
    starts = np.flatnonzero(np.r_[True, np.diff(assign_bins(conf, n_bins=n_bins, scheme=scheme)) > 0])
    expected = np.add.reduceat(conf, starts)
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_BYTES // (8 * conf.size))
    for start in range(0, draws, rows):
        right = rng.random((min(rows, draws - start), conf.size)) < conf
        yield np.abs(np.add.reduceat(right, starts, axis=1, dtype=np.int64) - expected)


def brier_terms(confidence: Numbers, correct: Numbers) -> FloatArray:
    """(confidence - correct)² of each sample, shape (n,): what paired tests of the Brier score take.

    Raises:
        ValueError: no samples, different lengths, or values out of range.
    """
    conf, right = _checked(confidence, correct)
    return np.square(conf - right)


def brier(confidence: Numbers, correct: Numbers) -> float:
    """Brier score, the mean of (confidence - correct)² (Brier 1950, for the two outcomes right and wrong).

    Raises:
        ValueError: no samples, different lengths, or values out of range.
    """
    terms = brier_terms(confidence, correct)
    return math.fsum(terms) / terms.size


def negative_log_likelihood_terms(confidence: Numbers, correct: Numbers) -> FloatArray:
    """Log score of each sample in nats, shape (n,): what paired tests of it take.

    Raises:
        ValueError: no samples, different lengths, or values out of range.
    """
    conf, right = _checked(confidence, correct)
    terms: FloatArray = -np.log(np.clip(np.where(right == 1, conf, 1 - conf), CLIP, 1.0))
    return terms + 0.0  # -log(1) is -0.0


def negative_log_likelihood(confidence: Numbers, correct: Numbers) -> float:
    """Mean log score in nats: -log confidence where right, -log(1 - confidence) where wrong; see `CLIP`.

    Raises:
        ValueError: no samples, different lengths, or values out of range.
    """
    terms = negative_log_likelihood_terms(confidence, correct)
    return math.fsum(terms) / terms.size


def reliability_curve(
    confidence: Numbers, correct: Numbers, *, n_bins: int = 15, scheme: Scheme = "equal_mass"
) -> list[Bin]:
    """The filled bins of a reliability diagram, in rising confidence.

    Raises:
        ValueError: as `ece`.
    """
    conf, right = _checked(confidence, correct)
    bins = assign_bins(conf, n_bins=n_bins, scheme=scheme)
    curve = []
    for number in np.unique(bins):
        inside = bins == number
        count, successes = int(inside.sum()), int(right[inside].sum())
        low, high = wilson(successes, count)
        curve.append(Bin(math.fsum(conf[inside]) / count, successes / count, count, low, high))
    return curve


def _confidences(confidence: Numbers) -> FloatArray:
    conf = np.asarray(confidence, dtype=np.float64)
    if conf.ndim != 1 or not conf.size or not ((conf >= 0) & (conf <= 1)).all():
        raise ValueError("confidences must be a list of some numbers in [0, 1]")
    return conf


def _checked(confidence: Numbers, correct: Numbers) -> tuple[FloatArray, FloatArray]:
    conf, right = _confidences(confidence), np.asarray(correct, dtype=np.float64)
    if right.shape != conf.shape or not np.isin(right, (0.0, 1.0)).all():
        raise ValueError(f"{conf.size} confidences; `correct` must be as many zeros and ones")
    return conf, right
