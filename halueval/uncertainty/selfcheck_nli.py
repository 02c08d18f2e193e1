"""SelfCheckGPT by inference: how probable it is that further draws contradict an answer (Manakul et al. 2023).

Of a sentence: the mean over draws of P(contradiction), which the given model makes of the two classes entailment and
contradiction alone. Pairs are (sentence, draw), in the authors' order. Higher is less certain, in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Contradiction = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""Pairs (sentence of the answer, whole draw) to P(contradiction) / (P(contradiction) + P(entailment))."""


def selfcheck_nli(sentences: Sequence[str], draws: Sequence[str], contradiction: Contradiction) -> tuple[float, ...]:
    """Score each sentence of an answer against the draws.

    Args:
        sentences: of the answer, none of them empty.
        draws: further answers to the same question; empty ones say nothing and are left out.
        contradiction: called once, with every distinct pair.

    Raises:
        ValueError: no sentence, no draw that holds something, or a probability outside [0, 1].
    """
    said = [draw for draw in draws if draw.strip()]
    if not sentences or not said:
        raise ValueError("nothing to compare: no sentence, or no draw that holds something")
    pairs = list(dict.fromkeys((sentence, draw) for sentence in sentences for draw in said))
    found = dict(zip(pairs, contradiction(pairs), strict=True))
    for pair, value in found.items():
        if not 0 <= value <= 1:
            raise ValueError(f"P(contradiction) of {pair[0][:40]!r} is {value}; it must be in [0, 1]")
    return tuple(math.fsum(found[sentence, draw] for draw in said) / len(said) for sentence in sentences)
