"""Difference of one figure between two models on the same pairs: interval, test, detectable effect.

Which test: exact McNemar for 0/1 figures of independent pairs; a permutation that swaps the two models' rows
within clusters for every other figure of column sums (for a mean it is the sign-flip test; for F1 and other
ratios approximate randomization, Noreen 1989); Student's t for figures that need more than sums (AUROC).
Intervals: Newcombe's paired one (method 10) where McNemar is used, otherwise Δ ± t standard errors that come
from leaving out one cluster at a time (`stats.jackknife`), cut at what the figure can be. benchmarks/coverage.md
has how often they hold the truth.

A pair counts if neither model failed on it. A sample that a figure leaves out by definition (an abstained
one in `hallucination_rate`) is no failure: it stays, and each side's figure is over what it answered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.compare.columns import Columns, FloatArray
from halueval.compare.fields import Figure
from halueval.compare.fill import (
    ANYTHING,
    CHANGE_OF_SHARE,
    fill_closed_form,
    fill_interval,
    fill_mcnemar,
    unpaired_mde,
)
from halueval.compare.pairing import Pairs
from halueval.compare.recipes import NotComparableError, Recipe, mean_of_table, mean_table
from halueval.stats.jackknife import difference_estimate, table_estimate, weighed_difference_estimate
from halueval.stats.paired import swap_test

MAX_WEIGHED = 20_000_000
"""Most weights (evaluations × samples) for a figure that has no table."""
MIN_GROUPS = 200
IDENTICAL = "no pair differs"


@dataclass(frozen=True, slots=True)
class Engine:
    """Level, seed and number of random draws (swaps, resamples) shared by all figures of a table."""

    alpha: float = 0.05
    seed: int = 0
    n_resamples: int = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of the table, and what it is the mean of."""

    figure: Figure
    values: FloatArray | None = None
    """Candidate minus base of each pair that counts, for means; recognises two tests of one claim."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters of the pairs. `names` is None where each pair is its own."""

    names: Sequence[str] | None
    n: int

    def of(self, mask: NDArray[np.bool_]) -> Clusters:
        """Those of a part of the pairs."""
        if self.names is None:
            return Clusters(None, int(mask.sum()))
        return make_clusters([name for name, kept in zip(self.names, mask, strict=True) if kept])


def make_clusters(names: Sequence[str]) -> Clusters:
    """Clusters of samples from their names."""
    n = len(set(names))
    return Clusters(None if n == len(names) else list(names), n)


def difference(
    recipe: Recipe, sides: tuple[Columns, Columns], pairs: Pairs, clusters: Clusters, engine: Engine
) -> Difference:
    """Compare one figure.

    Args:
        recipe: the figure's aggregation.
        sides: samples of base and candidate.
        pairs: which rows belong together.
        clusters: of the pairs.
        engine: level, seed, replicates.

    Raises:
        NotComparableError: no pair was scored by both, or the tables of the two differ in shape.
    """
    values = tuple(
        side.scores[recipe.name][rows] for side, rows in zip(sides, (pairs.base, pairs.candidate), strict=True)
    )
    left_out = tuple(
        side.left_out[recipe.name][rows] for side, rows in zip(sides, (pairs.base, pairs.candidate), strict=True)
    )
    ok = [np.isfinite(v) | out for v, out in zip(values, left_out, strict=True)]
    both = ok[0] & ok[1]
    if not all((np.isfinite(v) & both).any() for v in values):
        raise NotComparableError("no pair was scored by both")
    rows = pairs.base[both], pairs.candidate[both]
    kept = values[0][both], values[1][both]
    alone = (
        np.r_[values[0][ok[0] & ~ok[1]], sides[0].scores[recipe.name][pairs.unpaired_base]],
        np.r_[values[1][ok[1] & ~ok[0]], sides[1].scores[recipe.name][pairs.unpaired_candidate]],
    )
    tables = tuple(recipe.table(side, r) for side, r in zip(sides, rows, strict=True))
    some = clusters.of(both)
    bounds = CHANGE_OF_SHARE if recipe.is_share else ANYTHING
    if tables[0] is None or tables[1] is None:
        statistics = recipe.weighed(sides[0], rows[0]), recipe.weighed(sides[1], rows[1])
        made = compare_statistics(*statistics, kept, some, engine, bounds=bounds)
    elif tables[0].shape != tables[1].shape:
        raise NotComparableError("the two runs have different classes")
    else:
        made = compare_tables(
            tables[0], tables[1], recipe.finalize, kept, some, engine, is_mean=recipe.is_mean, bounds=bounds
        )
    made.figure["higher_is_better"] = recipe.higher_is_better
    _bound(made.figure, kept, alone, is_share=recipe.scorer is not None and recipe.scorer.binary)
    return made


