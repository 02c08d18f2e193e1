"""Encoders with a classification head."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from halueval.backends.base import Advance, Batch
from halueval.backends.texts import Texts
from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget, Cost, plan_batches
from halueval.engine.memory import run_halving
from halueval.schema import ClassificationRequest, ClassificationResponse, Request, Response


class Classifier:
    """Plans and runs requests of a model with a classification head.

    Args:
        model: the model.
        texts: its tokenizer.
    """

    def __init__(self, model: Any, texts: Texts) -> None:
        self.model, self.texts = model, texts

    def plan(self, requests: Sequence[Request], budget: Budget) -> list[Batch]:
        """Batches by length, longest first."""
        asked = [request for request in requests if isinstance(request, ClassificationRequest)]
        assert len(asked) == len(requests)
        costs = [Cost(len(self.texts.classified(request)[0]["input_ids"]), 1) for request in asked]
        return [
            Batch(tuple(part), tuple(asked[i] for i in part), sum(costs[i].tokens for i in part))
            for part in plan_batches(costs, budget)
        ]

    def run(self, batch: Batch, accounting: Accounting, advance: Advance) -> list[Response]:
        """Answer the requests of a batch; out-of-memory halves it and goes on."""
        run = partial(self._classify, accounting=accounting)
        responses: list[Response] = list(run_halving(run, batch.requests, self.model.device))
        advance(len(responses))
        return responses

    def _classify(self, requests: Sequence[ClassificationRequest], *, accounting: Accounting) -> list[Response]:
        import torch

        encoded = [self.texts.classified(request) for request in requests]
        batch = self.texts.tokenizer.pad([ids for ids, _ in encoded], return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            logprobs = self.model(**batch).logits.float().log_softmax(-1).tolist()
        real = sum(len(ids["input_ids"]) for ids, _ in encoded)
        accounting.forward_passes += 1
        accounting.tokens_computed += real
        accounting.tokens_padding += int(batch["input_ids"].numel()) - real
        names = self.model.config.id2label
        return [
            ClassificationResponse({str(names[i]): value for i, value in enumerate(row)}, len(ids["input_ids"]), cut)
            for row, (ids, cut) in zip(logprobs, encoded, strict=True)
        ]
