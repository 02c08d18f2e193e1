"""Attention of a plain text on a CPU: blocks of queries against the keys before them, products by oneDNN.

torch's fused kernel for CPUs steps through keys in blocks of 512, so up to there causality saves it nothing, and it
multiplies with MKL (`products` has what that costs on other makers' processors). Here a block of queries meets only the
keys that one of its tokens sees, and heads that share keys are the rows of one product, so that none is copied for
each of its heads. All is computed in float32: of a float32 model the numbers are those of the fused kernel up to
rounding, of a bfloat16 model nearer to the exact ones, since the fused kernel rounds the weights of its sums.

It is for chains: a text from its first token on, or one that goes on behind a root. Trees keep their masks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from halueval.engine.blocks import attending_by
from halueval.engine.measured import decided

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NAME = "halueval_causal"
"""Under which transformers knows the attention of this module."""
GAIN = 1.1
"""Times as fast as torch's fused kernel that ours must be to take its place."""
DECIDING = 512
"""Tokens of the text that decides: where the difference is large, so that noise hardly ever changes the answer."""
LEAST = 128
"""Tokens of the shortest chain that is cut; shorter ones are not worth the calls."""
TOLERANCE = {"float32": 1e-5, "bfloat16": 0.05}
"""Largest difference from the fused kernel, where queries, keys and values are standard normal: ten times rounding."""
WITHOUT_EFFECT = frozenset({"position_ids", "cache_position", "use_cache"})
"""What layers hand on to any attention, and none heeds."""


@dataclass(frozen=True, slots=True)
class CausalBlocks:
    """How chains are cut.

    Attributes:
        queries: tokens of a block. Fewer leave less to mask, more make larger products.
        least: tokens of the shortest chain that is cut.
    """

    queries: int
    least: int


def causal_attention(model: PreTrainedModel, blocks: CausalBlocks) -> AbstractContextManager[None]:
    """Let the layers of a model attend by blocks of queries within the context, in which it is fed one chain."""
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionMaskInterface.register(NAME, sdpa_mask)
    return attending_by(model, NAME, partial(_attend, blocks.queries))


def causal_blocks(model: PreTrainedModel) -> CausalBlocks | None:
    """How a model's chains are to be cut if that is right and faster on this machine; None where it is not.

    Only for models whose attention is torch's own ("sdpa"): others have caps of scores or the like. What a layer asks
    for beyond that is seen when it runs, and left to torch's kernel.
    """
    config = model.config.get_text_config()
    if model.device.type != "cpu" or config._attn_implementation != "sdpa":
        return None
    heads, width = getattr(config, "num_attention_heads", None), getattr(config, "hidden_size", None)
    shared, size = getattr(config, "num_key_value_heads", None) or heads, getattr(config, "head_dim", None)
    if not (isinstance(heads, int) and isinstance(width, int) and isinstance(shared, int) and heads % shared == 0):
        return None  # layers that differ
    size = size if isinstance(size, int) else width // heads
    # At 100 to 2,000 tokens 96 to 192 are equally good where heads share keys, and 256 best where they do not.
    block = 128 if shared < heads else 256
    return CausalBlocks(block, LEAST) if _pays(block, heads, shared, size, model.dtype) else None