def compare_values(base: FloatArray, candidate: FloatArray, clusters: Clusters, engine: Engine) -> Difference:
    """Compare the means of two values of each pair, both finite."""
    tables = mean_table(base), mean_table(candidate)
    return compare_tables(*tables, mean_of_table, (base, candidate), clusters, engine, is_mean=True)


def compare_tables(
    table_base: FloatArray,
    table_candidate: FloatArray,
    finalize: Callable[[FloatArray], FloatArray],
    values: tuple[FloatArray, FloatArray],
    clusters: Clusters,
    engine: Engine,
    *,
    is_mean: bool,
    bounds: tuple[float, float] = ANYTHING,
) -> Difference:
    """Compare a figure of column sums; see the module's text for the choice of test.

    Args:
        table_base: shape (n, m).
        table_candidate: shape (n, m), the same pairs in the same order.
        finalize: figures of shape (b,) from sums of shape (b, m).
        values: of each pair, NaN where left out by definition.
        clusters: of the n pairs.
        engine: level, seed, replicates.
        is_mean: the figure is the mean of `values`.
        bounds: least and largest difference that there can be; of means of shares they are known.
    """
    whole = all(np.isfinite(v).all() for v in values)
    figure = _figure(_sum_up(table_base, finalize), _sum_up(table_candidate, finalize), len(table_base))
    figure["flips"] = _flips(values)
    changes = values[1] - values[0] if whole and is_mean else None
    is_binary = is_mean and _is_binary(values)
    if whole and is_binary and clusters.names is None:
        fill_mcnemar(figure, values, engine.alpha)
        return Difference(figure, changes)
    if is_mean and all(bool(((v >= 0) & (v <= 1) | np.isnan(v)).all()) for v in values):
        bounds = CHANGE_OF_SHARE
    estimate = difference_estimate(table_base, table_candidate, finalize, clusters.names)
    fill_interval(figure, estimate, engine.alpha, bounds)
    if np.array_equal(table_base, table_candidate):
        figure |= {"p_value": 1.0, "test": "permutation", "ci_reason": IDENTICAL}
        figure["mde"] = unpaired_mde(table_estimate(table_base, finalize, clusters.names), engine.alpha)
    else:
        p = swap_test(
            table_base, table_candidate, finalize, clusters.names, n_resamples=engine.n_resamples, seed=engine.seed
        )
        figure |= {"p_value": p, "test": "permutation"}
    if is_binary and estimate.standard_error == 0:
        sizes = tuple(clusters.of(np.isfinite(side)).n for side in values)
        fill_closed_form(figure, values, (sizes[0], sizes[1], clusters.n), engine.alpha)
    return Difference(figure, changes)


