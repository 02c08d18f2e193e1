"""`lite_lm`: features of `lite` and what the packaged language model says of each word, weighed by people's judgements.

A logistic regression with weights that are never negative, fitted on annotated sets on which it is therefore never
reported (`train`). It sees whether the source makes a claim's words likelier than they were, which overlap cannot: a
paraphrase is, an exchanged word is not. What it costs is a pass of the model over source and claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.consistency.coefficients import margins, read_coefficients
from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.language_model import DEFAULT_MODEL, shared_model
from halueval.consistency.lite.features import LONGEST_CLAIM
from halueval.consistency.lite_lm.features import NAMES, WordTable, features
from halueval.consistency.lite_lm.reading import read_words
from halueval.schema import canonical_json, sha256_text
from halueval.sentences import sentences

FILE = "lite_lm.json"
PAIRS_AT_ONCE = 256


class LiteLM(ConsistencyScorer):
    """Probability that a claim is consistent with its source, from words, vectors and likelihoods.

    Its weights belong to the packaged language model, so no other can be named.

    Args:
        device: of both models, as `--device`.
        dtype: of the language model, as `--dtype`.
    """

    name = "lite_lm"
    version = 3
    summary = "probability that the claim follows, 0-1: `lite` with what the embedded language model says of each word"
    cost = "model"
    languages = frozenset({"en"})
    needs_words = True

    def __init__(self, *, device: str = "auto", dtype: str = "auto") -> None:
        self._encoder = SentenceEncoder(device=device)
        self._lm = shared_model(DEFAULT_MODEL, device, dtype)
        self.threshold = float(self._model["threshold"])
        self.threshold_from = str(self._model["threshold_from"])

    @cached_property
    def _model(self) -> dict[str, Any]:
        return read_coefficients(__name__, FILE, NAMES)

    def identity(self) -> dict[str, str | int]:
        """With the digests of the coefficients and of both models, and the precision of the language model."""
        return {
            **super().identity(),
            "weights_sha256": sha256_text(canonical_json(self._model)),
            "encoder_sha256": self._encoder.digest,
            "language_model_sha256": self._lm.digest,
            "dtype": self._lm.dtype,
        }

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair; the details are the features."""
        out: list[Verdict] = []
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            tables = read_words(self._lm, part)
            known = [i for i, table in enumerate(tables) if isinstance(table, WordTable)]
            found = [table for table in tables if isinstance(table, WordTable)]
            rows = features([part[i] for i in known], found, self._encoder) if known else np.zeros((0, len(NAMES)))
            by_pair = dict(zip(known, rows, strict=True))
            values = dict(zip(known, probabilities(self._model, rows), strict=True))
            for i, table in enumerate(tables):
                if isinstance(table, WordTable):
                    details = dict(zip(NAMES, map(float, by_pair[i]), strict=True)) | _unseen(part[i])
                    out.append(Verdict(float(values[i]), truncated=table.truncated, details=details))
                else:
                    out.append(Verdict.unscored(table))
            advance(len(part))
        return out


def _unseen(pair: Pair) -> dict[str, float]:
    """Sentences of a claim that the features of `lite` leave out, where there are any."""
    beyond = len(sentences(pair.claim, pair.language)) - LONGEST_CLAIM
    return {"claim_sentences_unseen": float(beyond)} if beyond > 0 else {}


def probabilities(model: dict[str, Any], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """From features to probabilities; shape (n, features) to (n,)."""
    found: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(margins(model, table), -500, 500)))
    return found
