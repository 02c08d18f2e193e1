"""Scorers held against people: verdicts on annotated sets, and the figures of their agreement.

Figures without a choice in them (correlations, ROC AUC, average precision) are of all scored rows, as they are
published. Balanced accuracy needs a threshold: it is chosen on the validation part and reported on the test part. Two
controls that look at no meaning stand beside every scorer, on the very rows that it scored.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from halueval.annotated.sets import AnnotatedSet
from halueval.annotated.strata import error_type_masks, sentence_masks
from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.consistency.keeping import passes
from halueval.stats.measure import Figure, FloatArray
from halueval.validation.figures import (
    DEFAULTS,
    Agreement,
    Comparison,
    Settings,
    agree,
    at_threshold,
    compare_values,
    controls_of,
    strata_of,
)

logger = logging.getLogger("halueval")


@dataclass(frozen=True, slots=True)
class Scored:
    """What a scorer said of the rows of a set.

    Attributes:
        scorer: its name.
        identity: what determines its values.
        values: shape (n,), NaN where a row has no score.
        reasons: why rows have none, and how many.
        truncated: rows with a source that it did not see whole.
        seconds: it took.
        threshold: the scorer's own, None where it has none.
        partial: why sources of rows that have a score had none, and in how many rows: such a score is that of the best
            of the other sources, so it may be too low.
        verdicts: of each row a verdict for each of its sources; empty where the scores were kept without them.
    """

    scorer: str
    identity: Mapping[str, Any]
    values: FloatArray
    reasons: Mapping[str, int]
    truncated: int
    seconds: float
    threshold: float | None = None
    partial: Mapping[str, int] = field(default_factory=dict)
    verdicts: Sequence[tuple[Verdict, ...]] = ()

    @property
    def passing(self) -> int:
        """Number of pairs without a value for a reason that may be gone the next time."""
        return sum(passes(verdict) for of_row in self.verdicts for verdict in of_row)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A scorer on a set.

    Attributes:
        scored: what it said.
        annotated: the set.
        agreement: its figures.
        controls: by name, the sign that the score was given and its figures, on the rows that the scorer scored.
        by_error_type: number of inconsistent rows with the error, and ROC AUC of these against all consistent ones.
        by_sentences: number of rows whose claim has so many sentences, and ROC AUC among them.
        own_threshold: balanced accuracy of the test part at the scorer's own threshold, where it has one.
        compared: how it differs from the scorer named.
    """

    scored: Scored
    annotated: AnnotatedSet
    agreement: Agreement
    controls: Mapping[str, tuple[int, Agreement]]
    by_error_type: Mapping[str, tuple[int, Figure]]
    by_sentences: Mapping[str, tuple[int, Figure]]
    own_threshold: Figure | None = None
    compared: Mapping[str, Comparison] = field(default_factory=dict)


def score_rows(
    scorer: ConsistencyScorer,
    annotated: AnnotatedSet,
    advance: Advance = lambda _: None,
    before: Scored | None = None,
) -> Scored:
    """Score every row; a row with several sources has the verdict of the one that supports it best.

    Args:
        scorer: which.
        annotated: the set.
        advance: is told how many more pairs are done, of `count_pairs(annotated)`, or of `before.passing`.
        before: what the scorer said of the set before, with its verdicts; only what failed for a reason that may be
            gone by now is scored again.

    Raises:
        ModelError: the scorer's model cannot be had.
    """
    language = annotated.spec.language
    known = [verdict for of_row in before.verdicts for verdict in of_row] if before else []
    pairs = [Pair(s, row.claim, row.question, language) for row in annotated.rows for s in row.sources]
    todo = [i for i in range(len(pairs)) if not known or passes(known[i])]
    started = time.perf_counter()
    made = dict(zip(todo, scorer.score([pairs[i] for i in todo], advance), strict=True))
    seconds = time.perf_counter() - started + (before.seconds if before else 0.0)
    verdicts = iter([made[i] if i in made else known[i] for i in range(len(pairs))])
    found = [tuple(next(verdicts) for _ in row.sources) for row in annotated.rows]
    best = [of_row[best_of(of_row)] for of_row in found]
    partial = Counter(
        next(v.reason or "no reason given" for v in of_row if v.value is None)
        for of_row, chosen in zip(found, best, strict=True)
        if chosen.value is not None and any(v.value is None for v in of_row)
    )
    for reason, count in partial.items():
        logger.warning(
            "%s on %s: %d rows are scored by some of their sources alone, since for one: %s",
            *(scorer.name, annotated.spec.name, count, reason),
        )
    return Scored(
        scorer=scorer.name,
        identity=scorer.identity(),
        values=np.array([np.nan if v.value is None else v.value for v in best], dtype=np.float64),
        reasons=Counter(v.reason or "no reason given" for v in best if v.value is None),
        truncated=sum(any(v.truncated for v in of_row) for of_row in found),
        seconds=seconds,
        threshold=scorer.threshold,
        partial=partial,
        verdicts=found,
    )


