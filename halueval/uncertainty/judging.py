"""What a run says of each figure of uncertainty: how well it tells wrong answers from right ones.

Judged are the samples whose own answer is correct or hallucinated. An abstention is no answer, so it is neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from halueval.schema import Score, State
from halueval.stats.rejection import rejection_figures


def judge_uncertainty(
    scores: Sequence[Mapping[str, Score]],
    states: Sequence[State],
    clusters: Sequence[str],
    *,
    n_resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """`auroc`, `aurac` and `prr` with intervals, `n` and what is not in it, by figure.

    Args:
        scores: of each sample, by figure; every sample has the same figures.
        states: of each sample's own answer.
        clusters: of each sample.
        n_resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    found = {}
    judged = [i for i, state in enumerate(states) if state in (State.CORRECT, State.HALLUCINATED)]
    for name in scores[0] if scores else ():
        kept = [i for i in judged if scores[i][name].value is not None]
        figures = rejection_figures(
            [value for i in kept if (value := scores[i][name].value) is not None],
            [states[i] == State.HALLUCINATED for i in kept],
            [clusters[i] for i in kept],
            n_resamples=n_resamples,
            seed=seed,
        )
        reasons = Counter(scores[i][name].reason or "" for i in judged if scores[i][name].value is None)
        found[name] = {
            **asdict(figures),
            "n_unscored": len(judged) - len(kept),
            "unscored_reasons": dict(sorted(reasons.items())),
        }
    return found
