"""What `lite_lm` looks at: features of `lite`, overlap, and the language model's likelihood of each word.

Of a claim's words, *content* words are those that are no stop words, and *new* ones those of them whose stem the source
lacks. A word's information is how many nats likelier the source makes it (`words`). The larger a feature, the better is
the claim supported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.consistency.base import Pair
from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.extractiveness import fragments
from halueval.consistency.lite.features import NAMES as LITE_NAMES
from halueval.consistency.lite.features import features as lite_features
from halueval.consistency.lite.features import is_stop_word, stem
from halueval.consistency.lite_lm.words import WordLikelihood
from halueval.consistency.overlap import ngrams
from halueval.text import unicode_words

ENOUGH = 2.0
"""Nats of information beyond which a word counts as supported, however rare it was."""
NOTHING_NEW = 3.0
"""Information of the worst new word where the claim has none."""
LEAST = 0.5
"""Nats that a word takes without the source, at least: else the share of them that the source saves says nothing."""
ENCODED = 4
"""Nearest sentences of the source whose vectors the fit has seen; `lite` itself makes do with fewer."""
SOFT = 2.0
"""Nats by which a word must be better informed than another to count e times less in the soft minimum."""


@dataclass(frozen=True, slots=True)
class WordTable:
    """What the language model says of a claim.

    Attributes:
        words: of the claim.
        given: log-likelihood of each token given the source, in nats.
        alone: the same without the source.
        truncated: tokens of the source that the model did not see.
    """

    words: tuple[WordLikelihood, ...]
    given: tuple[float, ...]
    alone: tuple[float, ...]
    truncated: int = 0


OF_WORDS = (
    "likelihood",
    "likelihood_worst",
    "likelihood_new",
    "information",
    "information_capped",
    "information_soft_minimum",
    "information_worst_tenth",
    "information_worst_new",
    "saved",
    "saved_content",
    "saved_worst_tenth",
    "lost",
)
"""Features of the language model, in order."""
OF_OVERLAP = ("coverage", "ngrams", "log_density")
OF_LITE = (
    "content_in_source_mean",
    "content_nearby_mean",
    "content_in_nearest_mean",
    "bigrams_mean",
    "trigrams_mean",
    "content_pairs_mean",
    "longest_fragment_mean",
    "cosine_mean",
    "token_match_mean",
    "token_match_worst_mean",
    "entities_mean",
    "numbers_mean",
)
NAMES = (*OF_WORDS, *OF_OVERLAP, *(f"lite_{name}" for name in OF_LITE))
"""Names of the features, in order."""
EVIDENCE = ("lite_entities_mean", "lite_numbers_mean")
"""Features that are seldom below 1 and say much where they are; all others are shades of one another."""


def features(pairs: Sequence[Pair], tables: Sequence[WordTable], encoder: SentenceEncoder) -> NDArray[np.float64]:
    """Features of pairs; shape (len(pairs), len(NAMES)).

    Args:
        pairs: with a source and a claim that hold something.
        tables: what the language model says of each.
        encoder: for the features of `lite`.
    """
    columns = [LITE_NAMES.index(name) for name in OF_LITE]
    lite = lite_features(pairs, encoder, encoded=ENCODED)[:, columns]
    own = [[*_of_words(table, pair), *_of_overlap(pair)] for pair, table in zip(pairs, tables, strict=True)]
    return np.hstack([np.array(own), lite])


def _of_words(table: WordTable, pair: Pair) -> list[float]:
    stems = {stem(word) for word in unicode_words(pair.source, pair.language)}
    content = [word for word in table.words if not is_stop_word(word.word)] or list(table.words)
    new = [word for word in content if stem(word.word) not in stems]
    given, alone = np.array(table.given), np.array(table.alone)
    if not content:  # nothing but punctuation
        return [float(given.mean()), float(given.min()), *(0.0 for _ in OF_WORDS[2:])]
    information = np.array([word.information for word in content])
    saved = np.array([_saved(word) for word in content])
    return [
        float(given.mean()),
        float(given.min()),
        sum(word.given for word in new) / len(table.words),
        float((given - alone).mean()),
        float(np.minimum(information, ENOUGH).mean()),
        soft_minimum(information),
        float(np.quantile(information, 0.1)),
        min((word.information for word in new), default=NOTHING_NEW),
        _mean([_saved(word) for word in table.words]),
        float(saved.mean()),
        float(np.quantile(saved, 0.1)),
        float(np.minimum(given - alone, 0).mean()),
    ]


def _saved(word: WordLikelihood) -> float:
    """The share of a word's nats that the source saves, in [-2, 1]."""
    return max(-2.0, min(1.0, word.information / max(-word.alone, LEAST)))


def soft_minimum(values: NDArray[np.float64]) -> float:
    """−s · log mean exp(−v/s) with s = `SOFT`: near the mean of values that are alike, near the least of others."""
    scaled = -values / SOFT
    top = float(scaled.max())
    return -SOFT * (top + math.log(float(np.exp(scaled - top).mean())))


def _of_overlap(pair: Pair) -> list[float]:
    claim, source = (unicode_words(text, pair.language) for text in (pair.claim, pair.source))
    if not claim:
        return [0.0, 0.0, 0.0]
    lengths = fragments(claim, source)
    shares = []
    for n in range(1, min(len(claim), 4) + 1):
        wanted = ngrams(claim, n).keys()
        shares.append(len(wanted & ngrams(source, n).keys()) / len(wanted))
    return [sum(lengths) / len(claim), _mean(shares), math.log1p(sum(n * n for n in lengths) / len(claim))]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