def count_pairs(annotated: AnnotatedSet) -> int:
    """How many pairs of a source and a claim a set holds."""
    return sum(len(row.sources) for row in annotated.rows)


def best_of(verdicts: Sequence[Verdict]) -> int:
    """Number of the source that supports the claim best: the first with the highest value, or the first of all."""
    values = {i: verdict.value for i, verdict in enumerate(verdicts) if verdict.value is not None}
    return max(values, key=lambda i: values[i], default=0)


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
        known[key] = dict(controls_of(rows, annotated.spec.language, settings))
    wrong = np.array([not row.consistent for row in rows], dtype=bool)
    own = None
    if scored.threshold is not None:
        own = at_threshold(values, rows, scored.threshold, settings)
    return Evaluation(
        scored=scored,
        annotated=annotated,
        agreement=agree(values, rows, settings),
        controls=known[key],
        by_error_type=strata_of(values, rows, error_type_masks(rows), settings, count=wrong),
        by_sentences=strata_of(values, rows, sentence_masks(rows, annotated.spec.language), settings),
        own_threshold=own,
    )


def compare(first: Scored, second: Scored, annotated: AnnotatedSet, settings: Settings = DEFAULTS) -> Comparison:
    """Second minus first, on the rows that both scored; see `compare_values`."""
    mask = np.isfinite(first.values) & np.isfinite(second.values)
    rows = [row for row, kept in zip(annotated.rows, mask, strict=True) if kept]
    return compare_values(first.values[mask], second.values[mask], rows, settings)


class Keeper(Protocol):
    """Keeps scores between calls, see `KeptScores`."""

    def get(self, scorer: ConsistencyScorer, annotated: AnnotatedSet) -> Scored | None:
        """What the scorer said of the set before, or None."""

    def put(self, scored: Scored, annotated: AnnotatedSet) -> None:
        """Keep it."""


Watch = Callable[[str, str, int], Advance]
"""Is told of a scorer, a set and the number of pairs, and returns what is told of progress."""


def validate(
    scorers: Iterable[ConsistencyScorer],
    sets: Sequence[AnnotatedSet],
    settings: Settings = DEFAULTS,
    *,
    compared: bool = False,
    keeper: Keeper | None = None,
    watch: Watch = lambda scorer, name, pairs: lambda _: None,
) -> Iterator[Evaluation]:
    """Every scorer on every set, one scorer after another.

    Args:
        scorers: distinct names; a generator lets each go before the next is used.
        sets: distinct names.
        settings: of the intervals.
        compared: hold each later scorer against the first.
        keeper: of scores between calls; None scores everything anew.
        watch: see `Watch`.

    Raises:
        ModelError: a scorer's model cannot be had.
    """
    firsts: dict[str, Scored] = {}
    known: dict[tuple[str, bytes], Controls] = {}
    for scorer in scorers:
        for annotated in sets:
            name = annotated.spec.name
            scored = keeper.get(scorer, annotated) if keeper else None
            if scored is None or scored.passing:
                pairs = scored.passing if scored else count_pairs(annotated)
                scored = score_rows(scorer, annotated, watch(scorer.name, name, pairs), scored)
                if keeper:
                    keeper.put(scored, annotated)
            made = evaluate(scored, annotated, settings, known)
            if compared and name in firsts:
                comparison = compare(firsts[name], scored, annotated, settings)
                made = replace(made, compared={firsts[name].scorer: comparison})
            firsts.setdefault(name, scored)
            yield made
