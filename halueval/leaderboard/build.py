"""The board of some directories of results."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from halueval.errors import UsageError, nearest
from halueval.leaderboard.board import INCLUDABLE, Board, Cell, Entry, Excluded, Model, Overall, TaskBoard
from halueval.leaderboard.cells import BY_KEY, COLUMNS, RANKED, cells_of, mean_cell, order, with_ranks
from halueval.leaderboard.find import Found, find
from halueval.leaderboard.pick import Chosen, pick
from halueval.leaderboard.settings import BoardSpec
from halueval.leaderboard.setups import finished, setup_of
from halueval.visible import visible

Picked = Mapping[str, Mapping[str, Chosen]]
"""By key of the model and task the run that counts."""
_SETTINGS = ("num_fewshot", "seed", "limit", "calibration")
KINDS = ("qa", "classification", "summarization", "language_modeling")


def build_board(
    results: Sequence[Path], spec: BoardSpec | None = None, *, include: Collection[str] = (), verify: bool = False
) -> Board:
    """Find runs, choose those that count, and put their figures into tables.

    Args:
        results: directories of results.
        spec: settings; the defaults where there are none.
        include: what to let through: problems, of `INCLUDABLE`, and runs by their id or directory.
        verify: read every samples file whole.

    Raises:
        DataError: a directory that is not there.
        UsageError: something that cannot be let through.
    """
    spec = spec or BoardSpec()
    runs, unusable = find(results, verify=verify)
    kinds = tuple(problem for problem in INCLUDABLE if problem in include)
    named = {_named(name, runs, unusable) for name in include if name not in INCLUDABLE}
    chosen, left = pick(runs, spec, kinds, named)
    models = _models(chosen)
    tasks = _tasks(chosen)
    return Board(
        title=spec.title,
        columns=COLUMNS,
        models=models,
        tasks=tasks,
        overall=_overall(chosen, tasks, spec),
        pairs=_pairs(models),
        excluded=tuple(sorted([*unusable, *left], key=lambda item: (item.path, item.reason))),
        included=kinds,
    )


def _named(name: str, runs: Sequence[Found], unusable: Sequence[Excluded]) -> str:
    """Id of the run that is meant by its id, its path below the results, or its directory.

    Raises:
        UsageError: no such run, or one that cannot be used.
    """
    plain = name.rstrip("/")
    for found in runs:
        if plain in (found.run.run_id, found.path) or Path(plain).absolute() == found.run.path.absolute():
            return found.run.run_id
    for item in unusable:
        if item.path == plain or plain.endswith("/" + item.path):
            raise UsageError(f"--include {visible(name)}: cannot be let through: {visible(item.reason)}")
    raise UsageError(
        f"--include {visible(name)}: neither {', '.join(INCLUDABLE)} nor a run's id or directory"
        f"{nearest(plain, [*INCLUDABLE, *(found.run.run_id for found in runs)])}"
    )


def _models(chosen: Picked) -> tuple[Model, ...]:
    records = {key: next(iter(runs.values())).record["model"] for key, runs in chosen.items()}
    bases = {record["name"]: record["base"] for record in records.values()}
    out = []
    for key, runs in chosen.items():
        record = records[key]
        tasks = [run.record["task"] for run in runs.values()]
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
                runs={task: runs[task].found.run for task in sorted(runs)},
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


def _tasks(chosen: Picked) -> tuple[TaskBoard, ...]:
    by_task: dict[str, dict[str, Chosen]] = {}
    for key, runs in chosen.items():
        for task, run in runs.items():
            by_task.setdefault(task, {})[key] = run
    made = [_task_board(task, mine) for task, mine in by_task.items()]
    return tuple(sorted(made, key=lambda board: (KINDS.index(board.kind), board.task)))


def _task_board(task: str, runs: Mapping[str, Chosen]) -> TaskBoard:
    first = next((run for run in runs.values() if run.comparable), next(iter(runs.values()))).record
    cells = {key: cells_of(run.record) for key, run in runs.items()}
    columns = tuple(column.key for column in COLUMNS if any(column.key in found for found in cells.values()))
    ranked = _ranked({key: cells[key] for key, run in runs.items() if run.comparable}, columns)
    entries = [
        Entry(
            key,
            ranked.get(key, cells[key]),
            run.found.run.run_id,
            run.record["n_samples"]["effective"],
            run.remark,
        )
        for key, run in runs.items()
    ]
    by = next((key for key in columns if key in RANKED), columns[0] if columns else "")
    setup = setup_of(first)
    return TaskBoard(
        task=task,
        kind=first["task"]["kind"],
        language=first["task"]["language"],
        primary=first["task"]["primary_metric"],
        columns=columns,
        order=by,
        entries=_sorted(entries, by),
        settings={key: setup[key] for key in _SETTINGS},
    )


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
        rank = cell.rank if cell and cell.rank is not None else math.inf
        without, value = order(column, cell)
        return without, rank, value, entry.model

    return tuple(sorted(entries, key=key))


def _overall(chosen: Picked, tasks: Sequence[TaskBoard], spec: BoardSpec) -> Overall | None:
    """Means over the tasks of the board; a model that lacks one of them is in no line."""
    held = {board.task: len(board.entries) for board in tasks}
    most = max(held.values(), default=0)
    wanted = [task for task in spec.tasks if task in held] or [task for task in held if 2 * held[task] >= most]
    absent = {}
    for key, runs in chosen.items():
        lacking = [task for task in wanted if task not in runs]
        other = [task for task in wanted if task in runs and not runs[task].comparable]
        if lacking:
            absent[key] = f"has no run of {', '.join(lacking)}"
        elif other:
            absent[key] = f"has a run of another set-up on {', '.join(other)}"
    present = [key for key in chosen if key not in absent]
    if not wanted or not present:
        return None
    cells = {key: {task: cells_of(chosen[key][task].record) for task in wanted} for key in present}
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
    entries = [Entry(key, lines[key], remark=_remarks(chosen[key], wanted)) for key in present]
    return Overall(over, tuple(over), _sorted(entries, by), absent)


def _remarks(runs: Mapping[str, Chosen], tasks: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(f"{task}: {runs[task].remark}" for task in tasks if runs[task].remark))


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


def _finished(model: Model) -> tuple[datetime, str]:
    return max(finished(run.record) for run in model.runs.values()), model.key


def excluded_lines(excluded: Sequence[Excluded]) -> list[str]:
    """What was left out, a line each."""
    return [f"{visible(item.path)}: {visible(item.reason)}" for item in excluded]
