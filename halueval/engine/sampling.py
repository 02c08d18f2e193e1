"""Choosing the next token: the likeliest, or a draw that belongs to the sample alone.

A draw is the inverse of the cumulative distribution at a uniform number. The numbers of a sample come from a
generator seeded with the sample's own seed, one for each token, so a draw depends neither on the neighbours in
a batch nor on the device, and rounding moves it only where a number falls within rounding of a boundary.

Order of the filters as in transformers: temperature, top-k, top-p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; a temperature of 0 takes the likeliest."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0


def uniforms(seed: int, count: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) by which a sample draws its tokens, shape (count,)."""
    return np.random.default_rng(seed).random(count)


def choose(
    logits: torch.Tensor, states: Sequence[int], numbers: Sequence[float], sampling: Sampling
) -> tuple[list[int], list[float]]:
    """The next token of each sample.

    Args:
        logits: shape (n, vocabulary), float32; what each state says of the next token.
        states: for each of the m samples, the row of `logits` it stands at.
        numbers: for each sample, its uniform number for this token; unused without sampling.
        sampling: the same for all of them.

    Returns:
        Token ids and their log-probabilities under the model itself (no temperature, no filter), m of each.
    """
    import torch

    index = torch.tensor(states, device=logits.device)
    total = logits.logsumexp(-1)
    if sampling.temperature == 0:
        top, tokens = logits.max(-1)
        tokens, values = tokens[index], (top - total)[index]
    else:
        places, cumulative = _distribution(logits / sampling.temperature, sampling)
        wanted = torch.tensor(numbers, dtype=torch.float32, device=logits.device)
        mine = cumulative[index]
        # Rounding may leave the last sum a little below 1.
        last = (mine < mine[:, -1:]).sum(-1)
        drawn = torch.minimum((mine <= (wanted * mine[:, -1])[:, None]).sum(-1), last)
        tokens = drawn if places is None else places[index, drawn]
        values = logits[index, tokens] - total[index]
    return tokens.tolist(), values.tolist()


def entropies(logits: torch.Tensor, states: Sequence[int]) -> list[float]:
    """Entropy in nats of the model's distribution over the next token at each of these rows of `logits`.

    Args:
        logits: shape (n, vocabulary), float32; forbidden tokens are minus infinity.
        states: rows, m of them.

    Returns:
        m numbers; no temperature and no filter applied.
    """
    import torch

    found: list[float] = torch.special.entr(logits[list(states)].softmax(-1)).sum(-1).tolist()
    return found


def _distribution(warped: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Token ids in the order drawn from (None: all, by id) and the cumulative sums of their probabilities.

    Shape (n, k) each. What a filter leaves out has no share in the sums.
    """
    size = warped.shape[-1]
    places = None
    if 0 < sampling.top_k < size or sampling.top_p < 1:
        k = sampling.top_k if 0 < sampling.top_k < size else size
        warped, places = warped.topk(k, dim=-1)
    shares = warped.softmax(-1)
    if sampling.top_p < 1:
        before = shares.cumsum(-1) - shares
        shares = shares.masked_fill(before >= sampling.top_p, 0.0)
    return places, shares.cumsum(-1)
