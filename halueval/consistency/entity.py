"""Entity and number precision (Nan et al. 2021) of a claim against its source.

Entities come from spaCy's pipeline where one is named and installed, else from halueval's own rules
(`halueval.scorers.entities`); which one it was stands in the scorer's identity. A claim without any has no such share.
"""

from __future__ import annotations

from collections.abc import Sequence

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.scorers.entities import Support, find_entities
from halueval.scorers.entity import NO_ENTITY, load_spacy, spacy_precision
from halueval.sentences import sentences as split

NO_NUMBER = "no number or date in the claim"
NUMERIC = frozenset({"number", "date"})


class EntityPrecision(ConsistencyScorer):
    """Share of the claim's distinct names, numbers and dates that the source supports.

    Args:
        spacy_model: an installed spaCy pipeline to find entities with; None for the rules.
    """

    name = "entity_precision"
    summary = "names, numbers and dates of the claim that the source supports, 0-1 (Nan et al. 2021, by rule or spaCy)"
    nothing = NO_ENTITY
    kinds: frozenset[str] | None = None

    def __init__(self, *, spacy_model: str | None = None) -> None:
        self.spacy_model = spacy_model
        self._pipeline = load_spacy(self.name, spacy_model) if spacy_model else None

    def identity(self) -> dict[str, str | int]:
        """With the finder."""
        return {**super().identity(), "finder": f"spacy:{self.spacy_model}" if self.spacy_model else "rules"}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair; the reason names what the source lacks."""
        out = []
        for pair in pairs:
            out.append(self._verdict(pair))
            advance(1)
        return out

    def _verdict(self, pair: Pair) -> Verdict:
        if self._pipeline is not None:
            found = spacy_precision(self._pipeline, pair.claim, pair.source)
            total, missing = found.num_entities, found.unsupported
            sentences: tuple[SentenceScore, ...] = ()
        else:
            total, missing, sentences = self._by_rule(pair)
        if not total:
            return Verdict.unscored(self.nothing)
        reason = f"not in the source: {', '.join(missing[:3])}" if missing else None
        return Verdict(1 - len(missing) / total, reason, sentences, details={"entities": float(total)})

    def _by_rule(self, pair: Pair) -> tuple[int, tuple[str, ...], tuple[SentenceScore, ...]]:
        support = Support(pair.source, pair.language)
        found = [e for e in find_entities(pair.claim, pair.language, pair.source) if self._counts(e.kind)]
        missing = [e for e in found if not support.has(e)]
        sentences = []
        start = 0
        for text in split(pair.claim, pair.language):
            begin = pair.claim.find(text, start)
            start = begin + len(text)
            mine = [e for e in found if begin <= e.start < start]
            wrong = sum(e in missing for e in mine)
            value = 1 - wrong / len(mine) if mine else None
            sentences.append(SentenceScore(text, value, None if mine else self.nothing))
        return len(found), tuple(e.text for e in missing), tuple(sentences)

    def _counts(self, kind: str) -> bool:
        return self.kinds is None or kind in self.kinds


class NumberPrecision(EntityPrecision):
    """The same for numbers and dates alone, always by rule."""

    name = "number_precision"
    summary = "numbers and dates of the claim that the source supports, 0-1 (by rule)"
    nothing = NO_NUMBER
    kinds = NUMERIC

    def __init__(self) -> None:
        super().__init__()
