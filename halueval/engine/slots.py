"""Key-value cache of the sequences that are being continued: a slot each, long enough for the longest.

Slots in use stand first, so that a step's cache is a slice and not a copy. A sequence that ends gives its slot to
the last one; one that forks (draws of a prompt that chose different tokens) has its slot copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from halueval.engine.tree import Layer, Prefilled

if TYPE_CHECKING:
    import torch

TOKENS, SLOTS = 64, 8
"""Buffers grow by multiples of these, so that they are seldom moved."""


class Slots:
    """Caches of `len(lengths)` sequences.

    Attributes:
        lengths: tokens that each slot holds.
    """

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self._layers: list[Layer] = []

    def __len__(self) -> int:
        return len(self.lengths)

    def add(self, prompt: Prefilled, room: int) -> int:
        """Take in a prompt whose answer may bring it to `room` tokens; returns its slot."""
        if not self._layers:
            self._layers = [Layer(_empty(layer.keys, 0, 0), _empty(layer.values, 0, 0)) for layer in prompt.layers]
        slot, length = len(self.lengths), len(prompt.nodes)
        self._reserve(slot + 1, room)
        for mine, given in zip(self._layers, prompt.layers, strict=True):
            mine.keys[slot, :, :length] = given.keys[0].index_select(1, prompt.nodes)
            mine.values[slot, :, :length] = given.values[0].index_select(1, prompt.nodes)
        self.lengths.append(length)
        return slot

    def fork(self, slot: int) -> int:
        """A copy of a slot; returns its number."""
        copy, length = len(self.lengths), self.lengths[slot]
        self._reserve(copy + 1, 0)
        for layer in self._layers:
            layer.keys[copy, :, :length] = layer.keys[slot, :, :length]
            layer.values[copy, :, :length] = layer.values[slot, :, :length]
        self.lengths.append(length)
        return copy

    def drop(self, slot: int) -> int:
        """Free a slot; returns the number of the one that moved into its place (itself where it was the last)."""
        last = len(self.lengths) - 1
        length = self.lengths.pop()
        if slot != last:
            for layer in self._layers:
                layer.keys[slot, :, :length] = layer.keys[last, :, :length]
                layer.values[slot, :, :length] = layer.values[last, :, :length]
            self.lengths[slot] = length
        return last

    def _reserve(self, slots: int, tokens: int) -> None:
        held = self._layers[0].keys.shape
        if slots <= held[0] and tokens <= held[2]:
            return
        if tokens > held[2]:
            # Only the slots in use move to the longer buffer: those that a crowd of short answers has left behind
            # would be as long, and the memory that they take is nowhere counted.
            slots, tokens = -(-slots // SLOTS) * SLOTS, -(-tokens // TOKENS) * TOKENS
        else:
            slots, tokens = -(-max(slots, held[0] * 5 // 4) // SLOTS) * SLOTS, held[2]
        for layer in self._layers:
            layer.keys = _grown(layer.keys, slots, tokens)
            layer.values = _grown(layer.values, slots, tokens)

    def cache(self) -> Any:
        """A transformers cache for one more token of every slot, which is written into the slots."""
        import torch

        device = self._layers[0].keys.device
        places = torch.tensor(self.lengths, device=device)
        return _slot_cache(self._layers, places, max(self.lengths) + 1)

    def grew(self) -> None:
        """Count the token that a step has written into every slot."""
        self.lengths = [length + 1 for length in self.lengths]


def _empty(like: torch.Tensor, slots: int, tokens: int) -> torch.Tensor:
    # Zeros, not whatever memory holds: a masked NaN would still be one.
    return like.new_zeros((slots, like.shape[1], tokens, like.shape[3]))


def _grown(tensor: torch.Tensor, slots: int, tokens: int) -> torch.Tensor:
    out = _empty(tensor, slots, tokens)
    kept = min(slots, tensor.shape[0])
    out[:kept, :, : tensor.shape[2]] = tensor[:kept]
    return out


def _slot_cache(layers: Sequence[Layer], places: torch.Tensor, width: int) -> Any:
    import torch
    from transformers.cache_utils import Cache, CacheLayerMixin

    rows = torch.arange(len(places), device=places.device)

    class SlotLayer(CacheLayerMixin):
        """Writes one token a slot at its own place, and hands out the slots in use."""

        is_sliding = False

        def __init__(self, layer: Layer) -> None:
            super().__init__()  # type: ignore[no-untyped-call]  # transformers leaves it without annotations
            self.layer, self.is_initialized = layer, True

        def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
            """Nothing: the slots are there."""

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            """Write keys and values of shape (slots, heads, 1, size)."""
            keys, values = self.layer.keys, self.layer.values
            keys[rows, :, places] = key_states[:, :, 0]
            values[rows, :, places] = value_states[:, :, 0]
            return keys[: len(rows), :, :width], values[: len(rows), :, :width]

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            """Length and offset of the keys."""
            return width, 0

        def get_seq_length(self) -> int:
            """Tokens of the longest slot."""
            return width - 1

        def get_max_length(self) -> int:
            """No limit of its own."""
            return -1

    return Cache(layers=[SlotLayer(layer) for layer in layers])