@lru_cache
def _pays(block: int, heads: int, shared: int, size: int, dtype: torch.dtype) -> bool:
    question = f"blocks of {block} queries for {heads} heads of {size} on {shared} in {dtype}"
    return decided(question, lambda: blocks_pay(DECIDING, block, heads, shared, size, dtype))


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, block: int) -> torch.Tensor:
    """Attention of a chain: query i sees the keys up to its own, which is the last but n - 1 - i.

    Args:
        query: shape (1, heads, n, size), of float32 or bfloat16.
        key: shape (1, shared, root + n, size), where heads is a multiple of shared.
        value: shape (1, shared, root + n, size of values).
        scaling: of the scores.
        block: queries of a block.

    Returns:
        Shape (1, n, heads, size of values), in the dtype of the query.
    """
    import torch

    _, heads, n, size = query.shape
    shared, length = key.shape[1:3]
    group, root = heads // shared, length - n
    # oneDNN multiplies by rows that lie one behind the other; by others it takes a thousand times as long.
    keys = key[0].float().mul(scaling).contiguous()
    values = value[0].float().contiguous()
    queries = query[0].view(shared, group, n, size).transpose(1, 2)
    out = query.new_empty((1, n, shared, group, value.shape[-1]))
    for start in range(0, n, block):
        stop = min(start + block, n)
        rows, seen = (stop - start) * group, root + stop
        later = _later(block, group)[:rows, : stop - start]
        # Rows of a product: the heads of a group at one token, then at the next.
        asking = queries[:, start:stop].float().reshape(shared, rows, size)
        for head in range(shared):
            scores = _product(asking[head], keys[head, :seen])
            scores[:, root + start :].add_(later)
            mixed = _product(torch.softmax(scores, -1), values[head, :seen].t())
            out[0, start:stop, head] = mixed.view(stop - start, group, -1)
    return out.view(1, n, heads, -1)


def _product(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Product of rows and columnsᵀ by oneDNN; shapes (n, size) and (m, size) to (n, m)."""
    import torch

    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, columns, None, "none", [], "")
    return product


@lru_cache(maxsize=8)
def _later(block: int, group: int) -> torch.Tensor:
    """Minus infinity at the tokens of a block that come later than the one of a row, else 0; (block · group, block)."""
    import torch

    token = torch.arange(block)
    return torch.zeros(block, block).masked_fill_(token > token[:, None], -torch.inf).repeat_interleave(group, 0)


def _attend(
    block: int,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one layer; torch's kernel where a layer asks for what ours does not do."""
    if fits(module, query, key, attention_mask, options):
        scaling = options.get("scaling")
        return attend(query, key, value, query.shape[-1] ** -0.5 if scaling is None else scaling, block), None
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return out, None


def fits(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    attention_mask: torch.Tensor | None,
    options: dict[str, Any],
) -> bool:
    """Whether `attend` computes what a layer asks for.

    A chain from its first token on comes without a mask, one on a root with the mask that says so. A window at least as
    long as the text is none; dropout, and whatever option we do not know, is not ours to do.
    """
    length, n = key.shape[2], query.shape[2]
    causal = options.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    window = options.get("sliding_window")
    known = WITHOUT_EFFECT | {"scaling", "is_causal", "sliding_window"}
    unknown = [value for name, value in options.items() if name not in known]
    return (
        query.shape[0] == 1
        and query.device.type == "cpu"
        and (attention_mask is None) == (length == n)
        and bool(causal)
        and (window is None or window >= length)
        and all(value is None or (isinstance(value, int | float) and not value) for value in unknown)
    )


def blocks_pay(tokens: int, block: int, heads: int, shared: int, size: int, dtype: torch.dtype) -> bool:
    """Whether ours is right and faster than torch's kernel here, for one text and heads of this kind."""
    import torch

    tolerance = TOLERANCE.get(str(dtype).removeprefix("torch."))
    if tolerance is None or not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    draw = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, tokens, count, size, generator=draw).to(dtype).transpose(1, 2)
        for count in (heads, shared, shared)
    )

    def fused() -> torch.Tensor:
        # As transformers calls it, which copies the keys and values of a group for each of its heads.
        keys, values = (states.repeat_interleave(heads // shared, 1) for states in (key, value))
        out = torch.nn.functional.scaled_dot_product_attention(query, keys, values, is_causal=True)
        return out.transpose(1, 2).contiguous()

    def ours() -> torch.Tensor:
        return attend(query, key, value, size**-0.5, block)

    with torch.inference_mode():
        if not float((fused() - ours()).abs().max()) <= tolerance:
            return False
        return _seconds(fused) >= GAIN * _seconds(ours)


def _seconds(call: Callable[[], Any]) -> float:
    """Shortest of some calls."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best
