"""Encoder-decoders: requests of one source stand together, so that it is encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from halueval.backends.base import Advance, Batch
from halueval.backends.texts import Texts, attempt
from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget, Cost, plan_batches
from halueval.engine.decoding import open_stream
from halueval.engine.loglikelihood import response_of
from halueval.engine.memory import run_halving
from halueval.engine.rules import TokenRules
from halueval.engine.seq2seq import generate_targets, score_targets
from halueval.schema import (
    FailedResponse,
    GenerationRequest,
    LoglikelihoodRequest,
    Request,
    Response,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class EncoderDecoder:
    """Plans and runs requests of an encoder-decoder.

    Args:
        model: the model.
        texts: its tokenizer.
    """

    def __init__(self, model: PreTrainedModel, texts: Texts) -> None:
        self.model, self.texts = model, texts
        self.rules = TokenRules.of(model.generation_config)

    def plan(self, requests: Sequence[Request], budget: Budget) -> list[Batch]:
        """Batches of one type, by length of the source; what is asked of one source stays together where it fits."""
        out = []
        for kind in (LoglikelihoodRequest, GenerationRequest):
            of_source: dict[str, list[int]] = {}
            for i, request in enumerate(requests):
                if isinstance(request, kind):
                    of_source.setdefault(request.context, []).append(i)
            groups = [part for group in of_source.values() for part in _parts(group, budget.batch_size or budget.slots)]
            costs = [self._cost([requests[i] for i in group]) for group in groups]
            for batch in plan_batches(costs, budget):
                indices = tuple(i for k in batch for i in groups[k])
                tokens = sum(costs[k].tokens for k in batch)
                out.append(Batch(indices, tuple(requests[i] for i in indices), tokens))
        return out

    def _cost(self, requests: Sequence[Request]) -> Cost:
        tokens = scored = 0
        for request in requests:
            if isinstance(request, GenerationRequest):
                row = attempt(self.texts.prompt, request)
                if not isinstance(row, FailedResponse):
                    tokens += len(row.fed) + request.max_new_tokens
                    scored += 1
                continue
            pair = attempt(self.texts.source_and_target, request)
            if not isinstance(pair, FailedResponse):
                tokens += len(pair[0]) + len(pair[1].ids)
                scored += pair[1].num_scored
        return Cost(tokens, scored, len(requests))

    def run(self, batch: Batch, accounting: Accounting, advance: Advance) -> list[Response]:
        """Answer the requests of a batch; out-of-memory halves it and goes on."""
        generates = isinstance(batch.requests[0], GenerationRequest)
        run = partial(self._generate if generates else self._score, accounting=accounting)
        responses: list[Response] = list(run_halving(run, batch.requests, self.model.device))
        advance(len(responses))
        return responses

    def _score(self, requests: Sequence[LoglikelihoodRequest], *, accounting: Accounting) -> list[Response]:
        pairs: list[Any] = [attempt(self.texts.source_and_target, request) for request in requests]
        good = [pair for pair in pairs if not isinstance(pair, FailedResponse)]
        scores = iter(
            score_targets(
                self.model,
                [source for source, _ in good],
                [target for _, target in good],
                pad=self.texts.pad,
                accounting=accounting,
            )
            if good
            else ()
        )
        out: list[Response] = []
        for pair in pairs:
            if isinstance(pair, FailedResponse):
                out.append(pair)
                continue
            score, target = next(scores), pair[1]
            out.append(response_of([score], target.num_truncated))
        return out

    def _generate(self, requests: Sequence[GenerationRequest], *, accounting: Accounting) -> list[Response]:
        made: list[Any] = [attempt(self.texts.prompt, request) for request in requests]
        prompts = [row for row in made if not isinstance(row, FailedResponse)]
        streams = [open_stream(i, r) for i, r in enumerate(requests) if not isinstance(made[i], FailedResponse)]
        if not streams:
            return made
        generate_targets(
            self.model,
            [prompt.fed for prompt in prompts],
            streams,
            start=self.texts.decoder_start,
            pad=self.texts.pad,
            rules=self.rules,
            decode=self.texts.decode,
            accounting=accounting,
        )
        for stream in streams:
            made[stream.number] = stream.response(made[stream.number].num_truncated, self.texts.decode)
        return made


def _parts(group: Sequence[int], most: int) -> list[list[int]]:
    return [list(group[i : i + most]) for i in range(0, len(group), most)]
