"""Tests of whether two models differ on the same samples.

Right-or-wrong figures: McNemar's exact test, which looks at the discordant samples only. Means of anything:
random flips of the sign of each difference. Any other figure of column sums (macro F1, corpus perplexity):
random swaps of the two models' rows. In the latter two, samples of a cluster flip together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.stats.blocks import flipped_sums, make_blocks, sum_by_cluster
from halueval.stats.special import binomial_cdf, binomial_pmf

FloatArray = NDArray[np.float64]

ROUNDING = 1e-9
"""Flips whose figure equals the observed one up to this share of the total are ties, not smaller."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """A two-sided McNemar test.

    Attributes:
        p_value: exact.
        p_mid: mid-p, which is closer to the nominal level and may, rarely, exceed it.
        b: samples that only the first model got right.
        c: samples that only the second model got right.
    """

    p_value: float
    p_mid: float
    b: int
    c: int


def mcnemar_exact(b: int, c: int) -> McNemar:
    """Exact McNemar test: b of the b + c discordant samples against a fair coin.

    The mid-p is twice the one-sided one, which counts the observed table half (Fagerland, Lydersen and
    Laake 2013, BMC Medical Research Methodology 13:91).

    Args:
        b: samples that only the first model got right.
        c: samples that only the second model got right.

    Raises:
        ValueError: a negative count.
    """
    if b < 0 or c < 0:
        raise ValueError(f"discordant counts {b} and {c}; neither can be negative")
    n, k = b + c, min(b, c)
    both_tails = 2 * binomial_cdf(k, n, 0.5)
    return McNemar(min(1.0, both_tails), min(1.0, both_tails - binomial_pmf(k, n, 0.5)), b, c)


def sign_flip(
    differences: Sequence[float] | FloatArray,
    clusters: Sequence[str] | None = None,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p of "the mean difference is 0", by flipping signs (Fisher 1935; p as Phipson and Smyth 2010).

    p = (1 + k)/(1 + B), k of the B flips having a sum at least as far from 0 as the observed one. Depends on
    the seed and on the set of differences, not on their order.

    Args:
        differences: shape (n,); of samples scored on both sides.
        clusters: n names; the differences of a cluster are added up and flip together.
        n_resamples: flips, B.
        seed: of the flips.

    Raises:
        ValueError: nothing to compare, a difference that is not finite, or another number of clusters.
    """
    column = np.asarray(differences, dtype=np.float64)
    if column.ndim != 1:
        raise ValueError(f"differences of shape {column.shape}; they must be one-dimensional")
    signed = sum_by_cluster(column[:, None], clusters)
    sums = np.abs(signed)
    observed = abs(math.fsum(signed[:, 0]))
    limit = observed - ROUNDING * math.fsum(sums[:, 0])
    moving = sums[sums[:, 0] > 0]  # zeros stay where they are, whatever their sign
    if not len(moving):
        return 1.0
    blocks = make_blocks(moving)
    beyond = sum(int((np.abs(flips[:, 0]) >= limit).sum()) for flips in flipped_sums(blocks, n_resamples, seed))
    return (1 + beyond) / (1 + n_resamples)


def swap_test(
    table_a: FloatArray,
    table_b: FloatArray,
    finalize: Callable[[FloatArray], FloatArray],
    clusters: Sequence[str] | None = None,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p of "it does not matter which model gave which answer" for a figure of column sums.

    Approximate randomisation (Noreen 1989; Yeh 2000, COLING): each cluster's rows change sides with
    probability 1/2. For a mean over the same samples it equals `sign_flip`.

    Args:
        table_a: shape (n, m), the base's sufficient statistics.
        table_b: shape (n, m), the candidate's, in the same order of samples.
        finalize: sums of shape (b, m) to figures of shape (b,), NaN where undefined.
        clusters: n names; None where each sample is its own cluster.
        n_resamples: swaps, B.
        seed: of the swaps.

    Returns:
        (1 + k)/(1 + B). Swaps that leave a figure undefined count as far from 0, the cautious side.

    Raises:
        ValueError: tables that are empty, not finite or of different shape, another number of clusters, or
            a figure that is undefined for one of the sides.
    """
    if np.shape(table_a) != np.shape(table_b):
        raise ValueError(f"tables of shape {np.shape(table_a)} and {np.shape(table_b)}; pairs need the same")
    rows_a, rows_b = sum_by_cluster(table_a, clusters), sum_by_cluster(table_b, clusters)
    total_a, total_b = (np.array([[math.fsum(column.tolist()) for column in rows.T]]) for rows in (rows_a, rows_b))
    figures = float(finalize(total_a)[0]), float(finalize(total_b)[0])
    if not all(math.isfinite(figure) for figure in figures):
        raise ValueError(f"the figures are {figures[0]} and {figures[1]}; both must be finite")
    half = (rows_b - rows_a) / 2
    moving = half[half.any(axis=1)]
    if not len(moving):
        return 1.0
    limit = abs(figures[1] - figures[0]) - ROUNDING * (abs(figures[0]) + abs(figures[1]))
    middle, beyond = (total_a + total_b) / 2, 0
    for flips in flipped_sums(make_blocks(moving), n_resamples, seed):
        swapped = np.abs(finalize(middle + flips) - finalize(middle - flips))
        beyond += int((~(swapped < limit)).sum())  # NaN is not smaller
    return (1 + beyond) / (1 + n_resamples)


def clustered_standard_error(values: Sequence[float] | FloatArray, clusters: Sequence[str]) -> float:
    """Standard error of a mean over samples that come in clusters (Miller 2024, "Adding Error Bars to Evals").

    √(G/(G-1) · Σ_g (Σ_{i in g} (x_i - mean))²) / n. The factor G/(G-1) for G clusters is the usual one of
    cluster-robust errors: with it a mean of single samples has the error s/√n that everybody expects.

    Args:
        values: shape (n,).
        clusters: n names.

    Raises:
        ValueError: fewer than two clusters, a value that is not finite, or another number of names.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or not column.size:
        raise ValueError(f"values of shape {column.shape}; they must be one-dimensional and some")
    mean = math.fsum(column) / column.size
    sums = sum_by_cluster((column - mean)[:, None], clusters)[:, 0]
    if len(sums) < 2:
        raise ValueError(f"{len(sums)} cluster; a standard error needs two")
    return math.sqrt(len(sums) / (len(sums) - 1) * math.fsum(sums**2)) / column.size
