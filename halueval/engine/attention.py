"""What a decoder's attention needs to be told: kinds of layers, windows, and the masks of a pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halueval.engine.blocks import block_attention, block_mask
from halueval.engine.causal import CausalBlocks, causal_attention
from halueval.engine.packing import FULL, SLIDING, Packed, additive, visible_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class AttentionKinds:
    """Kinds of attention layers of a model.

    Attributes:
        window: tokens that a layer with a sliding window sees, None where there is no such layer.
        kinds: names of the kinds where the model takes one mask for each (Gemma 2 and 3, Qwen 2 with mixed
            layers); empty where it takes a single mask for all layers.
        blocks: whether passes over trees are given block masks in place of dense ones.
        causal: how passes over a chain are cut into blocks of queries; None where torch's own kernel does them.
        remark: what a user should know of how this was found out; empty for nothing.
    """

    window: int | None
    kinds: tuple[str, ...] = ()
    blocks: bool = False
    causal: CausalBlocks | None = None
    remark: str = ""

    @property
    def plain(self) -> bool:
        """Whether every layer sees everything before it."""
        return self.window is None and not self.kinds

    def masks(self, make: Callable[[int | None], Any]) -> Any:
        """The mask argument of the model's `forward`; `make` draws a mask for a window or for none."""
        if self.kinds:
            return {kind: make(self.window if kind == SLIDING else None) for kind in self.kinds}
        return make(self.window)


def attention_kinds(model: PreTrainedModel, longest: int) -> AttentionKinds | str:
    """Kinds of attention of a decoder, or why its layers cannot be given masks.

    Args:
        model: a causal language model.
        longest: most tokens that it will be fed; a window at least as long is none.
    """
    config = model.config.get_text_config()
    found = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    window = window if isinstance(window, int) and 0 < window < longest else None
    if not found:
        # Mistral and Phi-3 put one window on all layers; models that say `use_sliding_window: false` have none.
        return AttentionKinds(window if getattr(config, "use_sliding_window", True) else None)
    kinds = tuple(sorted(set(found)))
    strange = [kind for kind in kinds if kind not in (FULL, SLIDING)]
    if strange:
        return f"{config.model_type} has layers of {', '.join(strange)}"
    return AttentionKinds(window if SLIDING in kinds else None, kinds if SLIDING in kinds else ())


def pass_masks(model: PreTrainedModel, kinds: AttentionKinds, packed: Packed) -> Any:
    """Masks of a pass over a tree; None where plain causal attention does, of a text from its first token on.

    Dense ones have the shape (1, 1, n, offset + n); block masks are padded (`blocks.block_mask`), and the model must
    be run within `attending`.
    """
    if packed.is_chain and packed.offset == 0 and kinds.plain:
        return None

    def make(window: int | None) -> Any:
        if kinds.blocks:
            return block_mask(packed, model.device, window)
        return additive(visible_mask(packed, model.device, window), model.dtype)[None, None]

    return kinds.masks(make)


def attending(
    model: PreTrainedModel, kinds: AttentionKinds, packed: Packed, masks: Any
) -> AbstractContextManager[None]:
    """The context in which a model runs a pass with its masks."""
    if kinds.causal is not None and kinds.plain and packed.is_chain and len(packed.tokens) >= kinds.causal.least:
        return causal_attention(model, kinds.causal)
    return block_attention(model) if kinds.blocks and masks is not None else nullcontext()
