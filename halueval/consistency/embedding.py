"""Sentence-embedding support: how near the nearest sentence of the source is to each sentence of the claim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.encoder import SentenceEncoder
from halueval.sentences import sentences as split

PAIRS_AT_ONCE = 32


class Embedding(ConsistencyScorer):
    """Mean over the claim's sentences of the largest cosine to a sentence of the source.

    A sentence beyond the encoder's 256 tokens loses its end: of the source's it counts as truncated, of the claim's as
    `claim_tokens_unseen` in the details.

    Args:
        model: directory of another encoder; None for the packaged one.
        device: as `--device`.
        dtype: as `--dtype`.
    """

    name = "embedding"
    summary = "largest cosine of each sentence to one of the source, mean over sentences, -1 to 1 (all-MiniLM-L6-v2)"
    cost = "model"

    def __init__(self, *, model: str | None = None, device: str = "auto", dtype: str = "auto") -> None:
        self._encoder = SentenceEncoder(model, device=device, dtype=dtype)

    def identity(self) -> dict[str, str | int]:
        """With the digests of the encoder's files, and its precision."""
        return {**super().identity(), **self._encoder.identity()}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair, with each sentence's own value."""
        out = []
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            parts = [[split(text, p.language) for text in (p.claim, p.source)] for p in part]
            vectors = self._encoder.encode([text for sides in parts for side in sides for text in side])
            at = 0
            for claim, source in parts:
                mine = vectors[at : at + len(claim)]
                theirs = vectors[at + len(claim) : at + len(claim) + len(source)]
                at += len(claim) + len(source)
                best = (mine @ theirs.T).max(axis=1)
                sentences = tuple(SentenceScore(text, float(v)) for text, v in zip(claim, best, strict=True))
                cut, unseen = (sum(map(self._encoder.cut, texts)) for texts in (source, claim))
                details = {"minimum": float(best.min())} | ({"claim_tokens_unseen": float(unseen)} if unseen else {})
                out.append(Verdict(float(np.mean(best)), sentences=sentences, truncated=cut, details=details))
            advance(len(part))
        return out
