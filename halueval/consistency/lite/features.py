"""What `lite` looks at: how a claim's words, names, numbers, word pairs and vectors stand in its source.

Each sentence of the claim is held against the whole source and against the few sentences of it that are nearest in
words, of which the very nearest are encoded; a claim is described by the mean and the worst of its sentences. The
larger a feature, the better is the claim supported. Missing entities or numbers count as supported: there is nothing to
be wrong about.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from halueval.consistency.base import Pair
from halueval.consistency.encoder import SentenceEncoder, Vectors
from halueval.consistency.extractiveness import fragments
from halueval.scorers.entities import Support, find_entities
from halueval.sentences import sentences
from halueval.text import unicode_words

NEAREST = 4
"""Sentences of the source whose words a sentence of the claim is held against."""
NEAREST_VECTORS = 1
"""Of these, those whose vectors it is held against: nearly all of the time goes into encoding them."""
NEAR = 8
"""Words within which two content words of the claim should stand in the source too."""
LONGEST_CLAIM = 40
"""Sentences of a claim that are looked at."""

_STOP_WORDS = (
    "a an the this that these those i you he she it we they me him her us them my your his its our their mine yours "
    "ours theirs myself himself herself itself themselves who whom whose which what where when why how is am are was "
    "were be been being do does did doing have has had having will would shall should can could may might must of in "
    "on at by for from to with about into over after before between under again than then there here and or but if "
    "because as until while so too very just also s t re ve ll d m not no nor only own same both each few more most "
    "other some such all any said says say"
)
_STOP = frozenset(_STOP_WORDS.split())
_NEGATION = re.compile(r"\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without)\b|n['’]t\b|[不没未无]")
_PRONOUNS = {"he": "m", "him": "m", "his": "m", "himself": "m", "she": "f", "her": "f", "hers": "f", "herself": "f"}
_PRONOUNS |= dict.fromkeys(("they", "them", "their", "themselves"), "p") | dict.fromkeys(("we", "us", "our"), "w")
_SUFFIX = re.compile(r"(?:'s|’s|ings?|edly|ed|ies|es|s|ly)$")

OF_SENTENCE = (
    "content_in_source",
    "content_nearby",
    "content_in_nearest",
    "bigrams",
    "trigrams",
    "content_pairs",
    "entities",
    "entities_nearby",
    "numbers",
    "numbers_nearby",
    "negation_agrees",
    "pronouns_nearby",
    "longest_fragment",
    "cosine",
    "token_match",
    "token_match_worst",
)
NAMES = (*(f"{name}_mean" for name in OF_SENTENCE), *(f"{name}_worst" for name in OF_SENTENCE))
"""Names of the features, in order."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence, its words, and of those that are no stop words the stem and the place."""

    text: str
    words: list[str]
    content: list[str]
    places: list[int]

    @classmethod
    def of(cls, text: str, language: str) -> _Sentence:
        words = unicode_words(text, language)
        places = [i for i, word in enumerate(words) if word not in _STOP]
        return cls(text, words, [stem(words[i]) for i in places], places)


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A word without a common English ending, so that "visited" meets "visit"; short words stay."""
    return _SUFFIX.sub("", word) if len(word) > 4 and word.isascii() else word


def is_stop_word(word: str) -> bool:
    """Whether a lower-cased word says nothing of a text's matter."""
    return word in _STOP


class _Source:
    """A source's sentences, and what of them is looked up again and again."""

    def __init__(self, pair: Pair) -> None:
        self.language, self.text = pair.language, pair.source
        self.sentences = [_Sentence.of(text, pair.language) for text in sentences(pair.source, pair.language)]
        self.words = [word for sentence in self.sentences for word in sentence.words]
        self.contents = [frozenset(sentence.content) for sentence in self.sentences]
        self.ngrams = {n: frozenset(_ngrams(self.words, n)) for n in (2, 3)}
        self.support = Support(pair.source, pair.language)
        self.held = Counter(word for content in self.contents for word in content)
        self.places: dict[str, list[int]] = {}
        """Where in the source each stem stands, in order."""
        before = 0
        for sentence in self.sentences:
            for word, place in zip(sentence.content, sentence.places, strict=True):
                self.places.setdefault(word, []).append(before + place)
            before += len(sentence.words)

    def nearest(self, claim: _Sentence) -> list[_Sentence]:
        """The sentences that share most with one of the claim, rare words counting more; best first."""
        count = len(self.sentences)
        weights = {word: math.log(1 + count / self.held[word]) for word in claim.content if word in self.held}
        overlap = [math.fsum(weights[word] for word in weights.keys() & content) for content in self.contents]
        order = sorted(range(len(overlap)), key=lambda i: (-overlap[i], i))
        return [self.sentences[i] for i in order[:NEAREST]]

    def stand_near(self, first: str, second: str) -> bool:
        """Whether two words stand within a few words of each other somewhere."""
        there = self.places.get(second, ())
        for place in self.places.get(first, ()):
            at = bisect_left(there, place - NEAR)
            if at < len(there) and there[at] <= place + NEAR:
                return True
        return False


@dataclass(frozen=True, slots=True)
class ClaimTable:
    """What is seen of a claim.

    Attributes:
        sentences: those that were looked at, `LONGEST_CLAIM` at most.
        values: shape (sentences, len(OF_SENTENCE)).
        unseen: further sentences of the claim.
        truncated: tokens of the source's sentences that the encoder did not see.
        claim_truncated: tokens of the claim's.
    """

    sentences: tuple[str, ...]
    values: NDArray[np.float64]
    unseen: int = 0
    truncated: int = 0
    claim_truncated: int = 0

    def features(self) -> NDArray[np.float64]:
        """Mean and worst of the sentences; shape (len(NAMES),)."""
        return np.concatenate([self.values.mean(axis=0), self.values.min(axis=0)])

    def of_sentences(self) -> NDArray[np.float64]:
        """Features of each sentence as of a claim of its own; shape (sentences, len(NAMES))."""
        return np.hstack([self.values, self.values])


