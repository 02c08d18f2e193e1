"""How many claims were answers at all, which is read beside the mean of a scorer that gives abstentions no score."""

from __future__ import annotations

from halueval.consistency.base import NO_CLAIM
from halueval.stats.intervals import wilson_interval

ABSTAINS = "abstains"
SILENT = frozenset({ABSTAINS, NO_CLAIM})
"""Reasons of claims that are no answers: a refusal, or nothing."""
SCORERS = frozenset({"factscore"})
"""Names of the scorers whose claims may abstain."""


def answer_rate(n_silent: int, n: int, n_clusters: int) -> dict[str, float | int | None] | None:
    """Share of claims that were answers, neither empty nor an abstention.

    Args:
        n_silent: claims whose reason is in `SILENT`.
        n: claims in all.
        n_clusters: documents that they are of; the interval is as wide as if only these were independent.

    Returns:
        The share as `value` with `ci_low` and `ci_high` (Wilson, 95 %), and `n`; None of no claims.
    """
    if not n:
        return None
    value = (n - n_silent) / n
    interval = wilson_interval(value * n_clusters, n_clusters)
    return {"value": value, "ci_low": interval.low, "ci_high": interval.high, "n": n}
