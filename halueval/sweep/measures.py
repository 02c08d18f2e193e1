"""From runs to tables: each figure of a sweep as a ratio of sums over items, for every checkpoint of every seed.

A figure that is Σ numerator / Σ denominator can be taken of any resample of its items, which is what intervals need.
The base stands as checkpoint 0 of every training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from halueval.errors import DataError
from halueval.schema import State
from halueval.store import Run, read_samples
from halueval.sweep.labels import KNOWN
from halueval.sweep.learnt import LEARNT

FloatArray = NDArray[np.float64]
Pool = Literal["learnt", "answers", "texts"]
"""Which items a figure is over: the trained facts, the samples of QA tasks, documents."""

CORRECT, HALLUCINATED, UNSCORED = State.CORRECT.value, State.HALLUCINATED.value, State.UNSCORED.value
ANSWERED = (CORRECT, HALLUCINATED)


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a sweep.

    Attributes:
        name: in the record.
        label: in tables.
        pool: its items.
        higher_is_better: None where neither is.
        share: whether it is a share of its items, in [0, 1].
        meaning: one line.
    """

    name: str
    label: str
    pool: Pool
    higher_is_better: bool | None
    share: bool
    meaning: str


MEASURES: tuple[Measure, ...] = (
    Measure("learnt", "learnt", "learnt", True, True, "share of the trained facts that are answered as trained"),
    Measure(
        "induced",
        "induced",
        "answers",
        False,
        True,
        "share hallucinated of the samples that the base did not hallucinate on",
    ),
    Measure("hallucinated", "hallucinated", "answers", False, True, "share of all samples that are hallucinated"),
    Measure("known_accuracy", "known kept", "answers", True, True, "accuracy on samples that the base knew"),
    Measure("brier", "Brier", "answers", False, False, "mean of (confidence − right)², answered samples"),
    Measure(
        "confidence_gap", "overconfidence", "answers", None, False, "mean confidence less accuracy, answered samples"
    ),
    Measure("forgetting", "forgetting", "texts", False, False, "bits per byte of general text more than the base's"),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class Table:
    """One figure for the checkpoints of one training.

    Attributes:
        top: shape (checkpoints, items), numerators.
        bottom: same shape, denominators; 0 where the item has no value.
    """

    top: FloatArray
    bottom: FloatArray


@dataclass(frozen=True, slots=True)
class Training:
    """Everything measured of one arm with one seed.

    Attributes:
        seed: of the training.
        steps: of each checkpoint, beginning with 0, the base.
        final: index of the checkpoint whose weights are the final ones.
        tables: by measure; those that the study's tasks do not give are left out.
    """

    seed: int
    steps: tuple[int, ...]
    final: int
    tables: Mapping[str, Table]


Rows = Mapping[Pool, Sequence[Mapping[str, Any]]]
"""Rows of samples by pool, in one order for all runs."""


def pooled_rows(runs: Mapping[str, Run]) -> dict[Pool, list[dict[str, Any]]]:
    """Samples of one model's runs by pool; rows gain the key `task`."""
    out: dict[Pool, list[dict[str, Any]]] = {"learnt": [], "answers": [], "texts": []}
    for task, run in runs.items():
        kind = run.record["task"]["kind"]
        pool: Pool | None = (
            "learnt" if task == LEARNT else {"qa": "answers", "language_modeling": "texts"}.get(kind)  # type: ignore[assignment]
        )
        if pool is not None:
            out[pool] += [{**row, "task": task} for row in read_samples(run.path, run.record)]
    return out


def clusters(rows: Rows) -> dict[Pool, list[str]]:
    """For each pool the name of each item's cluster; items of one are resampled together."""
    return {pool: [f"{row['task']}:{row['cluster']}" for row in items] for pool, items in rows.items()}


def known_by_base(base: Rows, labels: Mapping[str, str] | None) -> NDArray[np.bool_]:
    """Which answers the base knew: by probe labels (HighlyKnown, MaybeKnown), or those that it had right.

    What the base had right by luck in the very run that is compared falls by itself; labels come from other draws.
    """
    rows = base["answers"]
    if labels is None:
        return np.array([row["state"] == CORRECT for row in rows], dtype=bool)
    return np.array([labels.get(row["doc_hash"]) in KNOWN for row in rows], dtype=bool)


def training_tables(base: Rows, checkpoints: Sequence[Rows], known: NDArray[np.bool_], where: str) -> dict[str, Table]:
    """Tables of one training.

    Args:
        base: rows of the base.
        checkpoints: rows of each checkpoint.
        known: shape (answers,), see `known_by_base`.
        where: name of the training, for messages.

    Raises:
        DataError: a checkpoint was asked other things than the base.
    """
    for pool, rows in base.items():
        wanted = [(row["task"], row["sample_id"], row["prompt_hash"]) for row in rows]
        for one in checkpoints:
            if [(row["task"], row["sample_id"], row["prompt_hash"]) for row in one[pool]] != wanted:
                raise DataError(
                    f"{where}: its samples are not those of the base; start the sweep in an empty directory"
                )
    safe = np.array([row["state"] not in (HALLUCINATED, UNSCORED) for row in base["answers"]], dtype=bool)
    makers: dict[str, Callable[[Rows], tuple[FloatArray, FloatArray]]] = {
        "learnt": lambda rows: _share(rows["learnt"], CORRECT, None),
        "induced": lambda rows: _share(rows["answers"], HALLUCINATED, safe),
        "hallucinated": lambda rows: _share(rows["answers"], HALLUCINATED, None),
        "known_accuracy": lambda rows: _share(rows["answers"], CORRECT, known),
        "brier": lambda rows: _confidence(rows["answers"], lambda c, right: (c - right) ** 2),
        "confidence_gap": lambda rows: _confidence(rows["answers"], lambda c, right: c - right),
        "forgetting": lambda rows: _more_bits(rows["texts"], base["texts"]),
    }
    tables = {}
    for name, maker in makers.items():
        made = [maker(rows) for rows in (base, *checkpoints)]
        table = Table(np.array([top for top, _ in made]), np.array([bottom for _, bottom in made]))
        if table.bottom.any():
            tables[name] = table
    return tables


def _share(
    rows: Sequence[Mapping[str, Any]], state: str, among: NDArray[np.bool_] | None
) -> tuple[FloatArray, FloatArray]:
    bottom = np.array([row["state"] != UNSCORED for row in rows], dtype=np.float64)
    if among is not None:
        bottom *= among
    return np.array([row["state"] == state for row in rows], dtype=np.float64) * bottom, bottom


def _confidence(
    rows: Sequence[Mapping[str, Any]], score: Callable[[float, float], float]
) -> tuple[FloatArray, FloatArray]:
    """Over answered samples alone, as the figure `brier` of a run: a model that declines has claimed nothing."""
    top, bottom = np.zeros(len(rows)), np.zeros(len(rows))
    for i, row in enumerate(rows):
        if row["confidence"] is not None and row["state"] in ANSWERED:
            top[i], bottom[i] = score(float(row["confidence"]), float(row["state"] == CORRECT)), 1.0
    return top, bottom


def _more_bits(rows: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]) -> tuple[FloatArray, FloatArray]:
    """What each text takes more than by the base, paired: texts differ far more than models do."""
    top, bottom = np.zeros(len(rows)), np.zeros(len(rows))
    for i, (row, other) in enumerate(zip(rows, base, strict=True)):
        pair, before = (((one.get("stats") or {}).get("bits_per_byte")) for one in (row, other))
        if pair is not None and before is not None:
            top[i], bottom[i] = float(pair[0]) - float(before[0]), float(pair[1])
    return top, bottom
