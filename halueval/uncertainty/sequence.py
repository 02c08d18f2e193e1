"""Uncertainty from the likelihood of the answer itself (Malinin and Gales 2021; Kadavath et al. 2022 as baselines).

All in nats, and higher is less certain. The token that ended the answer is not among its tokens.
"""

from __future__ import annotations

import math


def sequence_nll(loglikelihood: float) -> float:
    """-log p(answer given prompt): the sequence log-probability with its sign turned. Longer answers have more.

    Raises:
        ValueError: not a finite number.
    """
    if not math.isfinite(loglikelihood):
        raise ValueError(f"log-likelihood {loglikelihood}")
    return -loglikelihood + 0.0


def mean_token_nll(loglikelihood: float, num_tokens: int) -> float:
    """-log p(answer given prompt) / tokens: the length-normalised log-probability with its sign turned.

    Raises:
        ValueError: no tokens, or not a finite number.
    """
    if num_tokens < 1:
        raise ValueError("an answer of no tokens has no likelihood per token")
    return sequence_nll(loglikelihood) / num_tokens
