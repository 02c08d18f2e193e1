"""Decoders whose requests are run as trees of shared prefixes: likelihoods, windows and generation in one plan."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halueval.backends.base import Advance, Batch
from halueval.backends.texts import Texts, attempt
from halueval.engine.accounting import Accounting
from halueval.engine.attention import AttentionKinds
from halueval.engine.batching import Budget, chunks
from halueval.engine.decoding import Decoder, Stream, open_stream
from halueval.engine.encoding import Row
from halueval.engine.loglikelihood import TokenScores, response_of
from halueval.engine.memory import OUT_OF_MEMORY, is_out_of_memory, release
from halueval.engine.rules import TokenRules
from halueval.engine.tree import TreeRunner
from halueval.engine.trie import Limits, Pass, plan_passes
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

logger = logging.getLogger("halueval")


@dataclass(frozen=True, slots=True)
class Work:
    """Passes of a batch.

    Attributes:
        rows: distinct rows.
        passes: over them.
        places: for each request of the batch its rows: one, the windows of a long text, or why there are none.
        budget: by which the batch was planned.
    """

    rows: Sequence[Row]
    passes: Sequence[Pass]
    places: Sequence[list[int] | FailedResponse]
    budget: Budget


class Trees:
    """Plans and runs requests of a causal model that takes masks of trees.

    Args:
        model: the model.
        texts: its tokenizer.
        kinds: of its attention.
    """

    def __init__(self, model: PreTrainedModel, texts: Texts, kinds: AttentionKinds) -> None:
        self.model, self.texts, self.kinds = model, texts, kinds
        self.rules = TokenRules.of(model.generation_config)
        self._runner: TreeRunner | None = None
        self._halvings = 0

    def plan(self, requests: Sequence[Request], budget: Budget) -> list[Batch]:
        """Batches of neighbouring passes; texts of which every token is scored share little and go by themselves."""
        rolling = [i for i, request in enumerate(requests) if isinstance(request, RollingRequest)]
        others = [i for i, request in enumerate(requests) if not isinstance(request, RollingRequest)]
        return [*self._plan_trees(requests, others, budget), *self._plan_windows(requests, rolling, budget)]

    def _plan_trees(self, requests: Sequence[Request], wanted: Sequence[int], budget: Budget) -> Iterator[Batch]:
        rows: list[Row] = []
        numbers: dict[Row, int] = {}
        owners: list[list[int]] = []
        failed: list[int] = []
        reasons: list[FailedResponse] = []
        for i in wanted:
            request = requests[i]
            make = self.texts.row if isinstance(request, LoglikelihoodRequest) else self.texts.prompt
            row = attempt(make, request)
            if isinstance(row, FailedResponse):
                failed.append(i)
                reasons.append(row)
                continue
            number = numbers.setdefault(row, len(rows))
            if number == len(rows):
                rows.append(row)
                owners.append([])
            owners[number].append(i)
        if failed:
            yield Batch(tuple(failed), tuple(requests[i] for i in failed), 0, Work([], [], reasons, budget))
        passes = plan_passes(rows, _limits(budget))
        costs = [_pass_cost(part, rows, owners, requests) for part in passes]
        for part in chunks(costs, budget.batch_tokens):
            yield _batch([passes[k] for k in part], rows, owners, requests, budget)

    def _plan_windows(self, requests: Sequence[Request], wanted: Sequence[int], budget: Budget) -> Iterator[Batch]:
        windows = [attempt(self.texts.windows, requests[i]) for i in wanted]
        costs = [0 if isinstance(rows, FailedResponse) else sum(len(row.ids) for row in rows) for rows in windows]
        for part in chunks(costs, budget.batch_tokens):
            rows: list[Row] = []
            places: list[list[int] | FailedResponse] = []
            for k in part:
                mine = windows[k]
                places.append(mine if isinstance(mine, FailedResponse) else [len(rows) + j for j in range(len(mine))])
                rows += [] if isinstance(mine, FailedResponse) else mine
            indices = tuple(wanted[k] for k in part)
            passes = plan_passes(rows, _limits(budget))
            tokens = sum(costs[k] for k in part)
            yield Batch(indices, tuple(requests[i] for i in indices), tokens, Work(rows, passes, places, budget))

    def run(self, batch: Batch, accounting: Accounting, advance: Advance) -> list[Response]:
        """Answer the requests of a batch; where memory runs out, fewer answers at a time, then fewer requests."""
        budget: Budget = batch.work.budget
        if self._runner is None:
            self._runner = TreeRunner(self.model, self.kinds, whole=min(budget.whole, budget.scored))
        while True:
            counter = Accounting()
            try:
                responses = self._attempt(batch, counter, advance)
                accounting.add(counter)
                return responses
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the traceback would keep the slots alive.
            self._runner.forget()
            release(self.model.device)
            if self._decoder(budget).num_slots == 1:
                return self._halved(batch, accounting, advance)
            self._halvings += 1
            logger.warning(
                "out of memory on %s while generating; going on with %d answers at a time",
                self.model.device,
                self._decoder(budget).num_slots,
            )

    def _halved(self, batch: Batch, accounting: Accounting, advance: Advance) -> list[Response]:
        """The halves of a batch by themselves; a request that is alone has failed."""
        if len(batch.requests) == 1:
            logger.warning("one request does not fit into the memory of %s", self.model.device)
            advance(1)
            return [FailedResponse(OUT_OF_MEMORY)]
        half = len(batch.requests) // 2
        out: list[Response] = []
        for requests in (batch.requests[:half], batch.requests[half:]):
            found: dict[int, Response] = {}
            for part in self.plan(requests, batch.work.budget):
                found.update(zip(part.indices, self.run(part, accounting, advance), strict=True))
            out += [found[i] for i in range(len(requests))]
        return out

    def _attempt(self, batch: Batch, accounting: Accounting, advance: Advance) -> list[Response]:
        work: Work = batch.work
        streams: dict[int, list[Stream]] = {}
        for number, (request, places) in enumerate(zip(batch.requests, work.places, strict=True)):
            if isinstance(request, GenerationRequest) and not isinstance(places, FailedResponse):
                streams.setdefault(places[0], []).append(open_stream(number, request))
        scores = self._decoder(work.budget).run(work.rows, work.passes, streams, accounting, advance)
        answers = {stream.number: (stream, places) for places, all_of in streams.items() for stream in all_of}
        return [
            self._response(number, request, places, work, scores, answers)
            for number, (request, places) in enumerate(zip(batch.requests, work.places, strict=True))
        ]

    def _decoder(self, budget: Budget) -> Decoder:
        assert self._runner is not None
        part = 2**self._halvings
        return Decoder(
            self._runner,
            rules=self.rules,
            decode=self.texts.decode,
            slots=max((budget.batch_size or budget.slots) // part, 1),
            tokens=budget.slot_tokens // part,
        )

    def _response(
        self,
        number: int,
        request: Request,
        places: list[int] | FailedResponse,
        work: Work,
        scores: Mapping[int, TokenScores | FailedResponse],
        answers: Mapping[int, tuple[Stream, int]],
    ) -> Response:
        if isinstance(places, FailedResponse):
            return places
        if any(isinstance(scores.get(place), FailedResponse) for place in places):
            return FailedResponse(OUT_OF_MEMORY)
        if isinstance(request, GenerationRequest):
            stream, place = answers[number]
            return stream.response(work.rows[place].num_truncated, self.texts.decode)
        parts: list[Any] = [scores[place] for place in places]
        return response_of(parts, sum(work.rows[place].num_truncated for place in places))


def _limits(budget: Budget) -> Limits:
    return Limits(tokens=budget.tree, whole=budget.whole, scored=budget.scored, rows=budget.batch_size)


def _pass_cost(part: Pass, rows: Sequence[Row], owners: Sequence[Sequence[int]], requests: Sequence[Request]) -> int:
    """Tokens that a pass and the answers to its prompts come to, at most."""
    depth = len(part.root.ids) if part.root else 0
    cost = 0
    for i in part.rows:
        cost += len(rows[i].ids) - depth
        for owner in owners[i]:
            request = requests[owner]
            cost += request.max_new_tokens if isinstance(request, GenerationRequest) else 0
    return cost


def _batch(
    passes: Sequence[Pass],
    rows: Sequence[Row],
    owners: Sequence[Sequence[int]],
    requests: Sequence[Request],
    budget: Budget,
) -> Batch:
    """A batch of some passes, with their rows numbered anew."""
    used = [i for part in passes for i in part.rows]
    place = {i: k for k, i in enumerate(used)}
    indices = [(owner, place[i]) for i in used for owner in owners[i]]
    work = Work(
        [rows[i] for i in used],
        [Pass(part.root, tuple(place[i] for i in part.rows)) for part in passes],
        [[k] for _, k in indices],
        budget,
    )
    mine = tuple(requests[i] for i, _ in indices)
    tokens = sum(len(work.rows[k].ids) for _, k in indices)
    tokens += sum(request.max_new_tokens - 1 for request in mine if isinstance(request, GenerationRequest))
    return Batch(tuple(i for i, _ in indices), mine, tokens, work)
