"""How a figure of a set is computed again from stored rows, so that both models' figures cover the same pairs.

A figure of `run.json` covers all samples of its run; a comparison needs it on the pairs alone, and on
resamples of them. The scorer's own aggregation is used, and believed only after it has reproduced a run's
own figure from that run's own rows. A figure whose scorer is not at hand (an `evaluate` metric, a plugin that
is not installed) is taken for the mean of its samples' values if the runs' figures are that mean. Anything
else is left out with the reason: no figure is better than a wrong one.

A run whose rows were taken out or changed after its figures were computed cannot be reproduced. The
aggregation is then believed on the other run's word, if both are of one task card, and the reader is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halueval.compare.columns import Columns, FloatArray, IntArray
from halueval.errors import UsageError
from halueval.schema import Score
from halueval.scorers.base import MeanScorer, Scorer, StatsScorer, TableScorer, divide
from halueval.scorers.catalog import create
from halueval.store import Run

TOLERANCE = 1e-9
_CLASS_SHARES = ("balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "micro_f1", "binary_f1")
SHARES = frozenset((*_CLASS_SHARES, "auroc", "simpleqa_f1"))
"""Figures from 0 to 1 that are no means of values from 0 to 1."""

UNDER_CALIBRATION = frozenset(("ece", "ece_floor", "brier"))
"""Figures that a comparison shows with calibration, over the same answered pairs, and not a second time."""

_PARTS = ("brier_reliability", "brier_resolution", "brier_uncertainty", "brier_within_bins")
BINNED = frozenset(("ece_equal_width", "ece_equal_width_floor", "classwise_ece", "adaptive_classwise_ece", *_PARTS))
"""Figures of bins that each run has for itself: answers cannot change sides between them, as tests would have it."""


class NotComparableError(Exception):
    """A figure that cannot be compared; the message is the reason, shown to the user in the table."""


def mean_table(values: FloatArray) -> FloatArray:
    """Value and 1 for each sample with one, zeros for the others (NaN); shape (n, 2)."""
    scored = np.isfinite(values)
    return np.stack([np.where(scored, values, 0.0), scored], axis=1)


def mean_of_table(sums: FloatArray) -> FloatArray:
    """Weighted mean from the sums of `mean_table`; shape (b,)."""
    return divide(sums[:, 0], sums[:, 1])


@dataclass(frozen=True, slots=True)
class Recipe:
    """Aggregation of one figure.

    Attributes:
        scorer: whose aggregation it is; None for a plain mean.
        higher_is_better: as the base's run says.
    """

    name: str
    scorer: Scorer | None
    higher_is_better: bool | None
    stale: tuple[str, ...] = ()
    """Sides (`base`, `candidate`) whose `run.json` has another figure than their rows give."""

    @property
    def is_mean(self) -> bool:
        """Whether the figure is the plain mean of the samples' values."""
        return self.scorer is None or (
            isinstance(self.scorer, MeanScorer)
            and type(self.scorer).table is MeanScorer.table
            and type(self.scorer).finalize is MeanScorer.finalize
        )

    @property
    def is_share(self) -> bool:
        """Whether the figure is known to lie in [0, 1] without a look at its values."""
        return self.scorer is not None and self.name in SHARES

    def table(self, columns: Columns, rows: IntArray) -> FloatArray | None:
        """What is added up over samples, shape (n, m); None for figures that need more than sums."""
        values = columns.scores[self.name][rows]
        if self.is_mean:
            return mean_table(values)
        if not isinstance(self.scorer, TableScorer):
            return None
        if isinstance(self.scorer, StatsScorer) and type(self.scorer).table is StatsScorer.table:
            stats = self._stats(columns)[rows]
            return np.where(np.isfinite(values)[:, None], stats, 0.0)
        return self.scorer.table(self.scores(columns, rows))

    def finalize(self, sums: FloatArray) -> FloatArray:
        """Figures of shape (b,) from sums of `table` of shape (b, m)."""
        if self.is_mean:
            return mean_of_table(sums)
        assert isinstance(self.scorer, TableScorer)
        return self.scorer.finalize(sums)

    def weighed(self, columns: Columns, rows: IntArray) -> Callable[[FloatArray], FloatArray]:
        """Figures of shape (b,) from weights of shape (b, n), for figures without a table."""
        scorer = self.scorer
        assert scorer is not None
        scores = self.scores(columns, rows)
        return lambda weights: scorer.statistic(scores, weights)

    def value(self, columns: Columns, rows: IntArray) -> float:
        """The figure of some samples; NaN where undefined."""
        if not np.isfinite(columns.scores[self.name][rows]).any():
            return math.nan
        table = self.table(columns, rows)
        if table is None:
            return float(self.weighed(columns, rows)(np.ones((1, len(rows))))[0])
        return float(self.finalize(table.sum(axis=0, keepdims=True))[0])

    def scores(self, columns: Columns, rows: IntArray) -> list[Score]:
        """The stored scores as objects, for scorers with an aggregation of their own."""
        values, stats = columns.scores[self.name], columns.stats.get(self.name)
        return [
            Score(None, "unscored")
            if math.isnan(values[i])
            else Score(float(values[i]), None, None if stats is None else tuple(stats[i].tolist()))
            for i in rows
        ]

    def _stats(self, columns: Columns) -> FloatArray:
        if self.name not in columns.stats:
            raise NotComparableError("its sufficient statistics are not in the samples file")
        return columns.stats[self.name]


