"""What a reader of a sweep has to know beside its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from halueval.sweep.run import Sweep

if TYPE_CHECKING:
    from halueval.sweep.record import ArmRecord


def notes(
    made: Sweep, known: int, arms: Sequence[ArmRecord], base_learnt: float | None, target: float | None
) -> list[str]:
    """Sentences for the record.

    Args:
        made: the sweep.
        known: samples that it knew.
        arms: of the record.
        base_learnt: in-task score of the base.
        target: the matched score.
    """
    said = []
    labels = made.labels
    if labels is not None and labels.lacking is not None:
        said.append(labels.lacking)
    elif labels is not None and labels.n_labelled < labels.n_asked:
        said.append(f"labels are of {labels.n_labelled} of the {labels.n_asked} rows that the study asks of their task")
    if labels is None:
        said.append(
            f"what the base knew is taken to be the {int(known)} samples that it had right in this very run: some of "
            "them by luck, which falls by itself; labels of `halueval probe` (labels: FILE) are free of that"
        )
    if len(made.study.seeds) < 3:
        said.append(f"{len(made.study.seeds)} seed(s): three or more tell arms from the luck of a training")
    if target is not None and base_learnt is not None and base_learnt >= target:
        said.append(
            f"the base itself has {100 * base_learnt:.1f} % of the facts: every arm is matched before its first step, "
            "and none can differ there; match at a higher score (match: {score: …}), or on facts that it has not"
        )
    late = [arm["name"] for arm in arms if 0 < arm["n_reached"] < len(arm["seeds"])]
    if late:
        said.append(f"not all seeds of {', '.join(late)} reached the matched score; figures are of those that did")
    if sum(bool(arm["matched"]) for arm in arms) > 2:
        said.append(
            "intervals hold for each arm by itself: of several arms the one that comes out best does so partly by luck"
        )
    if not all(math.isfinite(seed["best_learnt"]) for arm in arms for seed in arm["seeds"]):
        said.append("some trainings have no in-task score")
    return said
