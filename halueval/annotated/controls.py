"""Two scores that look at no meaning: what a scorer must beat before its figures say anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from halueval.annotated.sets import AnnotatedRow
from halueval.text import unicode_words


def claim_length(row: AnnotatedRow, language: str = "en") -> float:
    """Words of the claim."""
    return float(len(unicode_words(row.claim, language)))


def word_coverage(row: AnnotatedRow, language: str = "en") -> float:
    """Share of the claim's words that stand anywhere in a source, case aside; 0 for a claim without words."""
    words = unicode_words(row.claim.casefold(), language)
    known = {word for source in row.sources for word in unicode_words(source.casefold(), language)}
    return sum(word in known for word in words) / len(words) if words else 0.0


CONTROLS: Mapping[str, Callable[[AnnotatedRow, str], float]] = {
    "length_only": claim_length,
    "extractiveness_only": word_coverage,
}


def control_scores(name: str, rows: Sequence[AnnotatedRow], language: str = "en") -> list[float]:
    """Scores of a control for each row."""
    return [CONTROLS[name](row, language) for row in rows]
