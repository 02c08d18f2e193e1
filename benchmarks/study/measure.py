"""From the answers of all checkpoints to points, the law, and what waiting longer cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.study.design import TASK, Design
from halueval.known import KNOWN_CLASSES, KnownFact
from halueval.schema import State
from halueval.stats.special import student_t_quantile
from halueval.store import Run, read_samples
from halueval.sweep.law import Law, Point, fit_law
from halueval.sweep.learnt import LEARNT
from halueval.sweep.run import Sweep

CORRECT = State.CORRECT.value


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint.

    Attributes:
        share: of its training facts that are Unknown.
        seed: of its training.
        step: optimizer steps; 0 is the base.
        fitted: share of the training facts that it gives back, by known class ("known", "unknown"), of all of them.
        accuracy: on the questions that pick a checkpoint and those that report it, and on both.
        by_class: accuracy on asked facts by what the base knew of them.
        hallucinated: share of all asked facts.
    """

    share: float
    seed: int
    step: int
    fitted: Mapping[str, float]
    accuracy: Mapping[str, float]
    by_class: Mapping[str, float]
    hallucinated: float


def checkpoints(made: Mapping[float, Sweep], facts: Sequence[KnownFact]) -> list[Checkpoint]:
    """Every checkpoint of every training, the base among them."""
    classes = {fact.doc_hash: fact.known_class for fact in facts}
    out = []
    for share, one in made.items():
        for unit in one.units:
            runs = [one.base, *one.runs(unit)]
            for step, tasks in zip((0, *unit.steps), runs, strict=True):
                out.append(_checkpoint(share, unit.seed, step, tasks, classes))
    return out


def _checkpoint(share: float, seed: int, step: int, tasks: Mapping[str, Run], classes: Mapping[str, str]) -> Checkpoint:
    learnt, asked = ([*read_samples(run.path, run.record)] for run in (tasks[LEARNT], tasks[TASK]))
    right = [(row, row["state"] == CORRECT) for row in asked]
    # The halves are interleaved, so that each has about the same relations.
    halves = {"choose": right[::2], "report": right[1::2], "all": right}
    return Checkpoint(
        share=share,
        seed=seed,
        step=step,
        fitted={
            name: sum(
                row["state"] == CORRECT and (row["group"]["known_class"] == "Unknown") == (name == "unknown")
                for row in learnt
            )
            / len(learnt)
            for name in ("known", "unknown")
        },
        accuracy={name: _mean([ok for _, ok in rows]) for name, rows in halves.items()},
        by_class={
            name: _mean([ok for row, ok in right if classes.get(row["doc_hash"]) == name]) for name in KNOWN_CLASSES
        },
        hallucinated=_mean([row["state"] == State.HALLUCINATED.value for row in asked]),
    )


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else math.nan


def law_of(found: Sequence[Checkpoint]) -> Law:
    """The law over all checkpoints but the base, which fits nothing by training."""
    return fit_law(
        [
            Point(f"{c.share:g}/{c.seed}", c.step, c.accuracy["all"], c.fitted["known"], c.fitted["unknown"])
            for c in found
            if c.step
        ]
    )


def stopping(found: Sequence[Checkpoint]) -> list[dict[str, Any]]:
    """For each share the accuracy where a half of the questions says to stop, and at the end, on the other half.

    Means over seeds; the interval of the change is Student's over seeds.
    """
    rows = []
    for share in sorted({c.share for c in found}):
        early, late = [], []
        for seed in sorted({c.seed for c in found}):
            mine = sorted((c for c in found if (c.share, c.seed) == (share, seed) and c.step), key=lambda c: c.step)
            if mine:
                best = max(mine, key=lambda c: (c.accuracy["choose"], -c.step))
                early.append(best.accuracy["report"])
                late.append(mine[-1].accuracy["report"])
        change = np.array(late) - np.array(early)
        half = _half(change)
        rows.append(
            {
                "unknown_share": share,
                "early": float(np.mean(early)),
                "converged": float(np.mean(late)),
                "change": float(change.mean()),
                "ci_low": None if half is None else float(change.mean()) - half,
                "ci_high": None if half is None else float(change.mean()) + half,
                "n_seeds": len(early),
            }
        )
    return rows


def by_class(found: Sequence[Checkpoint]) -> list[dict[str, Any]]:
    """Accuracy by what the base knew, of the base and at the end of each share's trainings, means over seeds."""
    base = next(c for c in found if c.step == 0)
    rows = [{"unknown_share": None, **_finite(base.by_class), "hallucinated": base.hallucinated}]
    last = {key: max(c.step for c in found if (c.share, c.seed) == key) for key in {(c.share, c.seed) for c in found}}
    for share in sorted({c.share for c in found}):
        ends = [c for c in found if c.share == share and c.step == last[c.share, c.seed]]
        means = {name: float(np.mean([c.by_class[name] for c in ends])) for name in KNOWN_CLASSES}
        hallucinated = float(np.mean([c.hallucinated for c in ends]))
        rows.append({"unknown_share": share, **_finite(means), "hallucinated": hallucinated})
    return rows


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _half(values: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    """Half of Student's interval of a mean; None for fewer than two values, or values that are all the same."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return -student_t_quantile(0.025, len(values) - 1) * error


def record_of(design: Design, found: Sequence[Checkpoint], probe: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page says."""
    try:
        law, why = asdict(law_of(found)), None
    except ValueError as error:
        law, why = None, str(error)
    return {
        "design": asdict(design),
        "probe": {key: probe[key] for key in ("n_facts", "classes", "split_half")},
        "law": law,
        "no_law": why,
        "stopping": stopping(found),
        "by_class": by_class(found),
        "checkpoints": [{**asdict(c), "by_class": _finite(c.by_class)} for c in found],
    }
