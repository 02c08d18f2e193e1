"""Word overlap with the source: ROUGE precision, and the share of the claim's n-grams that the source has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.errors import UsageError
from halueval.text import unicode_words

NO_NGRAM = "the claim is shorter than one n-gram"


class RougePrecision(ConsistencyScorer):
    """ROUGE-n precision (Lin 2004) of the claim against the source: matched n-grams ÷ the claim's n-grams.

    Each n-gram of the source can be matched once. For English without stemming it is rouge-score's precision with the
    source as target; other languages are segmented as in `halueval.text`.

    Args:
        n: length of the n-grams.
    """

    name = "rouge_precision"
    summary = "ROUGE-2 precision of the claim against the source, 0-1 (Lin 2004)"

    def __init__(self, *, n: int = 2) -> None:
        if n < 1:
            raise UsageError(f"rouge_precision: n is {n}; it must be 1 or more")
        self.n = n

    def identity(self) -> dict[str, str | int]:
        """With the length of the n-grams."""
        return {**super().identity(), "n": self.n}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair."""
        out = []
        for pair in pairs:
            claim = ngrams(unicode_words(pair.claim, pair.language), self.n)
            source = ngrams(unicode_words(pair.source, pair.language), self.n)
            total = sum(claim.values())
            matched = sum((claim & source).values())
            out.append(Verdict(matched / total) if total else Verdict.unscored(NO_NGRAM))
            advance(1)
        return out


class NgramPrecision(ConsistencyScorer):
    """Mean over n = 1 … 4 of the share of the claim's distinct n-grams that stand in the source.

    Lengths of which the claim has no n-gram are left out.
    """

    name = "ngram_precision"
    summary = "share of the claim's distinct n-grams that the source has, mean over n = 1 to 4, 0-1"
    longest = 4

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair."""
        out = []
        for pair in pairs:
            claim, source = (unicode_words(text, pair.language) for text in (pair.claim, pair.source))
            shares = {}
            for n in range(1, self.longest + 1):
                wanted = ngrams(claim, n).keys()
                if wanted:
                    shares[f"precision_{n}"] = len(wanted & ngrams(source, n).keys()) / len(wanted)
            out.append(
                Verdict(sum(shares.values()) / len(shares), details=shares) if shares else Verdict.unscored(NO_NGRAM)
            )
            advance(1)
        return out


def ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram occurs."""
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))
