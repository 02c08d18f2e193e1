"""`lite`: a learnt combination of the cheap scorers, a few kB of coefficients, tens of pairs a second on a CPU.

A logistic regression on what `features` sees, fitted on synthetic errors only (`synthetic`, `train`). Where it holds
and where it does not: docs/scorers.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from halueval.consistency.base import NO_WORD, Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.coefficients import margins, read_coefficients
from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.lite.features import NAMES, ClaimTable, tables
from halueval.schema import canonical_json, sha256_text
from halueval.text import unicode_words

FILE = "lite.json"
PAIRS_AT_ONCE = 64
BATCH_TOKENS = 1024
"""So few that the sentences of a batch are nearly of one length: of batches of 4,096 a third was padding."""


class Lite(ConsistencyScorer):
    """Probability that a claim is consistent with its source.

    Args:
        device: of the sentence encoder, as `--device`.
        dtype: of the sentence encoder, as `--dtype`.
    """

    name = "lite"
    version = 3
    summary = "probability that the claim follows, 0-1: a learnt combination of the cheap figures (docs/scorers.md)"
    cost = "model"
    languages = frozenset({"en"})
    needs_words = True

    def __init__(self, *, device: str = "auto", dtype: str = "auto") -> None:
        self._encoder = SentenceEncoder(device=device, dtype=dtype, batch_tokens=BATCH_TOKENS)
        self.threshold = float(self._model["threshold"])
        self.threshold_from = str(self._model["threshold_from"])

    @cached_property
    def _model(self) -> dict[str, Any]:
        return read_coefficients(__name__, FILE, NAMES)

    def identity(self) -> dict[str, str | int]:
        """With the digests of the coefficients and of the encoder, and its precision."""
        coefficients = sha256_text(canonical_json(self._model))
        encoder = {"encoder_sha256": self._encoder.digest, "dtype": self._encoder.dtype}
        return {**super().identity(), "weights_sha256": coefficients, **encoder}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair, and for each sentence as if it were the whole claim; the details are the features.

        Sentences of a claim beyond the fortieth are not looked at (`claim_sentences_unseen` in the details). Of a
        sentence beyond the encoder's 256 tokens its vectors are not seen: of the source's that counts as truncated, of
        the claim's as `claim_tokens_unseen`.
        """
        out = []
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            found = tables(part, self._encoder)
            values = probabilities(self._model, np.array([table.features() for table in found]))
            for pair, table, value in zip(part, found, values, strict=True):
                sentences = self._sentences(pair, table)
                out.append(Verdict(float(value), None, sentences, table.truncated, details(table)))
            advance(len(part))
        return out

    def _sentences(self, pair: Pair, table: ClaimTable) -> tuple[SentenceScore, ...]:
        values = probabilities(self._model, table.of_sentences())
        found = []
        for text, value in zip(table.sentences, values, strict=True):
            wordless = not unicode_words(text, pair.language)
            found.append(SentenceScore(text, None, NO_WORD) if wordless else SentenceScore(text, float(value)))
        return tuple(found)


def details(table: ClaimTable) -> dict[str, float]:
    """The features by name, and how much of the claim was not looked at, where that is anything."""
    unseen = {"claim_sentences_unseen": table.unseen, "claim_tokens_unseen": table.claim_truncated}
    return dict(zip(NAMES, map(float, table.features()), strict=True)) | {k: float(v) for k, v in unseen.items() if v}


def probabilities(model: dict[str, Any], table: Any) -> Any:
    """From features to probabilities; shape (n, features) to (n,)."""
    known = model["calibration"]
    return np.interp(margins(model, table), known["margins"], known["probabilities"])
