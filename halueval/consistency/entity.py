"""Entity and number precision (Nan et al. 2021) of a claim against its source.

Entities come from spaCy's English pipeline where one is installed, else (and for other languages) from halueval's own
rules (`halueval.scorers.entities`); which it was stands in the scorer's identity as `finder`. Figures of the two do not
compare; `spacy_model: none` asks for the rules. Whichever finds them, numbers and dates are supported by value and
names word for word. A claim without any has no such share.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.scorers.entities import Entity, Support, find_entities
from halueval.scorers.entity import NO_ENTITY, installed_pipeline, load_spacy, spacy_entities
from halueval.sentences import sentences as split
from halueval.text import is_english

NO_NUMBER = "no number or date in the claim"
NUMERIC = frozenset({"number", "date", "time"})
AUTO = "auto"


class EntityPrecision(ConsistencyScorer):
    """Share of the claim's distinct names, numbers and dates that the source supports.

    Args:
        spacy_model: a spaCy pipeline to find entities with, in any language; `auto` for an installed English one on
            English texts and the rules elsewhere, `none` for the rules.

    Raises:
        UsageError: the pipeline that was named is not installed.
    """

    name = "entity_precision"
    summary = "names, numbers and dates of the claim that the source supports, 0-1 (Nan et al. 2021, by spaCy or rule)"
    nothing = NO_ENTITY
    kinds: frozenset[str] | None = None

    def __init__(self, *, spacy_model: str = AUTO) -> None:
        self._english_only = spacy_model == AUTO
        self._found = installed_pipeline() if self._english_only else None
        self._named: Any = None
        if spacy_model not in (AUTO, "none"):
            self._named = load_spacy(self.name, spacy_model)
            self._found = spacy_model, str(self._named.meta.get("version"))

    @cached_property
    def _pipeline(self) -> Any:
        assert self._found is not None
        return self._named or load_spacy(self.name, self._found[0])

    def identity(self) -> dict[str, str | int]:
        """With the finder."""
        finder = "rules" if self._found is None else f"spacy:{' '.join(self._found)}"
        return {**super().identity(), "finder": finder}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair; the reason names what the source lacks."""
        out = []
        for pair in pairs:
            out.append(self._verdict(pair))
            advance(1)
        return out

    def _verdict(self, pair: Pair) -> Verdict:
        support = Support(pair.source, pair.language)
        found = [entity for entity in self._entities(pair) if self.kinds is None or entity.kind in self.kinds]
        missing = [entity for entity in found if not support.has(entity)]
        if not found:
            return Verdict.unscored(self.nothing)
        reason = f"not in the source: {', '.join(entity.text for entity in missing[:3])}" if missing else None
        sentences = self._sentences(pair, found, missing)
        return Verdict(1 - len(missing) / len(found), reason, sentences, details={"entities": float(len(found))})

    def _entities(self, pair: Pair) -> tuple[Entity, ...]:
        if self._found is None or (self._english_only and not is_english(pair.language)):
            return find_entities(pair.claim, pair.language, pair.source)
        return spacy_entities(self._pipeline, pair.claim, pair.language)

    def _sentences(self, pair: Pair, found: Sequence[Entity], missing: Sequence[Entity]) -> tuple[SentenceScore, ...]:
        sentences = []
        start = 0
        for text in split(pair.claim, pair.language):
            begin = pair.claim.find(text, start)
            start = begin + len(text)
            mine = [e for e in found if begin <= e.start < start]
            wrong = sum(e in missing for e in mine)
            value = 1 - wrong / len(mine) if mine else None
            sentences.append(SentenceScore(text, value, None if mine else self.nothing))
        return tuple(sentences)


class NumberPrecision(EntityPrecision):
    """The same for numbers, dates and times alone."""

    name = "number_precision"
    summary = "numbers and dates of the claim that the source supports, 0-1 (by spaCy or rule)"
    nothing = NO_NUMBER
    kinds = NUMERIC
