"""`lite`: a learnt combination of the cheap scorers, a few kB of coefficients, fifty pairs a second on a CPU.

A logistic regression on what `features` sees, fitted on synthetic errors only (`synthetic`, `train`). Where it holds
and where it does not: docs/scorers.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.lite.features import NAMES, features
from halueval.errors import ModelError
from halueval.schema import canonical_json, sha256_text

FILE = "lite.json"
PAIRS_AT_ONCE = 32


class Lite(ConsistencyScorer):
    """Probability that a claim is consistent with its source.

    Args:
        device: of the sentence encoder, as `--device`.
        dtype: of the sentence encoder, as `--dtype`.
    """

    name = "lite"
    version = 2
    summary = "probability that the claim follows, 0-1: a learnt combination of the cheap figures (docs/scorers.md)"
    cost = "model"
    languages = frozenset({"en"})
    needs_words = True

    def __init__(self, *, device: str = "auto", dtype: str = "auto") -> None:
        self._encoder = SentenceEncoder(device=device, dtype=dtype)
        self.threshold = float(self._model["threshold"])
        self.threshold_from = str(self._model["threshold_from"])

    @cached_property
    def _model(self) -> dict[str, Any]:
        model: dict[str, Any] = json.loads((files(__package__) / FILE).read_text(encoding="utf-8"))
        if tuple(model["features"]) != NAMES:
            raise ModelError(f"{FILE} was fitted on other features than these; fit it again")
        return model

    def identity(self) -> dict[str, str | int]:
        """With the digests of the coefficients and of the encoder, and its precision."""
        coefficients = sha256_text(canonical_json(self._model))
        encoder = {"encoder_sha256": self._encoder.digest, "dtype": self._encoder.dtype}
        return {**super().identity(), "weights_sha256": coefficients, **encoder}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair; the details are the features."""
        out = []
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            table = features(part, self._encoder)
            for row, value in zip(table, probabilities(self._model, table), strict=True):
                out.append(Verdict(float(value), details=dict(zip(NAMES, map(float, row), strict=True))))
            advance(len(part))
        return out


def probabilities(model: dict[str, Any], table: Any) -> Any:
    """From features to probabilities; shape (n, features) to (n,)."""
    scaled = (table - np.array(model["mean"])) / np.array(model["scale"])
    margins = scaled @ np.array(model["coefficients"]) + model["intercept"]
    known = model["calibration"]
    return np.interp(margins, known["margins"], known["probabilities"])
