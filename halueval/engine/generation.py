"""Generation on `transformers.generate`, for decoders that cannot be given masks and positions (ALiBi, recurrent).

Batches are padded on the left. Tokens are chosen by the same function as everywhere (`sampling.choose`); `generate`
is left to take the likeliest of logits in which only the chosen token remains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from halueval.engine.accounting import Accounting
from halueval.engine.decoding import Stream, advance
from halueval.engine.encoding import Row
from halueval.engine.rules import TokenRules
from halueval.engine.stopping import Decode

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedModel


class _Choose:
    """Logits processor: gives every stream its token, and leaves `generate` no other choice."""

    def __init__(self, streams: Sequence[Stream], rules: TokenRules, decode: Decode, pad: int) -> None:
        self.streams, self.rules, self.decode, self.pad = streams, rules, decode, pad

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        groups = [[stream] if stream.reason is None else [] for stream in self.streams]
        open_rows = [i for i, group in enumerate(groups) if group]
        parted = advance(scores[open_rows].float(), [groups[i] for i in open_rows], self.rules, self.decode)
        chosen = [self.pad] * len(self.streams)
        for i, ways in zip(open_rows, parted, strict=True):
            chosen[i] = next(iter(ways), self.pad)
        out = torch.full_like(scores, -torch.inf)
        out.scatter_(1, torch.tensor(chosen, device=scores.device)[:, None], 0.0)
        return out


class _AllDone:
    """Stopping criterion: every stream knows by itself when it has ended."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = streams

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        import torch

        return torch.tensor([stream.reason is not None for stream in self.streams], device=input_ids.device)


@contextmanager
def _nothing_else(model: PreTrainedModel, config: GenerationConfig) -> Iterator[None]:
    """Let `generate` see this configuration only: it would fill up what is not set with the checkpoint's penalties."""
    own = model.generation_config
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = own


def generate_padded(
    model: PreTrainedModel,
    prompts: Sequence[Row],
    streams: Sequence[Stream],
    *,
    pad: int,
    rules: TokenRules,
    decode: Decode,
    accounting: Accounting,
) -> None:
    """Generate from prompts padded on the left; the streams are filled in place.

    Args:
        model: causal.
        prompts: one for each stream.
        streams: what is generated.
        pad: id of the padding token.
        rules: tokens that end an answer, and those that are forbidden or forced.
        decode: ids to text, special tokens left out.
        accounting: counters to add to.
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    width = max(len(prompt.fed) for prompt in prompts)
    inputs = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for i, prompt in enumerate(prompts):
        inputs[i, width - len(prompt.fed) :] = torch.tensor(prompt.fed, dtype=torch.long)
        mask[i, width - len(prompt.fed) :] = 1
    device = model.device
    config = GenerationConfig(
        pad_token_id=pad,
        max_new_tokens=max(stream.request.max_new_tokens for stream in streams),
        do_sample=False,
        num_beams=1,
    )
    generate: Any = model.generate
    with torch.inference_mode(), _nothing_else(model, config):
        output = generate(
            inputs=inputs.to(device),
            attention_mask=mask.to(device),
            generation_config=config,
            logits_processor=LogitsProcessorList([_Choose(streams, rules, decode, pad)]),
            stopping_criteria=StoppingCriteriaList([_AllDone(streams)]),
        )
    steps = output.shape[1] - width
    real = sum(len(prompt.fed) for prompt in prompts)
    accounting.forward_passes += steps
    accounting.tokens_computed += real + len(streams) * max(steps - 1, 0)
    accounting.tokens_padding += len(prompts) * width - real
