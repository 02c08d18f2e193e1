"""What a consistency scorer must beat: figures that never look at the source."""

from __future__ import annotations

from collections.abc import Sequence

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.text import unicode_words


class Length(ConsistencyScorer):
    """Minus the number of words: in many sets longer claims are more often wrong, and in some the other way round."""

    name = "length"
    summary = "minus the number of the claim's words: a control that does not look at the source"

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair."""
        advance(len(pairs))
        return [Verdict(-float(len(unicode_words(pair.claim, pair.language)))) for pair in pairs]
