"""Generation with a causal model: prompts are computed as a tree, answers grow side by side in slots.

Prompts that begin alike share what they share (`trie`), and equal prompts are one. Draws that have chosen the same
tokens so far are one sequence, and fork where they part: seventeen draws of a short answer cost little more than
the distinct ones among them. A sequence that ends leaves at once, and the next prompt takes its place.

Decoding belongs to the task, not to the checkpoint: beams, length penalties and repetition penalties that a
checkpoint carries in its `generation_config` are not used, or base and fine-tuned model would be decoded by
different rules and the difference sold as a difference of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from halueval.engine.accounting import Accounting
from halueval.engine.encoding import Row
from halueval.engine.loglikelihood import NO_NUMBER, TokenScores
from halueval.engine.memory import release
from halueval.engine.packing import additive
from halueval.engine.rules import TokenRules
from halueval.engine.sampling import Sampling, choose, entropies, uniforms
from halueval.engine.slots import Slots
from halueval.engine.stopping import Decode, cut_at_stop, kept_tokens, stops
from halueval.engine.tree import Prefilled, Result, TreeRunner
from halueval.engine.trie import Pass
from halueval.schema import FailedResponse, GenerationRequest, GenerationResponse

if TYPE_CHECKING:
    import torch

STREAMS_PER_SLOT = 4
"""Draws admitted for each slot: most agree with another for a token or two, and all may part."""


@dataclass(slots=True)
class Stream:
    """One answer that is being generated: its request, its tokens so far and what each cost."""

    number: int
    request: GenerationRequest
    numbers: Sequence[float]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    reason: str | None = None

    @property
    def sampling(self) -> Sampling:
        """How its tokens are chosen."""
        return Sampling(self.request.temperature, self.request.top_k, self.request.top_p)

    def take(self, token: int, logprob: float, rules: TokenRules, decode: Decode) -> None:
        """Append a token, and see whether it ends the answer."""
        self.logprobs.append(logprob)
        if token in rules.ends:
            self.reason = "eos"
            return
        self.ids.append(token)
        if stops(self.ids, self.request.until, decode):
            self.reason = "stop"
        elif len(self.ids) >= self.request.max_new_tokens:
            self.reason = "length"

    def response(self, num_truncated: int, decode: Decode) -> GenerationResponse | FailedResponse:
        """The answer without its stop string, and the log-probability of what is kept of it.

        The token that ended it is not counted.
        """
        full = decode(self.ids)
        text, stopped = cut_at_stop(full, self.request.until)
        kept = kept_tokens(self.ids, text, decode) if stopped else len(self.ids)
        assert self.reason is not None
        total = sum(self.logprobs[:kept])
        if not math.isfinite(total):
            return FailedResponse(NO_NUMBER)
        if not (self.request.entropies and kept):
            return GenerationResponse(text, kept, self.reason, total, num_truncated)
        spread = self.entropies[:kept]
        return GenerationResponse(
            text,
            kept,
            self.reason,
            total,
            num_truncated,
            min_logprob=min(self.logprobs[:kept]),
            mean_entropy=math.fsum(spread) / kept,
            max_entropy=max(spread),
        )


def open_stream(number: int, request: GenerationRequest) -> Stream:
    """A stream that has generated nothing yet."""
    numbers = uniforms(request.seed, request.max_new_tokens).tolist() if request.temperature else []
    return Stream(number, request, numbers)


def advance(
    logits: torch.Tensor, groups: Sequence[Sequence[Stream]], rules: TokenRules, decode: Decode
) -> list[dict[int, list[Stream]]]:
    """Give every stream its next token.

    Args:
        logits: shape (n, vocabulary), float32.
        groups: the streams at each of the n states.
        rules: tokens that end an answer, and those that are forbidden or forced.
        decode: ids to text.

    Returns:
        For each state, the streams that go on by the token that they have chosen.
    """
    logits = rules.apply(logits, [len(streams[0].ids) for streams in groups])
    by_sampling: dict[Sampling, list[tuple[int, Stream]]] = {}
    for state, streams in enumerate(groups):
        for stream in streams:
            by_sampling.setdefault(stream.sampling, []).append((state, stream))
    parted: list[dict[int, list[Stream]]] = [{} for _ in groups]
    for sampling, members in by_sampling.items():
        # Only the states of these streams: filters over the whole vocabulary are what sampling costs.
        used = sorted({state for state, _ in members})
        place = {state: i for i, state in enumerate(used)}
        numbers = [stream.numbers[len(stream.ids)] if sampling.temperature else 0.0 for _, stream in members]
        part = logits if len(used) == len(groups) else logits[used]
        tokens, logprobs = choose(part, [place[state] for state, _ in members], numbers, sampling)
        asking = [(state, stream) for state, stream in members if stream.request.entropies]
        if asking:
            spread = entropies(part, [place[state] for state, _ in asking])
            for (_, stream), value in zip(asking, spread, strict=True):
                stream.entropies.append(value)
        for (state, stream), token, logprob in zip(members, tokens, logprobs, strict=True):
            stream.take(token, logprob, rules, decode)
            if stream.reason is None:
                parted[state].setdefault(token, []).append(stream)
    return parted


class Decoder:
    """Generates answers with a causal model whose prompts are run as trees.

    Args:
        runner: of the model.
        rules: tokens that end an answer, and those that are forbidden or forced.
        decode: ids to text, special tokens left out.
        slots: sequences that are continued together.
        tokens: tokens that the slots may hold together.
    """

    def __init__(self, runner: TreeRunner, *, rules: TokenRules, decode: Decode, slots: int, tokens: int) -> None:
        self.runner, self.rules, self.decode = runner, rules, decode
        self.num_slots, self.num_tokens = slots, tokens

    def run(
        self,
        rows: Sequence[Row],
        passes: Sequence[Pass],
        streams: Mapping[int, Sequence[Stream]],
        accounting: Accounting,
        finished: Callable[[int], None] = lambda _: None,
    ) -> dict[int, TokenScores | FailedResponse]:
        """Run all passes, and generate from the prompts among the rows.

        Args:
            rows: scored rows and prompts (`num_scored` 0).
            passes: their plan.
            streams: of each prompt, by its row; filled in place.
            accounting: counters to add to.
            finished: is told how many rows' scores or streams' answers became known.

        Returns:
            Scores of the scored rows, by row; and rows of either kind that did not fit into memory.
        """
        scores: dict[int, TokenScores | FailedResponse] = {}
        slots, active = Slots(), _Active()
        waiting: list[tuple[int, Prefilled]] = []
        todo = iter(passes)
        upcoming = next(todo, None)
        while upcoming is not None or waiting or active.tokens:
            while waiting and self._has_room(active, streams[waiting[0][0]], rows[waiting[0][0]]):
                i, prompt = waiting.pop(0)
                finished(self._admit(prompt, streams[i], slots, active))
            if upcoming is not None and not waiting:
                results = self._pass(upcoming, rows, accounting)
                if active.tokens and any(isinstance(result, FailedResponse) for result in results):
                    # The growing answers hold the memory that is missing: let them end, and give it back.
                    while active.tokens:
                        finished(self._step(slots, active, accounting))
                    slots = Slots()
                    release(self.runner.model.device)
                    results = self._pass(upcoming, rows, accounting)
                for i, result in zip(upcoming.rows, results, strict=True):
                    if isinstance(result, Prefilled):
                        waiting.append((i, result))
                    else:
                        scores[i] = result
                        finished(1)
                upcoming = next(todo, None)
            elif active.tokens:
                finished(self._step(slots, active, accounting))
        return scores

    def _pass(self, part: Pass, rows: Sequence[Row], accounting: Accounting) -> list[Result]:
        return self.runner.run([rows[i] for i in part.rows], part.root, accounting)

    def _has_room(self, active: _Active, streams: Sequence[Stream], row: Row) -> bool:
        """Whether a prompt's draws may join; the first always may."""
        if not active.tokens:
            return True
        longest = max(active.room, _room(row, streams))
        live = active.live + len(streams)
        return (
            len(active.tokens) < self.num_slots
            and live <= STREAMS_PER_SLOT * self.num_slots
            and live * longest <= self.num_tokens
        )

    def _admit(self, prompt: Prefilled, streams: Sequence[Stream], slots: Slots, active: _Active) -> int:
        """Choose the first token of a prompt's draws, and give those that go on a slot; returns how many ended."""
        (parted,) = advance(prompt.logits[None], [streams], self.rules, self.decode)
        room = len(prompt.nodes) + max(stream.request.max_new_tokens for stream in streams)
        for token, members in parted.items():
            slot = slots.add(prompt, room)
            active.enter(slot, token, members, room)
        return len(streams) - sum(map(len, parted.values()))

    def _step(self, slots: Slots, active: _Active, accounting: Accounting) -> int:
        """One more token for every slot; returns how many answers ended."""
        import torch

        before = active.live
        model = self.runner.model
        device = model.device
        lengths = torch.tensor(slots.lengths, device=device)
        n, width = len(slots), max(slots.lengths) + 1
        positions = torch.arange(width, device=device)

        def make(window: int | None) -> torch.Tensor:
            seen = positions[None, :] <= lengths[:, None]
            if window is not None:
                seen = seen & (lengths[:, None] - positions[None, :] < window)
            return additive(seen, model.dtype)[:, None, None, :]

        with torch.inference_mode():
            logits = (
                model(
                    input_ids=torch.tensor(active.tokens, device=device)[:, None],
                    attention_mask=self.runner.kinds.masks(make),
                    position_ids=lengths[:, None],
                    past_key_values=slots.cache(),
                    use_cache=True,
                    return_dict=True,
                )
                .logits[:, -1]
                .float()
            )
            slots.grew()
            parted = advance(logits, active.streams, self.rules, self.decode)
        accounting.forward_passes += 1
        accounting.tokens_computed += n
        accounting.flops += self.runner.cost.flops(n, sum(slots.lengths), n)
        self._part(parted, slots, active)
        return before - active.live

    @staticmethod
    def _part(parted: Sequence[Mapping[int, list[Stream]]], slots: Slots, active: _Active) -> None:
        """Fork the slots whose streams have chosen several tokens, and free those where all have ended."""
        for slot, ways in enumerate(parted):
            for i, (token, members) in enumerate(ways.items()):
                if i == 0:
                    active.tokens[slot], active.streams[slot] = token, members
                else:
                    active.enter(slots.fork(slot), token, members, active.room)
        for slot in reversed([slot for slot, ways in enumerate(parted) if not ways]):
            active.leave(slot, slots.drop(slot))


@dataclass(slots=True)
class _Active:
    """What stands in each slot: the token to feed next and the streams that have chosen it."""

    tokens: list[int] = field(default_factory=list)
    streams: list[list[Stream]] = field(default_factory=list)
    room: int = 0

    @property
    def live(self) -> int:
        """Streams that have not ended."""
        return sum(map(len, self.streams))

    def enter(self, slot: int, token: int, members: list[Stream], room: int) -> None:
        """Fill a slot that was just made."""
        assert slot == len(self.tokens)
        self.tokens.append(token)
        self.streams.append(members)
        self.room = max(self.room, room)

    def leave(self, slot: int, moved: int) -> None:
        """Forget a slot, into whose place the last one moved."""
        self.tokens[slot], self.streams[slot] = self.tokens[moved], self.streams[moved]
        self.tokens.pop()
        self.streams.pop()
        if not self.tokens:
            self.room = 0


def _room(row: Row, streams: Sequence[Stream]) -> int:
    return len(row.ids) + max(stream.request.max_new_tokens for stream in streams)
