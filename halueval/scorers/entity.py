"""Entity precision (Nan et al. 2021): the share of a summary's entities that a text supports.

`entity_precision` = mean over samples of |E(h) in source| / |E(h)|, E(h) the distinct names, numbers and
dates of the response; `entity_precision_reference` the same against the best reference. A response without
any entity has no such share: it is unscored, never 1. Entities come from the rules of `entities.py`, or from
spaCy where the option `spacy_model` names an installed pipeline; figures of the two do not compare. Whichever finds
them, they are supported alike: numbers and dates by value, names word for word.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from halueval.errors import UsageError
from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer
from halueval.scorers.entities import Entity, Support, find_entities, named
from halueval.text import squeeze

NO_ENTITY = "no name, number or date in the answer"
NUMERIC_LABELS = frozenset({"DATE", "TIME", "PERCENT", "MONEY", "QUANTITY", "ORDINAL", "CARDINAL"})
"""Of spaCy's English pipelines (OntoNotes)."""
PIPELINES = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm")
"""Of spaCy, the best first; `en_core_web_trf` needs packages of its own, so it must be named."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Entities of a text, and those of them that another text does not support."""

    num_entities: int
    unsupported: tuple[str, ...]

    @property
    def value(self) -> float:
        """Share supported, in [0, 1]; there must be an entity."""
        return 1 - len(self.unsupported) / self.num_entities


def entity_precision(answer: str, source: str, language: str = "en") -> Precision:
    """Compare the entities of an answer with a source, by rule."""
    entities = find_entities(answer, language, source)
    support = Support(source, language)
    return Precision(len(entities), tuple(e.text for e in entities if not support.has(e)))


class _EntityPrecision(MeanScorer):
    """Base of the two figures, which differ in the text that must support the entities."""

    def __init__(self, *, language: str = "en", spacy_model: str | None = None) -> None:
        """Choose the finder.

        Raises:
            UsageError: spaCy or the named pipeline is not installed.
        """
        self._language = language
        self._pipeline: Any = load_spacy(self.name, spacy_model) if spacy_model else None

    def best(self, answer: str, texts: Sequence[str]) -> Score:
        """Best precision over the texts."""
        compare = self._with_spacy if self._pipeline else entity_precision
        results = [compare(answer, text, self._language) for text in texts]
        if not results or results[0].num_entities == 0:
            return Score.unscored(NO_ENTITY if results else "no text to compare with")
        return Score(max(result.value for result in results))

    def _with_spacy(self, answer: str, source: str, language: str) -> Precision:
        return spacy_precision(self._pipeline, answer, source, language)


class EntityPrecision(_EntityPrecision):
    """Against the source."""

    name = "entity_precision"
    needs = frozenset({"response", "source"})
    summary = "names, numbers and dates of the answer that the source supports, 0-1 (Nan et al. 2021, by rule)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Share of the answer's entities that the source supports."""
        return self.best(outcome.response or "", [sample.source or ""])


class EntityPrecisionReference(_EntityPrecision):
    """Against the best reference."""

    name = "entity_precision_reference"
    needs = frozenset({"response", "references"})
    summary = "names, numbers and dates of the answer that the best reference has, 0-1 (Nan et al. 2021, by rule)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Best share over the references that have text."""
        return self.best(outcome.response or "", [r for r in sample.references if r.strip()])


def spacy_precision(pipeline: Any, answer: str, source: str, language: str = "en") -> Precision:
    """Compare the entities that a spaCy pipeline finds in an answer with a source."""
    entities = spacy_entities(pipeline, answer, language)
    support = Support(source, language)
    return Precision(len(entities), tuple(e.text for e in entities if not support.has(e)))


def spacy_entities(pipeline: Any, text: str, language: str = "en") -> tuple[Entity, ...]:
    """Distinct entities that a spaCy pipeline finds in a text, as the rules would write them.

    A figure or date has the numbers and dates in it, by value ("$5 million" is 5,000,000); one without any ("last
    Monday") is of kind "time" and compared word for word, as names are.
    """
    first: dict[object, Entity] = {}
    for found in pipeline(text).ents:
        start, label = getattr(found, "start_char", 0), getattr(found, "label_", "")
        inside = [e for e in find_entities(found.text, language) if e.kind in ("number", "date")]
        if inside and (label in NUMERIC_LABELS or inside[0].text == found.text.strip()):
            mine = [replace(entity, start=start + entity.start) for entity in inside]
        else:
            whole = named("time" if label in NUMERIC_LABELS else "name", found.text, start)
            mine = [] if whole is None else [whole]
        for entity in mine:
            first.setdefault((entity.kind, entity.key), entity)
    return tuple(first.values())


def installed_pipeline() -> tuple[str, str] | None:
    """Name and version of the largest English spaCy pipeline that is installed, and spaCy with it; None without."""
    if importlib.util.find_spec("spacy") is None:
        return None
    name = next((name for name in PIPELINES if importlib.util.find_spec(name) is not None), None)
    return None if name is None else (name, importlib.metadata.version(name))


def load_spacy(metric: str, model: str) -> Any:
    """A spaCy pipeline.

    Raises:
        UsageError: spaCy or the pipeline is not installed.
    """
    try:
        spacy = importlib.import_module("spacy")
        return spacy.load(model)
    except (ImportError, OSError) as error:
        raise UsageError(
            f"{metric}: spacy_model {model!r} is not installed ({squeeze(str(error))}); "
            "install it, or leave the option out for the rules that need no model"
        ) from error
