"""Passages of texts, and the best of them for a query by BM25 (Robertson and Zaragoza 2009): small and exact.

score(q, p) = Σ over words w of q of ln(1 + (N − n_w + ½)/(n_w + ½)) · f(k₁ + 1)/(f + k₁(1 − b + b·|p|/mean |p|)), with
N passages, n_w of them holding w, f times w in p; k₁ = 1.5, b = .75. The logarithm is Lucene's, never negative. Words
are `halueval.text.unicode_words`, nothing is stemmed or stopped. For sources and knowledge that fit in memory.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from halueval.sentences import sentences
from halueval.text import segment, unicode_words

MAX_WORDS = 256
"""Words of a passage (CJK: characters), as FActScore has 256 tokens."""
K1, B = 1.5, 0.75


def passages(text: str, language: str = "en", title: str = "") -> list[str]:
    """Cut a text into passages of whole sentences, at most 256 words each; a longer sentence is cut by words.

    Args:
        text: any text.
        language: its language tag.
        title: put in front of each passage, not counted.
    """
    out: list[str] = []
    part: list[str] = []
    size = 0
    for piece, words in _pieces(text, language):
        if part and size + words > MAX_WORDS:
            out.append(" ".join(part))
            part, size = [], 0
        part.append(piece)
        size += words
    if part:
        out.append(" ".join(part))
    head = f"{title.strip()}\n" if title.strip() else ""
    return [head + passage for passage in out]


def _pieces(text: str, language: str) -> Iterable[tuple[str, int]]:
    for sentence in sentences(text, language):
        words = segment(sentence, language)
        if len(words) <= MAX_WORDS:
            yield sentence, len(words)
            continue
        # Words of a cut sentence are joined by spaces where it had any.
        joint = " " if " " in sentence.strip() else ""
        for start in range(0, len(words), MAX_WORDS):
            part = words[start : start + MAX_WORDS]
            yield joint.join(part), len(part)


class Index:
    """Passages that can be searched.

    Args:
        passages: at least one.
        language: of passages and queries.
    """

    def __init__(self, passages: Sequence[str], language: str = "en") -> None:
        self.passages = tuple(passages)
        self._language = language
        counts = [Counter(unicode_words(passage, language)) for passage in self.passages]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / len(lengths) or 1.0
        self._weights: dict[str, list[tuple[int, float]]] = {}
        for i, count in enumerate(counts):
            slack = K1 * (1 - B + B * lengths[i] / mean)
            for word, times in count.items():
                self._weights.setdefault(word, []).append((i, times * (K1 + 1) / (times + slack)))

    def scores(self, query: str) -> list[float]:
        """BM25 of every passage for a query; a word that stands twice in it counts twice."""
        out = [0.0] * len(self.passages)
        for word, times in Counter(unicode_words(query, self._language)).items():
            found = self._weights.get(word, ())
            rarity = math.log(1 + (len(out) - len(found) + 0.5) / (len(found) + 0.5))
            for i, weight in found:
                out[i] += times * rarity * weight
        return out

    def best(self, query: str, k: int) -> list[str]:
        """The k best passages, best first; equal ones in their order, those without a word in common last."""
        scores = self.scores(query)
        chosen = heapq.nsmallest(k, range(len(scores)), key=lambda i: (-scores[i], i))
        return [self.passages[i] for i in chosen]
