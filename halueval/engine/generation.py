"""Greedy and sampled generation on `transformers.generate`, with stop strings and log-probabilities.

Decoding belongs to the task, not to the checkpoint: beams, length penalties and repetition penalties
that a checkpoint carries in its `generation_config` are not used, or base and fine-tuned model would be
decoded by different rules and the difference sold as a difference of the weights. Only the token ids
(begin, end, padding, forced ones) are taken from it.

Sampling is the Gumbel-max trick with one random stream for each request, so a draw does not depend on
the company that a request keeps in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halueval.engine.accounting import Accounting
from halueval.schema import GenerationRequest, GenerationResponse

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedModel

Decode = Callable[[Sequence[int]], str]

TOKEN_SETTINGS = (
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of a prompt (of the source, for an encoder-decoder), and how many were cut off."""

    ids: tuple[int, ...]
    num_truncated: int = 0


def end_tokens(config: GenerationConfig) -> frozenset[int]:
    """Ids that end a generation; some checkpoints name several."""
    ids = config.eos_token_id
    if ids is None:
        return frozenset()
    return frozenset(ids if isinstance(ids, list) else [ids])


def cut_at_stop(text: str, until: Sequence[str]) -> tuple[str, bool]:
    """`text` before the earliest stop string, and whether there was one."""
    positions = [p for p in (text.find(stop) for stop in until if stop) if p >= 0]
    return (text[: min(positions)], True) if positions else (text, False)


class _Recorder:
    """Logits processor: keeps the log-probability of every chosen token, and draws where asked.

    `generate` calls it once a step with the logits of the step; the token chosen from them is known at
    the next call. Only one step's log-probabilities are held, not the whole (steps × vocabulary) table.
    """

    def __init__(self, requests: Sequence[GenerationRequest], device: torch.device) -> None:
        import torch

        self.request = requests[0]
        self.pending: torch.Tensor | None = None
        self.chosen: list[torch.Tensor] = []
        # The stream lives on the CPU: accelerators have generators of their own, and the draws of a seed
        # must not depend on the device.
        self.streams = [torch.Generator().manual_seed(r.seed) for r in requests]
        self.device = device

    def settle(self, tokens: torch.Tensor) -> None:
        """Note the log-probability of the tokens chosen last; shape (b,)."""
        if self.pending is not None:
            self.chosen.append(self.pending.gather(1, tokens[:, None])[:, 0])

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.settle(input_ids[:, -1])
        self.pending = scores.float().log_softmax(-1)
        if self.request.temperature == 0:
            return scores
        return self._perturb(self.pending)

    def _perturb(self, logprobs: torch.Tensor) -> torch.Tensor:
        """Temperature, top-k and top-p, then Gumbel noise: the argmax is then a draw."""
        import torch

        warped = logprobs / self.request.temperature
        if 0 < self.request.top_k < warped.shape[-1]:
            floor = warped.topk(self.request.top_k, dim=-1).values[:, -1:]
            warped = warped.masked_fill(warped < floor, -torch.inf)
        if self.request.top_p < 1:
            ordered, order = warped.softmax(-1).sort(dim=-1, descending=True)
            outside = ordered.cumsum(-1) - ordered >= self.request.top_p
            drop = torch.zeros_like(outside).scatter(1, order, outside)
            warped = warped.masked_fill(drop, -torch.inf)
        uniform = torch.stack([torch.rand(warped.shape[-1], generator=g) for g in self.streams])
        uniform = uniform.clamp(1e-20, 1 - 1e-7).to(self.device)
        return warped - torch.log(-torch.log(uniform))


class _StopStrings:
    """Stopping criterion: a row is done when its text holds a stop string.

    The whole answer is decoded, not its last token: a stop string may span tokens, and a tokenizer may
    write a character's bytes into several.
    """

    def __init__(self, until: Sequence[str], start: int, decode: Decode) -> None:
        self.until, self.start, self.decode = until, start, decode
        self.done: list[bool] = []

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        import torch

        rows = input_ids[:, self.start :].tolist()
        if not self.done:
            self.done = [False] * len(rows)
        for i, row in enumerate(rows):
            if not self.done[i]:
                self.done[i] = cut_at_stop(self.decode(row), self.until)[1]
        return torch.tensor(self.done, device=input_ids.device)


