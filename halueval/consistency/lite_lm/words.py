"""What a language model says of each word of a claim, with the source before it and without.

A word's log-likelihood is the sum of its tokens'. Its information is log p(word | source, words before) −
log p(word | words before), in nats: how much likelier the source makes it. A word that the source supports gains much
unless it was likely anyway; one that contradicts the source gains nothing, or loses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class WordLikelihood:
    """A word, lower-cased, and its log-likelihood in nats given the source and given none."""

    word: str
    given: float
    alone: float

    @property
    def information(self) -> float:
        """Pointwise mutual information with the source, in nats."""
        return self.given - self.alone


def word_likelihoods(
    claim: str, spans: Sequence[tuple[int, int]], given: Sequence[float], alone: Sequence[float]
) -> list[WordLikelihood]:
    """The words of a claim, in order, each with the tokens that overlap it.

    Args:
        claim: the text.
        spans: first character and that behind the last of each token; white space may belong to a token.
        given: log-probability of each token with the source.
        alone: log-probability of each token without it.

    Raises:
        ValueError: not as many log-probabilities as tokens.
    """
    if not len(spans) == len(given) == len(alone):
        raise ValueError(f"{len(spans)} tokens, but {len(given)} and {len(alone)} log-probabilities")
    out = []
    first = 0
    for match in _WORD.finditer(claim):
        while first < len(spans) and spans[first][1] <= match.start():
            first += 1
        last = first
        while last < len(spans) and spans[last][0] < match.end():
            last += 1
        if last > first:
            out.append(WordLikelihood(match.group().lower(), sum(given[first:last]), sum(alone[first:last])))
    return out
