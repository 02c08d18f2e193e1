"""How far the candidate's behaviour moved on neutral text: KL from the base, token by token.

KL(base ‖ candidate) = Σ_v p_base(v) (log p_base(v) - log p_candidate(v)) of the next token, in nats, at each position
of a text, averaged over the positions of all texts; the interval leaves out one text at a time. It needs one
vocabulary on both sides. Both models are in memory at once, as the distributions of a few thousand positions over a
vocabulary would take more room than a second model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halueval.explaining.likelihood import of_estimate
from halueval.explaining.record import Measure, missing
from halueval.stats.jackknife import table_estimate

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float64]
KL_LABEL = "KL(base ‖ candidate) on general text"
MAX_TOKENS = 256
POSITIONS = 64
"""Positions whose distributions are compared at once: 64 × 128,000 entries are 32 MB a side."""


def kl_rows(base: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    """KL(base ‖ candidate) of each row of logits, in nats.

    Args:
        base: logits, shape (n, vocabulary), any float dtype.
        candidate: the same shape, on the same device.

    Returns:
        Shape (n,), float32, at least 0.
    """
    import torch

    left, right = (torch.log_softmax(logits.float(), dim=-1) for logits in (base, candidate))
    # Where the base gives a token no chance at all, its term is 0 whatever the candidate gives it.
    terms = torch.where(left > -torch.inf, left.exp() * (left - right), 0.0)
    return terms.sum(-1).clamp_min(0.0)


def kl_on_texts(
    base: Any, candidate: Any, rows: Sequence[Sequence[int]], advance: Callable[[int], None] = lambda _: None
) -> Measure:
    """Mean KL over the positions of token rows.

    Args:
        base: a causal model of transformers.
        candidate: another with the same vocabulary.
        rows: token ids of each text, with what the tokenizer puts before it; shorter than both windows.
        advance: is told of each text.
    """
    import torch

    table = np.zeros((len(rows), 2))
    for number, ids in enumerate(rows):
        if ids:
            ours, theirs = (_logits(model, ids) for model in (base, candidate))
            if ours.shape != theirs.shape:
                return missing(KL_LABEL, "the vocabularies differ in size", "nats/token")
            total = 0.0
            for start in range(0, len(ids), POSITIONS):
                part = slice(start, start + POSITIONS)
                moved = theirs[part].to(ours.device)
                total += float(kl_rows(ours[part], moved).to(torch.float32).sum())
            table[number] = total, len(ids)
        advance(1)
    kept = table[table.any(axis=1)]
    if not len(kept) or not np.isfinite(kept).all():
        return missing(KL_LABEL, "no text, or a distribution that is not finite", "nats/token")
    return of_estimate(KL_LABEL, table_estimate(kept, lambda sums: sums[:, 0] / sums[:, 1]), "nats/token")


def _logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    import torch

    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([list(ids)], device=model.device)).logits[0]
    return logits


def no_kl(reason: str) -> dict[str, Measure]:
    """The measure, not taken."""
    return {"kl": missing(KL_LABEL, reason, "nats/token")}
