"""Scorers held against people: verdicts on annotated sets, and the figures of their agreement.

Figures without a choice in them (correlations, ROC AUC, average precision) are of all scored rows, as they are
published. Balanced accuracy needs a threshold: it is chosen on the validation part and reported on the test part. Two
controls that look at no meaning stand beside every scorer, on the very rows that it scored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.annotated.controls import CONTROLS, control_scores
from halueval.annotated.sets import AnnotatedRow, AnnotatedSet
from halueval.annotated.strata import error_type_masks, sentence_masks
from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.stats import agreement
from halueval.stats.agreement import Figure, FloatArray, Measure
from halueval.stats.dependent import PairedDifference, Williams, paired_difference, williams_of


@dataclass(frozen=True, slots=True)
class Settings:
    """How intervals are drawn."""

    n_resamples: int = 2000
    seed: int = 0


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Scored:
    """What a scorer said of the rows of a set.

    Attributes:
        scorer: its name.
        identity: what determines its values.
        values: shape (n,), NaN where a row has no score.
        reasons: why rows have none, and how many.
        truncated: rows whose source it did not see whole.
        seconds: it took.
        threshold: the scorer's own, None where it has none.
    """

    scorer: str
    identity: Mapping[str, Any]
    values: FloatArray
    reasons: Mapping[str, int]
    truncated: int
    seconds: float
    threshold: float | None = None


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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A scorer on a set, with the controls, strata, and how it compares with the first scorer."""

    scored: Scored
    annotated: AnnotatedSet
    agreement: Agreement
    controls: Mapping[str, tuple[int, Agreement]]
    by_error_type: Mapping[str, tuple[int, Figure]]
    by_sentences: Mapping[str, tuple[int, Figure]]
    own_threshold: Figure | None = None
    compared: Mapping[str, Comparison] = field(default_factory=dict)


def score_rows(scorer: ConsistencyScorer, annotated: AnnotatedSet, advance: Advance = lambda _: None) -> Scored:
    """Score every row; a row with several sources has the verdict of the one that supports it best.

    Args:
        scorer: which.
        annotated: the set.
        advance: is told how many more pairs are done, of `count_pairs(annotated)`.

    Raises:
        ModelError: the scorer's model cannot be had.
    """
    language = annotated.spec.language
    pairs = [Pair(s, row.claim, row.question, language) for row in annotated.rows for s in row.sources]
    started = time.perf_counter()
    verdicts = iter(scorer.score(pairs, advance))
    best = [_best([next(verdicts) for _ in row.sources]) for row in annotated.rows]
    return Scored(
        scorer=scorer.name,
        identity=scorer.identity(),
        values=np.array([np.nan if v.value is None else v.value for v in best], dtype=np.float64),
        reasons=Counter(v.reason or "no reason given" for v in best if v.value is None),
        truncated=sum(v.truncated > 0 for v in best),
        seconds=time.perf_counter() - started,
        threshold=scorer.threshold,
    )


def count_pairs(annotated: AnnotatedSet) -> int:
    """How many pairs of a source and a claim a set holds."""
    return sum(len(row.sources) for row in annotated.rows)


def _best(verdicts: Sequence[Verdict]) -> Verdict:
    with_value = [v for v in verdicts if v.value is not None]
    return max(with_value, key=lambda v: v.value if v.value is not None else 0.0) if with_value else verdicts[0]


Controls = dict[str, tuple[int, Agreement]]


def evaluate(
    scored: Scored,
    annotated: AnnotatedSet,
    settings: Settings = DEFAULTS,
    known: dict[tuple[str, bytes], Controls] | None = None,
) -> Evaluation:
    """Figures of a scorer on a set; each without a value where no row, or too few, could be scored.

    Args:
        scored: see `score_rows`.
        annotated: the same set.
        settings: of the intervals.
        known: controls computed before, by set and rows; what is computed here is added.
    """
    known = {} if known is None else known
    mask = np.isfinite(scored.values)
    rows = [row for row, kept in zip(annotated.rows, mask, strict=True) if kept]
    values = scored.values[mask]
    key = annotated.spec.name, mask.tobytes()
    if key not in known:
        known[key] = dict(_controls(rows, annotated.spec.language, settings))
    own = None
    if scored.threshold is not None:
        own = _at_threshold(values, rows, scored.threshold, settings)
    return Evaluation(
        scored=scored,
        annotated=annotated,
        agreement=agree(values, rows, settings),
        controls=known[key],
        by_error_type=_strata(values, rows, error_type_masks(rows), settings),
        by_sentences=_strata(values, rows, sentence_masks(rows, annotated.spec.language), settings),
        own_threshold=own,
    )


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
        figures["balanced_accuracy"] = _at_threshold(values, rows, threshold, settings)
    return Agreement(figures, float(1 - labels.mean()) if len(rows) else None, threshold, int(test.sum()))