def _generation_config(model: PreTrainedModel, request: GenerationRequest, pad: int) -> GenerationConfig:
    from transformers import GenerationConfig

    own = model.generation_config
    settings = {name: getattr(own, name, None) for name in TOKEN_SETTINGS}
    return GenerationConfig(
        **{name: value for name, value in settings.items() if value is not None},
        pad_token_id=pad,
        max_new_tokens=request.max_new_tokens,
        do_sample=False,
        num_beams=1,
    )


def _kept_tokens(ids: Sequence[int], text: str, decode: Decode) -> int:
    """Fewest tokens whose text holds all of `text`: the stop string's tokens are not counted."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        if len(decode(ids[:middle])) >= len(text):
            high = middle
        else:
            low = middle + 1
    return low


def generate_batch(
    model: PreTrainedModel,
    requests: Sequence[GenerationRequest],
    prompts: Sequence[Prompt],
    *,
    pad: int,
    decode: Decode,
    accounting: Accounting,
) -> list[GenerationResponse]:
    """Generate for requests that share stop strings, length limit and sampling settings.

    Args:
        model: causal or encoder-decoder.
        requests: same `until`, `max_new_tokens`, `temperature`, `top_k` and `top_p` in all of them.
        prompts: token ids, one a request; padded on the left for a causal model.
        pad: id of the padding token.
        decode: ids to text, special tokens left out.
        accounting: counters to add to.
    """
    import torch
    from transformers import LogitsProcessorList, StoppingCriteriaList

    encoder_decoder = bool(model.config.is_encoder_decoder)
    width = max(len(p.ids) for p in prompts)
    inputs = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for i, prompt in enumerate(prompts):
        span = slice(0, len(prompt.ids)) if encoder_decoder else slice(width - len(prompt.ids), width)
        inputs[i, span] = torch.tensor(prompt.ids, dtype=torch.long)
        mask[i, span] = 1
    device = model.device
    recorder = _Recorder(requests, device)
    start = 1 if encoder_decoder else width
    config = _generation_config(model, requests[0], pad)
    processors: Any = LogitsProcessorList([recorder])
    criteria: Any = StoppingCriteriaList()
    if requests[0].until:
        criteria.append(_StopStrings(requests[0].until, start, decode))
    generate: Any = model.generate
    with torch.inference_mode():
        output = generate(
            inputs=inputs.to(device),
            attention_mask=mask.to(device),
            generation_config=config,
            logits_processor=processors,
            stopping_criteria=criteria,
        )
        recorder.settle(output[:, -1])
    ids = output[:, start:].tolist()
    logprobs = torch.stack(recorder.chosen, 1).tolist()
    real = sum(len(p.ids) for p in prompts)
    steps = len(ids[0])
    accounting.forward_passes += steps
    accounting.tokens_computed += real + len(ids) * max(steps - 1, 0)
    accounting.tokens_padding += len(prompts) * width - real
    ends = end_tokens(config)
    return [
        _response(row, values, request.until, prompt, ends, decode)
        for row, values, request, prompt in zip(ids, logprobs, requests, prompts, strict=True)
    ]


def _response(
    ids: Sequence[int],
    logprobs: Sequence[float],
    until: Sequence[str],
    prompt: Prompt,
    ends: frozenset[int],
    decode: Decode,
) -> GenerationResponse:
    """Cut one row at its end token and stop string, and sum the log-probabilities of what is kept."""
    end = next((i for i, token in enumerate(ids) if token in ends), None)
    body = list(ids[:end])
    full = decode(body)
    text, stopped = cut_at_stop(full, until)
    kept = _kept_tokens(body, text, decode) if stopped else len(body)
    reason = "stop" if stopped else "eos" if end is not None else "length"
    return GenerationResponse(text, kept, reason, sum(logprobs[:kept]), prompt.num_truncated)
