"""How much of a claim is copied from its source: coverage and density of extractive fragments (Grusky et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

from halueval.consistency.base import NO_WORD, Advance, ConsistencyScorer, Pair, Verdict
from halueval.text import unicode_words


def fragments(claim: Sequence[str], source: Sequence[str]) -> list[int]:
    """Lengths of the longest common runs of words, found greedily from the claim's first word on.

    Args:
        claim: its words.
        source: its words.

    Returns:
        Length of each fragment in the claim's order ("Newsroom", Grusky, Naaman, Artzi 2018, figure 3).
    """
    places: dict[str, list[int]] = {}
    for i, word in enumerate(source):
        places.setdefault(word, []).append(i)
    lengths = []
    at = 0
    while at < len(claim):
        best = 0
        for start in places.get(claim[at], ()):
            # A run that is no longer than the best one ends before its last word could differ.
            if best and source[start + best : start + best + 1] != claim[at + best : at + best + 1]:
                continue
            length = 0
            while (
                at + length < len(claim)
                and claim[at + length : at + length + 1] == source[start + length : start + length + 1]
            ):
                length += 1
            best = max(best, length)
        if best:
            lengths.append(best)
        at += max(best, 1)
    return lengths


class _Extractiveness(ConsistencyScorer):
    power = 1

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair."""
        out = []
        for pair in pairs:
            claim, source = (unicode_words(text, pair.language) for text in (pair.claim, pair.source))
            if claim:
                lengths = fragments(claim, source)
                out.append(Verdict(sum(length**self.power for length in lengths) / len(claim)))
            else:
                out.append(Verdict.unscored(NO_WORD))
            advance(1)
        return out


class Coverage(_Extractiveness):
    """Share of the claim's words that belong to a fragment of the source."""

    name = "coverage"
    summary = "share of the claim's words in fragments copied from the source, 0-1 (Grusky et al. 2018)"


class Density(_Extractiveness):
    """Mean length, over the claim's words, of the fragment that each belongs to."""

    name = "density"
    summary = "sum of squared lengths of copied fragments / words of the claim (Grusky et al. 2018)"
    power = 2
