"""Rows of one pass as a tree in one sequence: tokens, positions, and who sees whom.

Nodes stand depth first, so the descendants of a node are the ones right behind it, and "k is an ancestor of q or q
itself" is `k <= q < end[k]`: two comparisons for a whole mask, made on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halueval.engine.encoding import Row
from halueval.engine.trie import common_prefix

if TYPE_CHECKING:
    import torch

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True, slots=True)
class Packed:
    """A pass of n nodes on a root of `offset` tokens.

    Attributes:
        tokens: token of each node.
        depths: position of each node in its text; the first is `offset`.
        ends: one past the last descendant of each node.
        paths: for each row, its nodes in order.
        offset: tokens of the root.
    """

    tokens: list[int]
    depths: list[int]
    ends: list[int]
    paths: list[list[int]]
    offset: int

    @property
    def is_chain(self) -> bool:
        """Whether nothing forks, so that each node sees all before it: one text, and perhaps beginnings of it."""
        return len(self.paths[-1]) == len(self.tokens)

    def visible(self) -> int:
        """Pairs of a node and a token that it attends to: what attention must compute."""
        return sum(self.depths) + len(self.depths)


def pack(rows: Sequence[Row], offset: int) -> Packed:
    """Merge what rows are fed beyond the root into a tree.

    Args:
        rows: in the order of their tokens.
        offset: depth of the root; each row is fed more than that.
    """
    tokens: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    paths: list[list[int]] = []
    path: list[int] = []
    before: tuple[int, ...] = ()
    for row in rows:
        fed = row.fed
        kept = max(common_prefix(before, fed) - offset, 0) if paths else 0
        for node in path[kept:]:
            ends[node] = len(tokens)
        path = path[:kept]
        for depth in range(offset + kept, len(fed)):
            path.append(len(tokens))
            tokens.append(fed[depth])
            depths.append(depth)
            ends.append(0)
        paths.append(list(path))
        before = fed
    for node in path:
        ends[node] = len(tokens)
    return Packed(tokens, depths, ends, paths, offset)


def visible_mask(packed: Packed, device: torch.device, window: int | None = None) -> torch.Tensor:
    """Which root tokens and nodes each node sees; shape (n, offset + n), bool.

    Args:
        packed: the pass.
        device: where the mask is made.
        window: of a sliding window, the most tokens that a token sees, itself among them.
    """
    import torch

    node = torch.arange(len(packed.tokens), device=device)
    end = torch.tensor(packed.ends, device=device)
    depth = torch.tensor(packed.depths, device=device)
    among = (node[None, :] <= node[:, None]) & (node[:, None] < end[None, :])
    before = torch.ones((len(node), packed.offset), dtype=torch.bool, device=device)
    seen = torch.cat([before, among], dim=1)
    if window is not None:
        key_depth = torch.cat([torch.arange(packed.offset, device=device), depth])
        seen &= depth[:, None] - key_depth[None, :] < window
    return seen


def additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask of booleans as one that is added to attention scores, which every implementation takes."""
    import torch

    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