def find_recipe(name: str, base: Run, candidate: Run, sides: Sequence[Columns], known: Collection[str]) -> Recipe:
    """The aggregation of a figure that both runs have.

    Args:
        name: the figure.
        base: run of the base.
        candidate: run of the candidate.
        sides: all samples of both.
        known: names of the scorers at hand (`scorer_names()`, which takes a while to find plugins).

    Raises:
        NotComparableError: no aggregation reproduces both runs' own figures, or the figure means something
            else for each of the models.
    """
    tokenizers = {run.record["model"]["tokenizer_sha256"] for run in (base, candidate)}
    if len(tokenizers) > 1 and name in ("token_perplexity", "response_tokens"):
        other = "bits_per_byte" if name == "token_perplexity" else "response_words"
        raise NotComparableError(f"counts tokens, and the tokenizers differ; see {other}")
    if name in BINNED:
        raise NotComparableError("its bins are each run's own; ECE and Brier under calibration are compared")
    records = [run.record["metrics"][name] for run in (base, candidate)]
    better = records[0]["higher_is_better"]
    if any(record["value"] is None for record in records):
        raise NotComparableError(_why_none(records))
    scorer = _rebuild(name, base) if name in known else None
    recipes = [Recipe(name, scorer, better)] if scorer else []
    same_card = base.record["identity"]["task_hash"] == candidate.record["identity"]["task_hash"]
    for recipe in [*recipes, Recipe(name, None, better)]:
        right = [_reproduces(recipe, side, record) for side, record in zip(sides, records, strict=True)]
        stale = tuple(side for side, ok in zip(("base", "candidate"), right, strict=True) if not ok)
        if not stale or (recipe.scorer is not None and same_card and (any(right) or _is_ours(recipe, base, sides))):
            return replace(recipe, stale=stale)
    why = "its scorer is not at hand" if scorer is None else "this version's scorer gives another figure"
    raise NotComparableError(f"{why}, and it is not the mean of its samples' values")


def _is_ours(recipe: Recipe, base: Run, sides: Sequence[Columns]) -> bool:
    """Whether the rows can only come from this very scorer, a plain mean of its values.

    An `evaluate` metric of the same name stores statistics in every row, a mean of ours never does.
    """
    version = base.record["identity"]["scorers"].get(recipe.name)
    return (
        recipe.scorer is not None
        and recipe.is_mean
        and recipe.scorer.version == version
        and all(recipe.name in side.scores and recipe.name not in side.stats for side in sides)
    )


def _why_none(records: Sequence[dict[str, Any]]) -> str:
    reasons = [next(iter(r["unscored_reasons"]), "undefined") for r in records if r["value"] is None]
    side = "neither run has a value" if len(reasons) == 2 else "only one run has a value"
    return f"{side}: {reasons[0]}"


def _rebuild(name: str, run: Run) -> Scorer | None:
    """A scorer of ours or of a plugin's; never one of `evaluate`, which would have to be fetched."""
    try:
        return create(name, language=run.record["task"]["language"])
    except (UsageError, TypeError, ValueError):
        # It cannot be built without its options, which no run file holds.
        return None


def _reproduces(recipe: Recipe, side: Columns, record: dict[str, Any]) -> bool:
    if recipe.name not in side.scores:
        return False
    try:
        value = recipe.value(side, np.arange(len(side), dtype=np.intp))
    except (NotComparableError, ValueError, IndexError, StopIteration):
        # A scorer of the same name with other statistics than those stored: not the one that made them.
        return False
    return math.isclose(value, record["value"], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