def features(pairs: Sequence[Pair], encoder: SentenceEncoder, *, encoded: int = NEAREST_VECTORS) -> NDArray[np.float64]:
    """Features of pairs; shape (len(pairs), len(NAMES)). See `tables`."""
    return np.array([table.features() for table in tables(pairs, encoder, encoded=encoded)])


def tables(pairs: Sequence[Pair], encoder: SentenceEncoder, *, encoded: int = NEAREST_VECTORS) -> list[ClaimTable]:
    """What is seen of each pair.

    Args:
        pairs: with a source and a claim that hold something.
        encoder: for the vectors of sentences and tokens.
        encoded: nearest sentences of the source whose vectors a sentence of the claim is held against, up to
            `NEAREST`.
    """
    known = {(pair.source, pair.language): pair for pair in pairs}
    sources = {key: _Source(pair) for key, pair in known.items()}
    todo = [(pair, sources[pair.source, pair.language]) for pair in pairs]
    whole = [sentences(pair.claim, pair.language) for pair in pairs]
    claims = [
        [_Sentence.of(text, pair.language) for text in texts[:LONGEST_CLAIM]]
        for pair, texts in zip(pairs, whole, strict=True)
    ]
    near = [[source.nearest(s) for s in claim] for (_, source), claim in zip(todo, claims, strict=True)]
    texts = list(
        dict.fromkeys(
            text
            for claim, chosen in zip(claims, near, strict=True)
            for sentence, nearest in zip(claim, chosen, strict=True)
            for text in (sentence.text, *(other.text for other in nearest[:encoded]))
        )
    )
    vectors = dict(zip(texts, encoder.tokens(texts), strict=True))
    out = []
    for (_, source), claim, chosen, all_of_it in zip(todo, claims, near, whole, strict=True):
        held = {sentence.text for nearest in chosen for sentence in nearest[:encoded]}
        out.append(
            ClaimTable(
                tuple(sentence.text for sentence in claim),
                np.array([_sentence(s, n, source, vectors, encoded) for s, n in zip(claim, chosen, strict=True)]),
                len(all_of_it) - len(claim),
                sum(map(encoder.cut, held)),
                sum(encoder.cut(sentence.text) for sentence in claim),
            )
        )
    return out


def _sentence(
    claim: _Sentence, nearest: Sequence[_Sentence], source: _Source, vectors: dict[str, Vectors], encoded: int
) -> list[float]:
    nearby = frozenset(word for sentence in nearest for word in sentence.content)
    first = frozenset(nearest[0].content) if nearest else frozenset()
    nearby_text = "\n".join(sentence.text for sentence in nearest)
    entities = find_entities(claim.text, source.language, source.text)
    numbers = [entity for entity in entities if entity.kind in ("number", "date")]
    names = [entity for entity in entities if entity.kind not in ("number", "date")]
    near_support = Support(nearby_text, source.language)
    negated = bool(_NEGATION.search(claim.text.lower()))
    near_words = [word for sentence in nearest for word in sentence.words]
    mine = {_PRONOUNS[word] for word in claim.words if word in _PRONOUNS}
    theirs = {_PRONOUNS[word] for word in near_words if word in _PRONOUNS}
    pairs = list(zip(claim.content, claim.content[1:], strict=False))
    copied = fragments(claim.words, near_words)
    cosine, match, worst = _similarity(claim, nearest[:encoded], vectors)
    return [
        _share([word in source.places for word in claim.content]),
        _share([word in nearby for word in claim.content]),
        _share([word in first for word in claim.content]),
        _share([ngram in source.ngrams[2] for ngram in _ngrams(claim.words, 2)]),
        _share([ngram in source.ngrams[3] for ngram in _ngrams(claim.words, 3)]),
        _share([source.stand_near(*pair) for pair in pairs]),
        _share([source.support.has(entity) for entity in names]),
        _share([near_support.has(entity) for entity in names]),
        _share([source.support.has(entity) for entity in numbers]),
        _share([near_support.has(entity) for entity in numbers]),
        float(not nearest or negated == bool(_NEGATION.search(nearest[0].text.lower()))),
        float(mine <= theirs),
        max(copied, default=0) / max(len(claim.words), 1),
        cosine,
        match,
        worst,
    ]


def _ngrams(words: Sequence[str], n: int) -> list[str]:
    """Runs of n words, joined by spaces: strings, unlike tuples, give the garbage collector nothing to look through."""
    return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found) if found else 1.0


def _similarity(
    claim: _Sentence, nearest: Sequence[_Sentence], vectors: dict[str, Vectors]
) -> tuple[float, float, float]:
    """Best cosine of whole sentences, and mean and least best cosine of the claim's tokens (BERTScore's precision)."""
    mine = vectors[claim.text]
    theirs = [vectors[sentence.text] for sentence in nearest]
    theirs = [tokens for tokens in theirs if len(tokens)]
    if not len(mine) or not theirs:
        return 0.0, 0.0, 0.0
    own = _unit(mine.mean(axis=0))
    cosine = max(float(own @ _unit(tokens.mean(axis=0))) for tokens in theirs)
    # Not by BLAS: its threads cost more than so small a product, and much more where other processes want the cores.
    best = np.einsum("ik,jk->ij", mine, np.concatenate(theirs)).max(axis=1)
    return cosine, float(best.mean()), float(best.min())


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
