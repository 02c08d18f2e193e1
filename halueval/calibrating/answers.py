"""The answers of a finished run that have a confidence, and their two halves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.errors import DataError
from halueval.schema import Kind, State, sha256_text
from halueval.store import Run, read_samples

FloatArray = NDArray[np.float64]

MIN_HALF = 20
"""Fewest samples, of as many clusters, in either half: below, a fit and its figures say nothing."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers with a state and a confidence, in the run's order.

    Attributes:
        clusters: name of each sample's cluster.
        confidence: shape (n,), as the run stored it.
        correct: shape (n,), 0 or 1.
        loglikelihoods: of the choices, before any correction; None for a run that generated.
        gold: right choices of each sample; empty for a run that generated.
        baselines: log-likelihoods of the choices by baseline prompt; empty where the run asked none.
        fixed_choices: whether all samples have the same choices, which then are classes.
        left_out: samples without a place here, by reason.
        total: samples of the run.
    """

    clusters: tuple[str, ...]
    confidence: FloatArray
    correct: FloatArray
    loglikelihoods: tuple[tuple[float, ...], ...] | None
    gold: tuple[tuple[int, ...], ...]
    baselines: tuple[Mapping[str, Sequence[float]], ...]
    fixed_choices: bool
    left_out: dict[str, int]
    total: int

    def __len__(self) -> int:
        return len(self.clusters)


def read_answers(run: Run) -> Answers:
    """Read a run's samples; abstained and unscored ones are counted and left out.

    Raises:
        DataError: the run has no right answers or no confidences, or its samples are not what `run` writes.
    """
    if run.record["task"]["kind"] == Kind.LANGUAGE_MODELING:
        raise DataError(
            f"{run.path}: a run of {run.record['task']['name']}, plain text with no right answers: nothing to "
            "calibrate; give a run of a question-answering or classification task"
        )
    rows: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    total = 0
    for row in read_samples(run.path, run.record):
        total += 1
        reason = _reason(row)
        if reason is None:
            rows.append(row)
        else:
            left_out[reason] += 1
    if not rows:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items())) or "no samples"
        raise DataError(f"{run.path}: no answer with a confidence ({told}); nothing to calibrate")
    choices = all(row.get("loglikelihoods") for row in rows)
    return Answers(
        clusters=tuple(row["cluster"] for row in rows),
        confidence=np.array([row["confidence"] for row in rows], dtype=np.float64),
        correct=np.array([row["state"] == State.CORRECT for row in rows], dtype=np.float64),
        loglikelihoods=tuple(tuple(row["loglikelihoods"]) for row in rows) if choices else None,
        gold=tuple(tuple(row["gold"]) for row in rows) if choices else (),
        baselines=tuple(row.get("baselines", {}) for row in rows) if choices else (),
        fixed_choices=choices and len({tuple(row["choices"]) for row in rows}) == 1,
        left_out=dict(sorted(left_out.items())),
        total=total,
    )


def _reason(row: Mapping[str, Any]) -> str | None:
    """Why a sample has no place in calibration."""
    if row["state"] in (State.ABSTAINED, State.UNSCORED):
        return str(row["state"])
    confidence = row.get("confidence")
    if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        return "without a confidence"
    return None


def fitting_half(clusters: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """True for samples of the half to fit on, shape (n,).

    A hash of the cluster's name decides, so that neither order nor limit moves a sample and no cluster is torn apart.
    """
    return np.array([int(sha256_text(f"calibrate:{seed}:{name}")[:8], 16) % 2 == 0 for name in clusters])


def check_halves(run: Run, answers: Answers, fit: NDArray[np.bool_]) -> None:
    """Refuse a run that is too small to be split.

    Raises:
        DataError: says how many there are and how many are needed.
    """
    for name, half in (("fitting", fit), ("reporting", ~fit)):
        size = len({answers.clusters[i] for i in np.flatnonzero(half)})
        if size < MIN_HALF:
            left = ", ".join(f"{count} {reason}" for reason, count in answers.left_out.items())
            raise DataError(
                f"{run.path}: {size} independent answers in the {name} half, of {len(answers)} answers in all"
                f"{f' ({left} left out)' if left else ''}; calibration needs at least {MIN_HALF} in each half: run "
                "the task with a larger --limit"
            )
