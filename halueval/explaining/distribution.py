"""Texts of training data and task drawn to a size that permutations can bear, and their distances."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from halueval.explaining.embedding import embedding_distances, no_embedding
from halueval.explaining.lexical import lexical_distances, no_lexical
from halueval.explaining.likelihood import no_nll
from halueval.explaining.record import Measure
from halueval.text import unicode_words

MAX_TEXTS = 500
"""Most texts a side: 500 permutations of 1,000 x 1,000 distances take about a second."""

T = TypeVar("T")
Encode = Callable[[Sequence[str]], NDArray[np.float32]]


def draw(texts: Sequence[T], seed: int, most: int = MAX_TEXTS) -> list[T]:
    """At most so many, by a seeded draw, in their order."""
    if len(texts) <= most:
        return list(texts)
    chosen = random.Random(seed).sample(range(len(texts)), most)  # noqa: S311  (reproducible draw, no secret)
    return [texts[i] for i in sorted(chosen)]


def distribution(
    training: Sequence[str], task: Sequence[str], language: str, encode: Encode | str, *, n_permutations: int, seed: int
) -> dict[str, Measure]:
    """Distances of words and of embeddings.

    Args:
        training: texts, already drawn.
        task: texts, already drawn.
        language: of the task.
        encode: texts to vectors; a text where there is no encoder, which is the reason.
        n_permutations: draws of each null.
        seed: of all draws.
    """
    words, theirs = ([unicode_words(text, language) for text in texts] for texts in (training, task))
    measures = lexical_distances(words, theirs, n_permutations=n_permutations, seed=seed)
    if isinstance(encode, str):
        return {**measures, **no_embedding(encode)}
    left, right = (encode(list(texts)).astype(np.float64) for texts in (training, task))
    return {**measures, **embedding_distances(left, right, n_permutations=n_permutations, seed=seed)}


def no_distribution(reason: str) -> dict[str, Measure]:
    """The same measures and those of likelihood, not taken."""
    return {**no_lexical(reason), **no_embedding(reason), **no_nll(reason)}
