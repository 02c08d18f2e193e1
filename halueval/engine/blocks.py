"""Block masks of FlexAttention for a pass over a tree: blocks of tokens in which nobody sees anybody are skipped.

A pass holds many subtrees that do not see each other. A dense mask computes their attention and throws it away; on an
accelerator FlexAttention leaves out whole blocks of `BLOCK` × `BLOCK` tokens (Dong et al. 2024, "Flex Attention: A
Programming Model for Generating Optimized Attention Kernels"). Its kernel is compiled for the shapes it meets, so the
attention of a pass is padded to a power of two of blocks: a few shapes, whatever the passes. Only attention is padded,
not the rest of the network, and blocks of padding are among those skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from halueval.engine.packing import Packed

if TYPE_CHECKING:
    import torch
    from torch.nn.attention.flex_attention import BlockMask
    from transformers import PreTrainedModel

BLOCK = 128
"""Tokens of a block: FlexAttention's own size."""
NAME = "halueval_blocks"
"""Under which transformers knows the attention of this module."""


def can_take_blocks(model: PreTrainedModel) -> bool:
    """Whether a model on this device may be given block masks; whether they are right, a probe decides."""
    from transformers.utils.import_utils import is_torch_flex_attn_available

    return (
        model.device.type == "cuda"
        and is_torch_flex_attn_available()
        and bool(getattr(model, "_supports_flex_attn", False))
    )


def padded_length(tokens: int) -> int:
    """The least power of two of blocks that holds so many tokens, in tokens."""
    blocks = -(-tokens // BLOCK)
    return BLOCK * (1 << (blocks - 1).bit_length())


def block_mask(packed: Packed, device: torch.device, window: int | None = None) -> BlockMask:
    """The mask of `packing.visible_mask`, padded, as blocks.

    Args:
        packed: the pass of n nodes on `offset` root tokens.
        device: where the mask is made.
        window: of a sliding window, the most tokens that a token sees, itself among them.

    Returns:
        A mask of `padded_length(n)` queries and `padded_length(offset + n)` keys. What is padding sees nothing
        and is seen by nothing.
    """
    import torch
    from torch.nn.attention.flex_attention import create_block_mask

    n, offset = len(packed.tokens), packed.offset
    queries, keys = padded_length(n), padded_length(offset + n)

    def filled(values: list[int], length: int) -> torch.Tensor:
        return torch.tensor(values + [0] * (length - len(values)), device=device)

    # Everybody behind the root is its descendant. A key that ends at 0 is seen by nobody.
    end = filled([offset + n] * offset + [offset + end for end in packed.ends], keys)
    key_depth = filled([*range(offset), *packed.depths], keys)
    depth = filled(packed.depths, queries)

    def sees(_batch: torch.Tensor, _head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        node = query + offset
        seen = (key <= node) & (node < end[key])
        return seen if window is None else seen & (depth[query] - key_depth[key] < window)

    return create_block_mask(sees, B=None, H=None, Q_LEN=queries, KV_LEN=keys, device=device, BLOCK_SIZE=BLOCK)


def block_attention(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Let the layers of a model attend by block masks within the context; those of one-token steps stay dense."""
    return attending_by(model, NAME, _attend)


@contextmanager
def attending_by(model: PreTrainedModel, name: str, attend: Callable[..., Any]) -> Iterator[None]:
    """Let the layers of a model attend by a function of ours within the context, known to transformers by a name."""
    from transformers import AttentionInterface

    AttentionInterface.register(name, attend)
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: BlockMask,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one layer; shapes (1, heads, n, size) in, (1, n, heads, size) out.

    transformers' own function does caps of scores, sinks and grouped heads.
    """
    import torch
    from transformers.integrations.flex_attention import flex_attention_forward

    n = query.shape[2]
    queries, keys = attention_mask.seq_lengths
    pad = torch.nn.functional.pad
    out, _ = flex_attention_forward(
        module,
        pad(query, (0, 0, 0, queries - n)),
        pad(key, (0, 0, 0, keys - key.shape[2])),
        pad(value, (0, 0, 0, keys - value.shape[2])),
        attention_mask,
        **options,
    )
    return out[:, :n], None
