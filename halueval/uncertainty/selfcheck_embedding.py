"""SelfCheckGPT by embeddings: how near an answer's sentences come to those of further draws (Manakul et al. 2023).

Of a sentence: 1 - mean over draws of its highest similarity to any of the draw's sentences. The paper's similarity is
BERTScore with RoBERTa-large; here it is the cosine of two sentence vectors, by whatever encoder is given, so the
figures do not compare with the paper's. The paper leaves out sentences of up to three tokens, which short answers
consist of; here none is. Higher is less certain, in [0, 2].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from halueval.text import split_sentences

Encode = Callable[[Sequence[str]], NDArray[np.floating]]
"""Texts to vectors of length one, shape (texts, size)."""


def selfcheck_embedding(
    sentences: Sequence[str], draws: Sequence[str], encode: Encode, *, language: str = "en"
) -> tuple[float, ...]:
    """Score each sentence of an answer against the draws.

    Args:
        sentences: of the answer, none of them empty.
        draws: further answers to the same question; empty ones say nothing and are left out.
        encode: called once, with every text.
        language: tag of the texts, for the split into sentences.

    Raises:
        ValueError: no sentence, or no draw that holds something.
    """
    parts = [found for draw in draws if (found := split_sentences(draw, language))]
    if not sentences or not parts:
        raise ValueError("nothing to compare: no sentence, or no draw that holds something")
    texts = list(dict.fromkeys([*sentences, *(text for part in parts for text in part)]))
    vectors = np.asarray(encode(texts), dtype=np.float64)
    place = {text: i for i, text in enumerate(texts)}
    own = vectors[[place[text] for text in sentences]]
    nearest = [(own @ vectors[[place[text] for text in part]].T).max(axis=1) for part in parts]
    return tuple(float(1 - value) for value in np.mean(nearest, axis=0))
