"""Tokens that a checkpoint's `generation_config` ends an answer with, forbids, or forces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Rules about token ids; everything else in a `generation_config` (beams, penalties) belongs to the task.

    Attributes:
        ends: ids that end an answer; some checkpoints name several.
        never: ids that are never chosen.
        never_first: ids that are not chosen as the first token.
        first: the first token, where it is forced (a language code).
    """

    ends: frozenset[int] = frozenset()
    never: tuple[int, ...] = ()
    never_first: tuple[int, ...] = ()
    first: int | None = None

    @classmethod
    def of(cls, config: Any) -> TokenRules:
        """From a `GenerationConfig`."""
        ends = config.eos_token_id
        return cls(
            frozenset() if ends is None else frozenset(ends if isinstance(ends, list) else [ends]),
            tuple(config.suppress_tokens or ()),
            tuple(config.begin_suppress_tokens or ()),
            config.forced_bos_token_id,
        )

    def apply(self, logits: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Logits with minus infinity where a token may not be chosen.

        Args:
            logits: shape (n, vocabulary).
            lengths: tokens generated so far at each of the n states.
        """
        import torch

        if not self.never and ((self.first is None and not self.never_first) or 0 not in lengths):
            return logits
        out = logits.clone()
        out[:, list(self.never)] = -torch.inf
        start = torch.tensor([length == 0 for length in lengths], device=logits.device)
        if self.never_first:
            out[:, list(self.never_first)] = out[:, list(self.never_first)].masked_fill(start[:, None], -torch.inf)
        if self.first is not None:
            forced = torch.full_like(out, -torch.inf)
            forced[:, self.first] = 0.0
            out = torch.where(start[:, None], forced, out)
        return out
