"""SelfCheckGPT with n-grams: how usual an answer's words are among further draws (Manakul et al. 2023).

An n-gram model is counted over the answer and the draws together, sentence by sentence, with no other smoothing: the
answer's own n-grams make sure that each has been seen (k = 0 in the authors' `modeling_ngram.py`). The figures are
negative log-probabilities in nats, higher is less certain, without an upper bound.

- mean: over all tokens of the answer (there `avg_neg_logprob`).
- highest: of each sentence the least likely token, the mean of these over sentences (there `avg_max_neg_logprob`).

As there, an n-gram's probability is its share of all n-grams, not conditional on its beginning, and text is
lower-cased. Tokens are runs of letters and digits, and other characters one by one, where the authors ask spaCy; in
CJK languages they are characters.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from halueval.text import is_cjk, segment, split_sentences

_TOKEN = re.compile(r"\w+|[^\w\s]")
_START = ""
"""Stands before a sentence; no token equals it."""


@dataclass(frozen=True, slots=True)
class NgramScores:
    """Negative log-probabilities in nats: of each sentence the mean and the highest, and the answer's two figures."""

    sentence_mean: tuple[float, ...]
    sentence_highest: tuple[float, ...]
    mean: float
    highest: float


def selfcheck_ngram(sentences: Sequence[str], draws: Iterable[str], *, n: int = 1, language: str = "en") -> NgramScores:
    """Score an answer's sentences by an n-gram model of the answer and the draws.

    Args:
        sentences: of the answer, none of them empty.
        draws: further answers to the same question; empty ones add nothing.
        n: 1 for single tokens.
        language: tag of the texts.

    Raises:
        ValueError: no sentence, one without a token, or n below 1.
    """
    if n < 1:
        raise ValueError(f"{n}-grams; n is at least 1")
    own = [_ngrams(sentence, n, language) for sentence in sentences]
    if not own or not all(own):
        raise ValueError("an answer needs a sentence, and each sentence a token")
    counts = Counter(gram for grams in own for gram in grams)
    for draw in draws:
        for sentence in split_sentences(draw, language):
            counts.update(_ngrams(sentence, n, language))
    total = counts.total()
    costs = [[math.log(total / counts[gram]) for gram in grams] for grams in own]
    highest = tuple(max(cost) for cost in costs)
    return NgramScores(
        sentence_mean=tuple(math.fsum(cost) / len(cost) for cost in costs),
        sentence_highest=highest,
        mean=math.fsum(x for cost in costs for x in cost) / sum(map(len, costs)),
        highest=math.fsum(highest) / len(highest),
    )


def _ngrams(sentence: str, n: int, language: str) -> list[tuple[str, ...]]:
    lowered = sentence.lower()
    tokens = segment(lowered, language) if is_cjk(language) else _TOKEN.findall(lowered)
    padded = [_START] * (n - 1) + tokens
    return [tuple(padded[i : i + n]) for i in range(len(tokens))]
