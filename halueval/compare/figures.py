"""Difference of one figure between two models on the same pairs: interval, test, detectable effect.

Which test: exact McNemar for 0/1 figures of independent pairs; a permutation that swaps the two models' rows
within clusters for every other figure of column sums (for a mean it is the sign-flip test; for F1 and other
ratios approximate randomization, Noreen 1989); the bootstrap for figures that need more than sums (AUROC).
Intervals: Newcombe's paired one (method 10) where McNemar is used; the bootstrap for figures that need more than
sums; otherwise the figure ± t standard errors of the jackknife over pairs or clusters, which of all tried covers best
(benchmarks/coverage.md).

A pair counts if neither model failed on it. A sample that a figure leaves out by definition (an abstained
one in `hallucination_rate`) is no failure: it stays, and each side's figure is over what it answered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.compare.columns import Columns, FloatArray, IntArray
from halueval.compare.pairing import Pairs
from halueval.compare.recipes import NotComparableError, Recipe, mean_of_table, mean_table
from halueval.compare.record import Figure
from halueval.stats.bootstrap import Replicates, difference_of_tables, replicates_of_difference
from halueval.stats.jackknife import Estimate, jackknife
from halueval.stats.paired import mcnemar_exact, swap_test
from halueval.stats.power import mde_mcnemar, mde_paired_mean
from halueval.stats.proportions import newcombe_paired

MAX_WEIGHED = 20_000_000
"""Most weights (replicates × samples) drawn for a figure that has no table."""
IDENTICAL = "no pair differs"


@dataclass(frozen=True, slots=True)
class Engine:
    """Level, seed and number of replicates shared by all figures of a table."""

    alpha: float = 0.05
    seed: int = 0
    n_resamples: int = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of the table, and what tells two tests of one claim apart."""

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
    if tables[0] is None or tables[1] is None:
        made = _weighed(recipe, sides, rows, some, engine)
    elif tables[0].shape != tables[1].shape:
        raise NotComparableError("the two runs have different classes")
    else:
        made = compare_tables(tables[0], tables[1], recipe.finalize, kept, some, engine, is_mean=recipe.is_mean)
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
    """
    joint, delta = difference_of_tables(table_base, table_candidate, finalize)
    whole = all(np.isfinite(v).all() for v in values)
    figure = _figure(_sum_up(table_base, finalize), _sum_up(table_candidate, finalize), len(table_base))
    figure["flips"] = int(((values[0] != values[1]) & ~(np.isnan(values[0]) & np.isnan(values[1]))).sum())
    changes = values[1] - values[0] if whole and is_mean else None
    if whole and is_mean and clusters.names is None and _is_binary(values):
        _mcnemar(figure, values, engine)
        return Difference(figure, changes)
    _estimated(figure, jackknife(joint, delta, clusters.names), engine)
    if np.array_equal(table_base, table_candidate):
        figure |= {"p_value": 1.0, "test": "permutation", "ci_reason": IDENTICAL}
        figure["mde"] = _unpaired_mde(table_base, finalize, clusters, engine)
    else:
        p = swap_test(
            table_base, table_candidate, finalize, clusters.names, n_resamples=engine.n_resamples, seed=engine.seed
        )
        figure |= {"p_value": p, "test": "permutation"}
    return Difference(figure, changes)


def _sum_up(table: FloatArray, finalize: Callable[[FloatArray], FloatArray]) -> float:
    # Pairs stand in the order of their keys, so that plain sums do not hang on the order of a file.
    value = float(finalize(table.sum(axis=0, keepdims=True))[0])
    if not math.isfinite(value):
        raise NotComparableError("undefined on the pairs")
    return value


def _is_binary(values: tuple[FloatArray, FloatArray]) -> bool:
    return all(bool(((v == 0) | (v == 1)).all()) for v in values)


def _mcnemar(figure: Figure, values: tuple[FloatArray, FloatArray], engine: Engine) -> None:
    lost = int(((values[0] == 1) & (values[1] == 0)).sum())
    won = int(((values[0] == 0) & (values[1] == 1)).sum())
    kept, n = int(((values[0] == 1) & (values[1] == 1)).sum()), len(values[0])
    # Newcombe's interval is of first minus second, so the candidate stands first.
    low, high = newcombe_paired(kept, won, lost, n - kept - won - lost)
    figure |= {"ci_low": low, "ci_high": high, "ci_method": "newcombe-paired", "ci_reason": None}
    figure |= {"p_value": mcnemar_exact(lost, won).p_value, "test": "mcnemar-exact"}
    figure["mde"] = mde_mcnemar((lost + won) / n, n, alpha=engine.alpha, power=0.8)


def _estimated(figure: Figure, made: Estimate, engine: Engine) -> None:
    """Interval and detectable effect from a standard error."""
    interval = made.interval()
    figure |= {
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_method": interval.method,
        "ci_reason": interval.reason,
    }
    if made.standard_error is not None:
        figure["mde"] = mde_paired_mean(made.standard_error, 1, alpha=engine.alpha, power=0.8)


def _resampled(figure: Figure, made: Replicates, clusters: Clusters, engine: Engine) -> None:
    """Interval from the replicates, and the detectable effect from their spread."""
    interval = made.interval()
    figure |= {
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_method": interval.method,
        "ci_reason": interval.reason,
    }
    valid = made.values[np.isfinite(made.values)]
    spread = float(valid.std()) if valid.size else 0.0
    if spread > 0 and clusters.n > 1:
        sd = spread * math.sqrt(clusters.n) * math.sqrt(clusters.n / (clusters.n - 1))
        figure["mde"] = mde_paired_mean(sd, clusters.n, alpha=engine.alpha, power=0.8)


def _unpaired_mde(
    table: FloatArray, finalize: Callable[[FloatArray], FloatArray], clusters: Clusters, engine: Engine
) -> float | None:
    """Detectable effect where no pair differs, and the spread of differences is therefore unknown.

    The spread of two unrelated models with this figure stands in: real pairs detect smaller effects, so it is
    the cautious end.
    """
    error = jackknife(table, finalize, clusters.names).standard_error
    return None if error is None else mde_paired_mean(error * math.sqrt(2), 1, alpha=engine.alpha, power=0.8)


def _weighed(
    recipe: Recipe, sides: tuple[Columns, Columns], rows: tuple[IntArray, IntArray], clusters: Clusters, engine: Engine
) -> Difference:
    """A figure that sees the weights of samples: bootstrap interval and bootstrap p-value."""
    n = len(rows[0])
    names = clusters.names or [str(i) for i in range(n)]
    n_resamples = max(200, min(engine.n_resamples, MAX_WEIGHED // n))
    scores = recipe.scores(sides[0], rows[0]), recipe.scores(sides[1], rows[1])
    scorer = recipe.scorer
    assert scorer is not None
    made = replicates_of_difference(
        lambda weights: scorer.statistic(scores[0], weights),
        lambda weights: scorer.statistic(scores[1], weights),
        names,
        n_resamples=n_resamples,
        seed=engine.seed,
    )
    base, candidate = (recipe.value(side, r) for side, r in zip(sides, rows, strict=True))
    if not (math.isfinite(base) and math.isfinite(candidate)):
        raise NotComparableError("undefined on the pairs")
    figure = _figure(base, candidate, n)
    figure["flips"] = int((sides[0].scores[recipe.name][rows[0]] != sides[1].scores[recipe.name][rows[1]]).sum())
    _resampled(figure, made, clusters, engine)
    if n_resamples < engine.n_resamples:
        figure["ci_method"] = f"bootstrap-{n_resamples}"
    p = made.p_value() if figure["flips"] else 1.0
    figure |= {"p_value": p, "test": "bootstrap" if p is not None else "none"}
    return Difference(figure)


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