def compare_statistics(
    base: Callable[[FloatArray], FloatArray],
    candidate: Callable[[FloatArray], FloatArray],
    values: tuple[FloatArray, FloatArray],
    clusters: Clusters,
    engine: Engine,
    *,
    bounds: tuple[float, float] = ANYTHING,
) -> Difference:
    """Compare a figure that sees the weights of samples: interval and p-value by Student's t.

    Args:
        base: the base's figures of shape (b,) under weights of shape (b, n).
        candidate: the candidate's.
        values: of each of the n pairs, NaN where left out by definition.
        clusters: of the n pairs.
        engine: level.
        bounds: least and largest difference that there can be.

    Raises:
        NotComparableError: the figure is undefined on the pairs.
    """
    n = len(values[0])
    every = np.ones((1, n))
    ends = float(base(every)[0]), float(candidate(every)[0])
    if not all(math.isfinite(end) for end in ends):
        raise NotComparableError("undefined on the pairs")
    figure = _figure(*ends, n)
    figure["flips"] = _flips(values)
    names = clusters.names or [str(i) for i in range(n)]
    groups = max(MIN_GROUPS, MAX_WEIGHED // n)
    estimate = weighed_difference_estimate(base, candidate, names, max_groups=groups)
    fill_interval(figure, estimate, engine.alpha, bounds)
    if figure["flips"]:
        p = estimate.p_value()
        figure |= {"p_value": p, "test": "jackknife-t" if p is not None else "none"}
    else:
        alone = weighed_difference_estimate(lambda weights: np.zeros(len(weights)), base, names, max_groups=groups)
        figure |= {"p_value": 1.0, "test": "jackknife-t", "ci_reason": IDENTICAL}
        figure["mde"] = unpaired_mde(alone, engine.alpha)
    return Difference(figure)


def _flips(values: tuple[FloatArray, FloatArray]) -> int:
    return int(((values[0] != values[1]) & ~(np.isnan(values[0]) & np.isnan(values[1]))).sum())


def _sum_up(table: FloatArray, finalize: Callable[[FloatArray], FloatArray]) -> float:
    # Pairs stand in the order of their keys, so that plain sums do not hang on the order of a file.
    value = float(finalize(table.sum(axis=0, keepdims=True))[0])
    if not math.isfinite(value):
        raise NotComparableError("undefined on the pairs")
    return value


def _is_binary(values: tuple[FloatArray, FloatArray]) -> bool:
    return all(bool(((v == 0) | (v == 1) | np.isnan(v)).all()) for v in values)


def _figure(base: float, candidate: float, n: int) -> Figure:
    """A figure without interval and test."""
    return {
        "base": base,
        "candidate": candidate,
        "delta": candidate - base,
        "ci_low": None,
        "ci_high": None,
        "ci_method": "none",
        "ci_reason": None,
        "p_value": None,
        "p_adjusted": None,
        "test": "none",
        "mde": None,
        "significant": False,
        "primary": False,
        "higher_is_better": None,
        "n": n,
        "n_base_only": 0,
        "n_candidate_only": 0,
        "best": None,
        "worst": None,
        "flips": 0,
        "floor": None,
        "within_noise": None,
    }


def _bound(
    figure: Figure, kept: tuple[FloatArray, FloatArray], alone: tuple[FloatArray, FloatArray], *, is_share: bool
) -> None:
    """Count the samples that one side alone could score or has, and bound a 0/1 figure by them."""
    known = tuple(values[np.isfinite(values)] for values in alone)
    figure["n_base_only"], figure["n_candidate_only"] = len(known[0]), len(known[1])
    everything = (np.r_[kept[0], known[0]], np.r_[kept[1], known[1]])
    # A sample left out by definition on one side makes the two shares differ in what they are shares of.
    if figure["higher_is_better"] is None or not is_share or not _is_binary(everything):
        return
    n = figure["n"] + len(known[0]) + len(known[1])
    total = math.fsum((kept[1] - kept[0]).tolist()) + math.fsum(known[1]) - math.fsum(known[0])
    # Unknown candidates (of base-only samples) are 1 at the top; unknown bases 1 at the bottom.
    high, low = (total + len(known[0])) / n, (total - len(known[1])) / n
    figure["best"], figure["worst"] = (high, low) if figure["higher_is_better"] else (low, high)
