"""Figures of one score on rows that people judged, of the controls beside it, and of two scores compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.annotated.controls import CONTROLS, control_scores
from halueval.annotated.sets import AnnotatedRow
from halueval.stats import agreement
from halueval.stats.dependent import PairedDifference, Williams, paired_difference, williams_of
from halueval.stats.measure import Figure, FloatArray, Measure


@dataclass(frozen=True, slots=True)
class Settings:
    """How intervals are drawn."""

    n_resamples: int = 2000
    seed: int = 0


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Agreement:
    """Figures of one score (a scorer's, or a control's) on one set.

    Attributes:
        figures: by name, see `record`.
        base_rate: share of inconsistent rows, which is what average precision is without any knowledge.
        threshold: of balanced accuracy, None where none could be chosen.
        n_test: rows that balanced accuracy is of.
    """

    figures: Mapping[str, Figure]
    base_rate: float | None
    threshold: float | None
    n_test: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Second minus first on the rows that both scored."""

    n: int
    differences: Mapping[str, PairedDifference]
    williams: Williams


def agree(values: FloatArray, rows: Sequence[AnnotatedRow], settings: Settings) -> Agreement:
    """All figures of one score.

    Args:
        values: shape (n,), finite; higher means more consistent.
        rows: n rows.
        settings: of the intervals.
    """
    test = _is_test(rows)
    labels = _labels(rows)
    threshold, problem = agreement.choose_threshold(values[~test], labels[~test])
    figures = agreement.estimate(
        _measures(values, rows), _documents(rows), n_resamples=settings.n_resamples, seed=settings.seed
    )
    if threshold is None:
        figures["balanced_accuracy"] = Figure(None, reason=f"no threshold from the validation part: {problem}")
    else:
        figures["balanced_accuracy"] = at_threshold(values, rows, threshold, settings)
    return Agreement(figures, float(1 - labels.mean()) if len(rows) else None, threshold, int(test.sum()))


def compare_values(
    first: FloatArray, second: FloatArray, rows: Sequence[AnnotatedRow], settings: Settings = DEFAULTS
) -> Comparison:
    """Second minus first in every figure, by paired bootstrap, with Williams' test of Pearson's correlations.

    That is what going from the first to the second adds. Each keeps the threshold that its own validation scores give.

    Args:
        first: shape (n,), finite.
        second: shape (n,), finite.
        rows: n rows.
        settings: of the intervals.
    """
    before, after = _measures(first, rows), _measures(second, rows)
    out = {
        name: paired_difference(
            after[name], before[name], _documents(rows), n_resamples=settings.n_resamples, seed=settings.seed
        )
        for name in before
    }
    test, labels = _is_test(rows), _labels(rows)
    cuts = [agreement.choose_threshold(values[~test], labels[~test])[0] for values in (first, second)]
    if cuts[0] is None or cuts[1] is None:
        out["balanced_accuracy"] = PairedDifference(None, reason="no threshold from the validation part")
    else:
        out["balanced_accuracy"] = paired_difference(
            agreement.balanced_accuracy(second[test], labels[test], cuts[1]),
            agreement.balanced_accuracy(first[test], labels[test], cuts[0]),
            _documents([row for row, kept in zip(rows, test, strict=True) if kept]),
            n_resamples=settings.n_resamples,
            seed=settings.seed,
        )
    return Comparison(len(rows), out, williams_of(second, first, _human(rows)))


def _measures(values: FloatArray, rows: Sequence[AnnotatedRow]) -> dict[str, Measure]:
    human, labels = _human(rows), _labels(rows)
    out = {
        "pearson": agreement.pearson(values, human),
        "spearman": agreement.spearman(values, human),
        "kendall": agreement.kendall(values, human),
    }
    systems = [row.system for row in rows]
    if all(systems):
        named = [str(system) for system in systems]
        out["partial_pearson"] = agreement.partial_pearson(values, human, named)
        out["partial_spearman"] = agreement.partial_spearman(values, human, named)
    out["roc_auc"] = agreement.roc_auc(values, labels)
    out["average_precision"] = agreement.average_precision(values, labels)
    return out


def at_threshold(values: FloatArray, rows: Sequence[AnnotatedRow], threshold: float, settings: Settings) -> Figure:
    """Balanced accuracy of the test part at a given threshold."""
    test = _is_test(rows)
    measure = agreement.balanced_accuracy(values[test], _labels(rows)[test], threshold)
    names = _documents([row for row, kept in zip(rows, test, strict=True) if kept])
    return agreement.estimate({"x": measure}, names, n_resamples=settings.n_resamples, seed=settings.seed)["x"]


def controls_of(
    rows: Sequence[AnnotatedRow], language: str, settings: Settings
) -> Iterator[tuple[str, tuple[int, Agreement]]]:
    """Each control with its sign: longer claims are less consistent in most sets, not in all."""
    test, human = _is_test(rows), _human(rows)
    for name in CONTROLS:
        values = np.array(control_scores(name, rows, language))
        sign = 1
        if name == "length_only":
            measure = agreement.pearson(values[~test], human[~test])
            found = float(measure.statistic(np.ones((1, int((~test).sum()))))[0]) if not measure.problem else 0.0
            sign = -1 if found < 0 else 1
        yield name, (sign, agree(sign * values, rows, settings))


def strata_of(
    values: FloatArray,
    rows: Sequence[AnnotatedRow],
    masks: Mapping[str, NDArray[np.bool_]],
    settings: Settings,
    *,
    count: NDArray[np.bool_] | None = None,
) -> dict[str, tuple[int, Figure]]:
    """ROC AUC within each part of the rows.

    Args:
        values: shape (n,), finite.
        rows: n rows.
        masks: of shape (n,), by the name of the part.
        settings: of the intervals.
        count: which rows a part's size counts, shape (n,); None for all.
    """
    out = {}
    labels = _labels(rows)
    for name, mask in masks.items():
        kept = [row for row, inside in zip(rows, mask, strict=True) if inside]
        measure = agreement.roc_auc(values[mask], labels[mask])
        made = agreement.estimate(
            {"x": measure}, _documents(kept), n_resamples=settings.n_resamples, seed=settings.seed
        )
        out[name] = int((mask if count is None else mask & count).sum()), made["x"]
    return out


def _human(rows: Sequence[AnnotatedRow]) -> FloatArray:
    return np.array([row.human for row in rows], dtype=np.float64)


def _labels(rows: Sequence[AnnotatedRow]) -> NDArray[np.bool_]:
    return np.array([row.consistent for row in rows], dtype=bool)


def _is_test(rows: Sequence[AnnotatedRow]) -> NDArray[np.bool_]:
    return np.array([row.part == "test" for row in rows], dtype=bool)


def _documents(rows: Sequence[AnnotatedRow]) -> list[str]:
    return [row.document for row in rows]
