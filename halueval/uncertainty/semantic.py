"""Semantic entropy: entropy over the meanings of draws, not their wordings (Kuhn et al. 2023; Farquhar et al. 2024).

Draws are clustered one after another: a draw joins the first cluster whose *first member* it is equivalent to, or opens
one (Kuhn et al., algorithm 1). Where equivalence is not transitive, clusters depend on the order of the draws; in the
authors' later script (jlko/semantic_uncertainty) such a draw goes to the last cluster instead.

With C the clusters and ℓ_i the length-normalised log-likelihood (mean per token) of draw i:

- likelihood form: p(c) = Σ_{i in c} exp ℓ_i / Σ_i exp ℓ_i, entropy -Σ_c p(c) log p(c), as in the authors' script.
- discrete form: p(c) = share of the draws in c.
- predictive entropy, which knows no meanings: the mean of -ℓ_i.

In nats; higher is less certain; the first two lie between 0 and log of the number of draws.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from halueval.text import normalize_answer
from halueval.uncertainty.selfcheck_embedding import Encode

Equivalent = Callable[[str, Sequence[str]], Sequence[bool]]
"""A cluster's first member and further draws: which of these mean the same."""

Entails = Callable[[Sequence[tuple[str, str]]], Sequence[bool]]
"""Pairs (premise, hypothesis): whether entailment is the likeliest class."""


def cluster(draws: Sequence[str], equivalent: Equivalent) -> list[int]:
    """The cluster of each draw, numbered in the order of their first members.

    Draws that are equal as texts are one without asking.
    """
    texts = list(dict.fromkeys(draws))
    found: dict[str, int] = {}
    number = 0
    while texts:
        first, rest = texts[0], texts[1:]
        alike = equivalent(first, rest) if rest else ()
        found[first] = number
        found.update((text, number) for text, same in zip(rest, alike, strict=True) if same)
        texts = [text for text in rest if text not in found]
        number += 1
    return [found[draw] for draw in draws]


def by_entailment(entails: Entails, question: str) -> Equivalent:
    """Strict bidirectional entailment, the question put before both texts (Farquhar et al. 2024)."""

    def equivalent(first: str, others: Sequence[str]) -> list[bool]:
        texts = [f"{question} {other}" for other in others]
        head = f"{question} {first}"
        forth = entails([(head, text) for text in texts])
        back = entails([(text, head) for text in texts])
        return [a and b for a, b in zip(forth, back, strict=True)]

    return equivalent


def by_cosine(encode: Encode, threshold: float) -> Equivalent:
    """Cosine of two sentence vectors, at least `threshold`: a stand-in where no inference model is to be had."""

    def equivalent(first: str, others: Sequence[str]) -> list[bool]:
        vectors = np.asarray(encode([first, *others]), dtype=np.float64)
        return [bool(value >= threshold) for value in vectors[1:] @ vectors[0]]

    return equivalent


def by_exact_match(language: str = "en") -> Equivalent:
    """Equal after the normalisation by which answers are compared with references."""

    def equivalent(first: str, others: Sequence[str]) -> list[bool]:
        wanted = normalize_answer(first, language)
        return [normalize_answer(other, language) == wanted for other in others]

    return equivalent


def discrete_semantic_entropy(clusters: Sequence[int]) -> float:
    """Entropy of the shares of draws.

    Raises:
        ValueError: no draws.
    """
    if not clusters:
        raise ValueError("no draws")
    n = len(clusters)
    return math.fsum(count / n * math.log(n / count) for count in Counter(clusters).values())


def semantic_entropy(clusters: Sequence[int], token_logprobs: Sequence[float]) -> float:
    """Entropy of the shares of likelihood.

    Args:
        clusters: of each draw.
        token_logprobs: of each draw the mean log-probability of its tokens.

    Raises:
        ValueError: no draws, different lengths, or a log-probability that is not finite.
    """
    _check(token_logprobs)
    if len(clusters) != len(token_logprobs):
        raise ValueError(f"{len(clusters)} clusters and {len(token_logprobs)} log-probabilities")
    top = max(token_logprobs)
    weights: dict[int, list[float]] = {}
    for number, value in zip(clusters, token_logprobs, strict=True):
        weights.setdefault(number, []).append(math.exp(value - top))
    sums = sorted(math.fsum(part) for part in weights.values())
    total = math.fsum(sums)
    return math.fsum(part / total * math.log(total / part) for part in sums if part)


def predictive_entropy(token_logprobs: Sequence[float]) -> float:
    """Mean of -ℓ_i: the length-normalised predictive entropy that semantic entropy is held against.

    Raises:
        ValueError: no draws, or a log-probability that is not finite.
    """
    _check(token_logprobs)
    return -math.fsum(token_logprobs) / len(token_logprobs) + 0.0


def _check(token_logprobs: Sequence[float]) -> None:
    if not token_logprobs or not all(map(math.isfinite, token_logprobs)):
        raise ValueError("draws need a finite log-probability each, and there must be one")
