"""Attention that says how much of each head's attention lay on the source.

The share of a head at a token is what it gives to the source, divided by what it gives to source and claim together
(Chuang et al. 2024, "Lookback Lens", use the ratio of the means). The first token of a text, on which heads rest that
have nothing to look for (Xiao et al. 2024), counts as neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NAME = "halueval_lookback"
"""Under which transformers knows the attention of this module."""
LEAST = 1e-9
"""Attention below which a share is 0: the head looks at neither."""


@dataclass(slots=True)
class Shares:
    """What the layers of one pass write down.

    Attributes:
        source: tokens of the prompt, which stand before those of the claim; its first and its last do not count as
            source (the last is the colon behind which the claim begins).
        by_layer: of each layer the share of each head, shape (claims, heads, tokens).
    """

    source: int
    by_layer: list[torch.Tensor] = field(default_factory=list)


@contextmanager
def recorded(model: PreTrainedModel) -> Iterator[None]:
    """Let the layers of a model write down shares within the context, in passes that are given `shares=Shares(…)`."""
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    from halueval.engine.blocks import attending_by

    AttentionMaskInterface.register(NAME, eager_mask)
    with attending_by(model, NAME, _attend):
        yield


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    *,
    shares: Shares,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one layer; shapes (claims, heads, tokens, size) in, (claims, tokens, heads, size) out."""
    import torch

    groups = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling + attention_mask
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32)
    source = weights[..., 1 : shares.source - 1].sum(-1)
    both = source + weights[..., shares.source :].sum(-1)
    shares.by_layer.append(torch.where(both > LEAST, source / both.clamp_min(LEAST), 0.0))
    return torch.matmul(weights.to(value.dtype), value).transpose(1, 2).contiguous(), None
