"""Decoders that cannot be given masks of trees: rows of like length, padded side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from halueval.backends.base import Advance, Batch
from halueval.backends.texts import Texts, attempt
from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget, Cost, plan_batches
from halueval.engine.decoding import open_stream
from halueval.engine.encoding import Row
from halueval.engine.generation import generate_padded
from halueval.engine.loglikelihood import TokenScores, response_of, score_decoder_rows
from halueval.engine.memory import run_halving
from halueval.engine.rules import TokenRules
from halueval.engine.utilisation import ModelCost
from halueval.schema import (
    FailedResponse,
    GenerationRequest,
    LoglikelihoodRequest,
    Request,
    Response,
    RollingRequest,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Padded:
    """Plans and runs requests of a causal model by length.

    Args:
        model: the model.
        texts: its tokenizer.
    """

    def __init__(self, model: PreTrainedModel, texts: Texts) -> None:
        self.model, self.texts = model, texts
        self.rules = TokenRules.of(model.generation_config)
        self.cost = ModelCost.of(model)

    def plan(self, requests: Sequence[Request], budget: Budget) -> list[Batch]:
        """Batches of one type, longest first."""
        out = []
        for kind in (LoglikelihoodRequest, RollingRequest, GenerationRequest):
            indices = [i for i, request in enumerate(requests) if isinstance(request, kind)]
            costs = [self._cost(requests[i]) for i in indices]
            for part in plan_batches(costs, budget):
                mine = tuple(indices[k] for k in part)
                tokens = sum(costs[k].tokens for k in part)
                out.append(Batch(mine, tuple(requests[i] for i in mine), tokens, budget))
        return out

    def _rows(self, request: Request) -> list[Row] | FailedResponse:
        if isinstance(request, RollingRequest):
            rows: list[Row] | FailedResponse = attempt(self.texts.windows, request)
            return rows
        make = self.texts.prompt if isinstance(request, GenerationRequest) else self.texts.row
        row = attempt(make, request)
        return row if isinstance(row, FailedResponse) else [row]

    def _cost(self, request: Request) -> Cost:
        rows = self._rows(request)
        if isinstance(rows, FailedResponse):
            return Cost(0, 0)
        new = request.max_new_tokens if isinstance(request, GenerationRequest) else 0
        return Cost(sum(len(row.ids) for row in rows) + new, sum(max(row.num_scored, 1) for row in rows))

    def run(self, batch: Batch, accounting: Accounting, advance: Advance) -> list[Response]:
        """Answer the requests of a batch; out-of-memory halves it and goes on."""
        if isinstance(batch.requests[0], GenerationRequest):
            run = partial(self._generate, accounting=accounting)
            responses: list[Response] = list(run_halving(run, batch.requests, self.model.device))
        else:
            responses = self._score(batch.requests, budget=batch.work, accounting=accounting)
        advance(len(responses))
        return responses

    def _score(self, requests: Sequence[Request], *, budget: Budget, accounting: Accounting) -> list[Response]:
        """Rows of all requests together, packed by length; each request's are added up."""
        mine = [self._rows(request) for request in requests]
        flat = [(i, row) for i, rows in enumerate(mine) if not isinstance(rows, FailedResponse) for row in rows]
        parts: list[list[TokenScores]] = [[] for _ in requests]
        failed: dict[int, FailedResponse] = {}
        for part in plan_batches([Cost(len(row.ids), row.num_scored) for _, row in flat], budget):
            rows = [flat[k][1] for k in part]
            run: Any = partial(score_decoder_rows, self.model, pad=self.texts.pad, accounting=accounting)
            for k, score in zip(part, run_halving(run, rows, self.model.device), strict=True):
                owner = flat[k][0]
                if isinstance(score, FailedResponse):
                    failed[owner] = score
                else:
                    parts[owner].append(score)
            fed = [len(row.fed) for row in rows]
            pairs, scored = sum(n * (n + 1) // 2 for n in fed), sum(row.num_scored for row in rows)
            accounting.flops += self.cost.flops(sum(fed), pairs, scored)
        return [
            rows
            if isinstance(rows, FailedResponse)
            else failed.get(i) or response_of(parts[i], sum(row.num_truncated for row in rows))
            for i, rows in enumerate(mine)
        ]

    def _generate(self, requests: Sequence[GenerationRequest], *, accounting: Accounting) -> list[Response]:
        made: list[Any] = [attempt(self.texts.prompt, request) for request in requests]
        prompts = [row for row in made if not isinstance(row, FailedResponse)]
        streams = [open_stream(i, r) for i, r in enumerate(requests) if not isinstance(made[i], FailedResponse)]
        if not streams:
            return made
        generate_padded(
            self.model,
            prompts,
            streams,
            pad=self.texts.pad,
            rules=self.rules,
            decode=self.texts.decode,
            accounting=accounting,
        )
        fed = [len(prompt.fed) + len(stream.ids) for prompt, stream in zip(prompts, streams, strict=True)]
        steps = sum(len(stream.ids) + 1 for stream in streams)
        accounting.flops += self.cost.flops(sum(fed), sum(n * (n + 1) // 2 for n in fed), steps)
        for stream in streams:
            made[stream.number] = stream.response(made[stream.number].num_truncated, self.texts.decode)
        return made