def compare(first: Scored, second: Scored, annotated: AnnotatedSet, settings: Settings = DEFAULTS) -> Comparison:
    """Second minus first in every figure, by paired bootstrap, with Williams' test of Pearson's correlations.

    That is what going from the first to the second adds. Each keeps the threshold that its own validation scores give.
    """
    mask = np.isfinite(first.values) & np.isfinite(second.values)
    rows = [row for row, kept in zip(annotated.rows, mask, strict=True) if kept]
    a, b = first.values[mask], second.values[mask]
    before, after = _measures(a, rows), _measures(b, rows)
    out = {
        name: paired_difference(
            after[name], before[name], _documents(rows), n_resamples=settings.n_resamples, seed=settings.seed
        )
        for name in before
    }
    test, labels = _is_test(rows), _labels(rows)
    cuts = [agreement.choose_threshold(values[~test], labels[~test])[0] for values in (a, b)]
    if cuts[0] is None or cuts[1] is None:
        out["balanced_accuracy"] = PairedDifference(None, reason="no threshold from the validation part")
    else:
        out["balanced_accuracy"] = paired_difference(
            agreement.balanced_accuracy(b[test], labels[test], cuts[1]),
            agreement.balanced_accuracy(a[test], labels[test], cuts[0]),
            _documents([row for row, kept in zip(rows, test, strict=True) if kept]),
            n_resamples=settings.n_resamples,
            seed=settings.seed,
        )
    return Comparison(len(rows), out, williams_of(b, a, _human(rows)))


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


def _at_threshold(values: FloatArray, rows: Sequence[AnnotatedRow], threshold: float, settings: Settings) -> Figure:
    test = _is_test(rows)
    measure = agreement.balanced_accuracy(values[test], _labels(rows)[test], threshold)
    names = _documents([row for row, kept in zip(rows, test, strict=True) if kept])
    return agreement.estimate({"x": measure}, names, n_resamples=settings.n_resamples, seed=settings.seed)["x"]


def _controls(
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


def _strata(
    values: FloatArray, rows: Sequence[AnnotatedRow], masks: Mapping[str, NDArray[np.bool_]], settings: Settings
) -> dict[str, tuple[int, Figure]]:
    out = {}
    labels = _labels(rows)
    for name, mask in masks.items():
        kept = [row for row, inside in zip(rows, mask, strict=True) if inside]
        measure = agreement.roc_auc(values[mask], labels[mask])
        made = agreement.estimate(
            {"x": measure}, _documents(kept), n_resamples=settings.n_resamples, seed=settings.seed
        )
        out[name] = len(kept), made["x"]
    return out


def _human(rows: Sequence[AnnotatedRow]) -> FloatArray:
    return np.array([row.human for row in rows], dtype=np.float64)


def _labels(rows: Sequence[AnnotatedRow]) -> NDArray[np.bool_]:
    return np.array([row.consistent for row in rows], dtype=bool)


def _is_test(rows: Sequence[AnnotatedRow]) -> NDArray[np.bool_]:
    return np.array([row.part == "test" for row in rows], dtype=bool)


def _documents(rows: Sequence[AnnotatedRow]) -> list[str]:
    return [row.document for row in rows]


Watch = Callable[[str, str, int], Advance]
"""Is told of a scorer, a set and the number of pairs, and returns what is told of progress."""


def validate(
    scorers: Sequence[ConsistencyScorer],
    sets: Sequence[AnnotatedSet],
    settings: Settings = DEFAULTS,
    *,
    compared: bool = False,
    watch: Watch = lambda scorer, name, pairs: lambda _: None,
) -> Iterator[Evaluation]:
    """Every scorer on every set, one after another; a scorer is done with before the next begins.

    Args:
        scorers: distinct names.
        sets: distinct names.
        settings: of the intervals.
        compared: hold each later scorer against the first.
        watch: see `Watch`.

    Raises:
        ModelError: a scorer's model cannot be had.
    """
    firsts: dict[str, Scored] = {}
    known: dict[tuple[str, bytes], Controls] = {}
    for scorer in scorers:
        for annotated in sets:
            name = annotated.spec.name
            scored = score_rows(scorer, annotated, watch(scorer.name, name, count_pairs(annotated)))
            made = evaluate(scored, annotated, settings, known)
            if compared and name in firsts:
                comparison = compare(firsts[name], scored, annotated, settings)
                made = replace(made, compared={firsts[name].scorer: comparison})
            firsts.setdefault(name, scored)
            yield made
