"""`lookback`: which tokens of a claim the packaged language model reads as made up.

A linear probe on each token: how much of each attention head lies on the source (Chuang et al. 2024, "Lookback Lens"),
the hidden states of two middle layers, and the token's likelihood with the source and without. It was fitted on the
spans that people marked in XSumFaith (`train`), on which it is therefore never reported. A claim is scored by the
riskiest fifth of its tokens, for a summary is mostly right and wrong in a few words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.language_model import DEFAULT_MODEL
from halueval.consistency.lookback.reading import LAYERS, Reader, Reading
from halueval.errors import ModelError
from halueval.schema import canonical_json, sha256_text
from halueval.sentences import sentences

if TYPE_CHECKING:
    import torch

FILE = "lookback.json"
RISKIEST = 0.2
"""Share of a claim's tokens by which it is scored, at least one."""


class Lookback(ConsistencyScorer):
    """One minus the mean risk of the riskiest fifth of a claim's tokens.

    Its weights belong to the packaged language model, so no other can be named.

    Args:
        device: as `--device`.
        dtype: of the language model; float32 gives the same figures on every machine, up to rounding.
    """

    name = "lookback"
    version = 2
    summary = "1 - risk of the riskiest tokens, 0-1: a probe of the embedded model's attention (Chuang et al. 2024)"
    cost = "model"
    languages = frozenset({"en"})
    needs_words = True

    def __init__(self, *, device: str = "auto", dtype: str = "float32") -> None:
        self._reader = Reader(DEFAULT_MODEL, device, dtype)
        self.threshold = float(self._model["threshold"])
        self.threshold_from = str(self._model["threshold_from"])

    @cached_property
    def _model(self) -> dict[str, Any]:
        model: dict[str, Any] = json.loads((files(__package__) / FILE).read_text(encoding="utf-8"))
        if model["layers"] != list(LAYERS):
            raise ModelError(f"{FILE} was fitted on other layers than these; fit it again")
        return model

    def identity(self) -> dict[str, str | int]:
        """With the digests of the coefficients and of the language model, and its precision."""
        return {
            **super().identity(),
            "weights_sha256": sha256_text(canonical_json(self._model)),
            "language_model_sha256": self._reader.digest,
            "dtype": self._reader.dtype,
        }

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair; sentences are scored by their own riskiest tokens."""
        return [
            Verdict.unscored(reading)
            if isinstance(reading, str)
            else _verdict(pair, reading, token_risks(self._model, reading.features))
            for pair, reading in zip(pairs, self._reader.read(pairs, advance), strict=True)
        ]


def token_risks(model: dict[str, Any], features: torch.Tensor) -> list[float]:
    """Probability that each token is made up; shape (tokens, features) to tokens.

    Raises:
        ModelError: the coefficients were fitted on another number of features.
    """
    import torch

    if len(model["coefficients"]) != features.shape[1]:
        raise ModelError(f"{FILE} has {len(model['coefficients'])} coefficients for {features.shape[1]} features")
    weights = torch.tensor(model["coefficients"], dtype=features.dtype, device=features.device)
    found: list[float] = torch.sigmoid(features @ weights + model["intercept"]).tolist()
    return found


def consistency(risks: Sequence[float]) -> float:
    """One minus the mean of the largest fifth, 0-1."""
    riskiest = sorted(risks, reverse=True)[: max(int(len(risks) * RISKIEST), 1)]
    return 1 - sum(riskiest) / len(riskiest)


def _verdict(pair: Pair, reading: Reading, risks: Sequence[float]) -> Verdict:
    scored, at = [], 0
    for sentence in sentences(pair.claim, pair.language):
        begin = pair.claim.index(sentence, at)
        at = begin + len(sentence)
        own = [risk for risk, (first, last) in zip(risks, reading.spans, strict=True) if first < at and last > begin]
        scored.append(
            SentenceScore(sentence, consistency(own)) if own else SentenceScore(sentence, None, "no token of its own")
        )
    return Verdict(consistency(risks), sentences=tuple(scored), truncated=reading.truncated)
