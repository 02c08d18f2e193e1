"""What a leaderboard consists of. Everything that prints one (Markdown, CSV, JSON, pages) reads these types only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from halueval.store import Run

BOARD_SCHEMA_VERSION = 1
"""Of `leaderboard.json`."""

Unit = Literal["share", "number"]
Problem = Literal[
    "unfinished", "unreadable", "schema", "truncated", "duplicate", "link", "limited", "dirty", "mismatch", "superseded"
]
"""Why a run is left out. Those of `INCLUDABLE` may be asked for all the same."""

INCLUDABLE: tuple[Problem, ...] = ("limited", "dirty", "mismatch")


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the board.

    Attributes:
        key: stable name, the same in JSON and CSV.
        title: as printed.
        unit: a share is printed in per cent.
        higher_is_better: None where neither direction is better (length).
        about: what it is, in a sentence.
    """

    key: str
    title: str
    unit: Unit
    higher_is_better: bool | None
    about: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of one model.

    Attributes:
        value: None where there is none; `reason` says why.
        ci_low: lower end of its 95 % interval; None where there is no interval.
        ci_high: upper end.
        n_scored: samples that it is of.
        n_unscored: samples without a score.
        metrics: names of the figures of `run.json` that it is or averages, by task.
        reason: why value or interval is missing, empty otherwise.
        rank: one more than the number of models whose interval lies wholly on the better side; models of equal rank
            are tied. None where the column has no better side, where the figure has no interval, where the run is of
            another set-up than its table, or where there is nothing to compare.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_scored: int
    n_unscored: int
    metrics: Mapping[str, str]
    reason: str = ""
    rank: int | None = None

    @property
    def coverage(self) -> float | None:
        """Share of the samples that have a score."""
        total = self.n_scored + self.n_unscored
        return self.n_scored / total if total else None


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the board knows it.

    Attributes:
        key: name, made unique by the first digits of its weights where two models share one.
        name: as its runs call it.
        family: first word of its name (`llama`, `qwen2.5`), to filter by.
        num_parameters: None where no run says so.
        size: class of size, to filter by: `< 0.5B`, `0.5B-2B`, `2B-10B`, `> 10B`, or `unknown`.
        base: name of the model that it was fine-tuned from; None where its card names none.
        source: where its weights came from.
        weights_sha256: of its weights.
        adapter_sha256: of its adapter, None without one.
        dtype: of its runs.
        languages: of its tasks.
        kinds: of its tasks.
        runs: the run that counts, by task.
    """

    key: str
    name: str
    family: str
    num_parameters: int | None
    size: str
    base: str | None
    source: str
    weights_sha256: str
    adapter_sha256: str | None
    dtype: str
    languages: tuple[str, ...]
    kinds: tuple[str, ...]
    runs: Mapping[str, Run]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a table.

    Attributes:
        model: key of the model.
        cells: by key of the column.
        run_id: of the run, where the table is of one task.
        n_samples: of the run, where the table is of one task.
        remark: why the run would not count if it had not been asked for; empty for a run that counts by itself.
    """

    model: str
    cells: Mapping[str, Cell]
    run_id: str | None = None
    n_samples: int | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class TaskBoard:
    """All models on one task by rank; tied models stand by value, then name, and those without a rank stand last.

    Attributes:
        task: its name.
        kind: of the task.
        language: of the task.
        primary: name of its main figure.
        columns: keys of the columns that some model has, in order.
        order: key of the column by which the entries are ordered.
        entries: a line a model.
        settings: few-shot examples, limit and the like that all these runs share.
    """

    task: str
    kind: str
    language: str
    primary: str
    columns: tuple[str, ...]
    order: str
    entries: tuple[Entry, ...]
    settings: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overall:
    """Means over the tasks that every model of the table has: a rank over other tasks would compare tasks, not models.

    Attributes:
        tasks: for each column the tasks that it is the mean over.
        columns: keys of the columns that have one.
        entries: a line a model, the best first by the first column that has a better side.
        absent: models that are in no line, and what each lacks.
    """

    tasks: Mapping[str, tuple[str, ...]]
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]
    absent: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Excluded:
    """A run or directory that does not count.

    Attributes:
        path: relative to the directory of results that it was found under, with `/`.
        problem: what kind of reason it is.
        reason: in one line.
        model: name, where it is known.
        task: name, where it is known.
    """

    path: str
    problem: Problem
    reason: str
    model: str | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """A whole leaderboard.

    Attributes:
        title: of its pages.
        columns: all columns, in order.
        models: by name, in order.
        tasks: in order.
        overall: means over the tasks that all models have; None where there is no such task.
        pairs: (base, candidate) keys of models of which the second was fine-tuned from the first.
        excluded: what does not count, in order of its path.
        included: problems that were let through.
    """

    title: str
    columns: tuple[Column, ...]
    models: tuple[Model, ...]
    tasks: tuple[TaskBoard, ...]
    overall: Overall | None
    pairs: tuple[tuple[str, str], ...]
    excluded: tuple[Excluded, ...]
    included: tuple[Problem, ...] = ()

    def model(self, key: str) -> Model:
        """The model of a key."""
        return next(model for model in self.models if model.key == key)

    def column(self, key: str) -> Column:
        """The column of a key."""
        return next(column for column in self.columns if column.key == key)
