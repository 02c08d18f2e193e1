"""The board of some directories of results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from halueval.errors import UsageError, nearest
from halueval.leaderboard.board import INCLUDABLE, Board, Cell, Entry, Excluded, Model, Overall, Problem, TaskBoard
from halueval.leaderboard.cells import BY_KEY, COLUMNS, RANKED, cells_of, mean_cell, order, with_ranks
from halueval.leaderboard.find import Found, find
from halueval.leaderboard.pick import SETUP, pick
from halueval.leaderboard.settings import BoardSpec

KINDS = ("qa", "classification", "summarization", "language_modeling")


def build_board(
    results: Sequence[Path], spec: BoardSpec | None = None, *, include: Collection[str] = (), verify: bool = False
) -> Board:
    """Find runs, choose those that count, and put their figures into tables.

    Args:
        results: directories of results.
        spec: settings; the defaults where there are none.
        include: problems to let through, of `INCLUDABLE`.
        verify: read every samples file whole.

    Raises:
        DataError: a directory that is not there.
        UsageError: a problem that cannot be let through.
    """
    spec = spec or BoardSpec()
    included = _included(include)
    runs, excluded = find(results, verify=verify)
    chosen, left = pick(runs, spec, included)
    models = _models(chosen)
    tasks = _tasks(chosen)
    return Board(
        title=spec.title,
        columns=COLUMNS,
        models=models,
        tasks=tasks,
        overall=_overall(chosen, tasks, spec),
        pairs=_pairs(models),
        excluded=tuple(sorted([*excluded, *left], key=lambda item: (item.path, item.reason))),
        included=included,
    )


def _included(include: Collection[str]) -> tuple[Problem, ...]:
    for name in include:
        if name not in INCLUDABLE:
            raise UsageError(
                f"--include {name}: only {' and '.join(INCLUDABLE)} runs can be let through{nearest(name, INCLUDABLE)}"
            )
    return tuple(problem for problem in INCLUDABLE if problem in include)


def _models(chosen: Mapping[str, Mapping[str, Found]]) -> tuple[Model, ...]:
    records = {key: next(iter(runs.values())).run.record["model"] for key, runs in chosen.items()}
    bases = {record["name"]: record["base"] for record in records.values()}
    out = []
    for key, runs in chosen.items():
        record = records[key]
        tasks = [found.run.record["task"] for found in runs.values()]
        out.append(
            Model(
                key=key,
                name=record["name"],
                family=_family(record["name"], bases),
                num_parameters=record["num_parameters"],
                size=_size(record["num_parameters"]),
                base=record["base"],
                source=record["source"],
                weights_sha256=record["weights_sha256"],
                adapter_sha256=record["adapter_sha256"],
                dtype=record["dtype"],
                languages=tuple(sorted({task["language"] for task in tasks})),
                kinds=tuple(kind for kind in KINDS if any(task["kind"] == kind for task in tasks)),
                runs={task: runs[task].run for task in sorted(runs)},
            )
        )
    return tuple(out)


def _family(name: str, bases: Mapping[str, str | None]) -> str:
    """First word of the name of the model at the root of the lineage."""
    seen: set[str] = set()
    while name in bases and name not in seen and (base := bases[name]):
        seen.add(name)
        name = base
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return last.split("-", 1)[0] or name


def _size(parameters: int | None) -> str:
    if parameters is None:
        return "unknown"
    billions = parameters / 1e9
    return next(
        (name for limit, name in ((0.5, "< 0.5B"), (2, "0.5B-2B"), (10, "2B-10B")) if billions < limit), "> 10B"
    )


def _tasks(chosen: Mapping[str, Mapping[str, Found]]) -> tuple[TaskBoard, ...]:
    out = []
    for task in sorted({task for runs in chosen.values() for task in runs}):
        mine = {key: runs[task].run for key, runs in chosen.items() if task in runs}
        first = next(iter(mine.values())).record
        cells = {key: cells_of(run.record) for key, run in mine.items()}
        columns = tuple(c.key for c in COLUMNS if any(c.key in found for found in cells.values()))
        lines = _ranked(cells, columns)
        by = next((key for key in columns if key in RANKED), columns[0] if columns else "")
        entries = [
            Entry(key, lines[key], run.run_id, run.record["n_samples"]["effective"]) for key, run in mine.items()
        ]
        out.append(
            TaskBoard(
                task=task,
                kind=first["task"]["kind"],
                language=first["task"]["language"],
                primary=first["task"]["primary_metric"],
                columns=columns,
                order=by,
                entries=_sorted(entries, by),
                settings={key: first["identity"].get(key) for key in SETUP if not key.endswith(("hash", "sha256"))},
            )
        )
    kinds = {kind: i for i, kind in enumerate(KINDS)}
    return tuple(sorted(out, key=lambda board: (kinds.get(board.kind, len(KINDS)), board.task)))


def _ranked(cells: Mapping[str, Mapping[str, Cell]], columns: Sequence[str]) -> dict[str, dict[str, Cell]]:
    lines: dict[str, dict[str, Cell]] = {key: {} for key in cells}
    for column in columns:
        found = with_ranks(BY_KEY[column], [mine.get(column) for mine in cells.values()])
        for key, cell in zip(cells, found, strict=True):
            if cell is not None:
                lines[key][column] = cell
    return lines


def _sorted(entries: Sequence[Entry], by: str) -> tuple[Entry, ...]:
    if not by:
        return tuple(entries)
    column = BY_KEY[by]

    def key(entry: Entry) -> tuple[Any, ...]:
        cell = entry.cells.get(by)
        rank = cell.rank if cell and cell.rank is not None else 0
        return (*order(column, cell)[:1], rank, *order(column, cell)[1:], entry.model)

    return tuple(sorted(entries, key=key))


def _overall(chosen: Mapping[str, Mapping[str, Found]], tasks: Sequence[TaskBoard], spec: BoardSpec) -> Overall | None:
    """Means over the tasks of the board; a model that lacks one of them is in no line."""
    held = {board.task: len(board.entries) for board in tasks}
    most = max(held.values(), default=0)
    wanted = [task for task in spec.tasks if task in held] or [task for task in held if 2 * held[task] >= most]
    absent = {}
    for key, runs in chosen.items():
        lacking = [task for task in wanted if task not in runs]
        if lacking:
            absent[key] = f"has no run of {', '.join(lacking)}"
    present = [key for key in chosen if key not in absent]
    if not wanted or not present:
        return None
    cells = {key: {task: cells_of(chosen[key][task].run.record) for task in wanted} for key in present}
    over: dict[str, tuple[str, ...]] = {}
    for column in COLUMNS:
        mine = tuple(task for task in wanted if any(column.key in cells[key][task] for key in present))
        if mine:
            over[column.key] = mine
    means = {
        key: {
            column: mean_cell(BY_KEY[column], {task: cells[key][task].get(column) for task in mine})
            for column, mine in over.items()
        }
        for key in present
    }
    lines = _ranked(means, tuple(over))
    by = next((key for key in over if key in RANKED), next(iter(over), ""))
    return Overall(over, tuple(over), _sorted([Entry(key, lines[key]) for key in present], by), absent)


def _pairs(models: Sequence[Model]) -> tuple[tuple[str, str], ...]:
    """Bases and what was fine-tuned from them; of several models of a base's name, the one that ran last."""
    latest: dict[str, Model] = {}
    for model in models:
        other = latest.get(model.name)
        if other is None or _finished(model) > _finished(other):
            latest[model.name] = model
    return tuple(
        (latest[model.base].key, model.key)
        for model in models
        if model.base in latest and latest[model.base].key != model.key
    )


def _finished(model: Model) -> str:
    return max(str(run.record["finished_at"]) for run in model.runs.values())


def excluded_lines(excluded: Sequence[Excluded]) -> list[str]:
    """What was left out, a line each."""
    return [f"{item.path}: {item.reason}" for item in excluded]
