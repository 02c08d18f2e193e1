"""From what the user names (run directories, model names) to runs that belong together.

A model name means every task of it under the results directory. Where a model has several runs of a task
(other limits, seeds), the newest two that may be compared are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from halueval.compare.pairing import find_mismatches
from halueval.compare.table import Runs
from halueval.errors import DataError, UsageError, nearest
from halueval.store import RUN_FILE, Run, load_run

Choice = Mapping[str, Sequence[Run]]
"""Runs of one model by task, newest first."""


def find_runs(name: str | Path, results: Path) -> dict[str, list[Run]]:
    """The runs that an argument means.

    Args:
        name: a run directory (or its `run.json`), or the name of a model under `results`.
        results: directory of results.

    Raises:
        DataError: a directory that is no finished run.
        UsageError: neither a directory nor a model under `results`.
    """
    path = Path(name)
    if path.name == RUN_FILE or (path / RUN_FILE).is_file():
        run = load_run(path)
        return {str(run.record["task"]["name"]): [run]}
    by_task: dict[str, list[Run]] = {}
    inside = results / path
    if not path.is_absolute() and ".." not in path.parts and inside.is_dir():
        for file in sorted(inside.glob(f"*/*/{RUN_FILE}")):
            run = load_run(file)
            by_task.setdefault(str(run.record["task"]["name"]), []).append(run)
    if by_task:
        for runs in by_task.values():
            runs.sort(key=lambda run: (run.record["finished_at"], run.run_id), reverse=True)
        return dict(sorted(by_task.items()))
    if path.exists():
        if path.is_dir() and (held := sorted(path.glob(f"**/{RUN_FILE}"))):
            raise DataError(
                f"{path}: is no run directory; it holds {len(held)}: give one of them, such as {held[0].parent}, or "
                "a model's name with --results"
            )
        load_run(path)
    known = {str(file.parent.parent.parent.relative_to(results)) for file in results.glob(f"*/*/*/{RUN_FILE}")}
    hint = nearest(str(name), known) or f"; {results} holds no finished runs"
    raise UsageError(f"{name}: neither a run directory nor a model with finished runs under {results}{hint}")


def of_one_model(name: str | Path, choice: Choice) -> tuple[Choice, list[str]]:
    """The runs of the weights that were run last, where a name has stood for several.

    Directories with the same last name, and a checkpoint trained anew, leave runs of other weights under one name: a
    table must not take one task from these and another from those.

    Args:
        name: what the user called the model.
        choice: its runs by task, newest first.

    Returns:
        The runs, and a note where some were left out.
    """
    newest = max((run for runs in choice.values() for run in runs), key=lambda run: run.record["finished_at"])
    mine = {task: [run for run in runs if _weights(run) == _weights(newest)] for task, runs in choice.items()}
    kept = {task: runs for task, runs in mine.items() if runs}
    others = {_weights(run) for runs in choice.values() for run in runs} - {_weights(newest)}
    if not others:
        return kept, []
    lost = [task for task in choice if task not in kept]
    told = f"{name} has runs of {len(others) + 1} different weights; those run last are used ({newest.path})"
    return kept, [told + (f", which have no run of {', '.join(lost)}" if lost else "")]


def _weights(run: Run) -> tuple[str, str | None]:
    return run.record["model"]["weights_sha256"], run.record["model"]["adapter_sha256"]


def match(base: Choice, candidates: Sequence[Choice], names: Sequence[str]) -> tuple[Runs, list[Runs], list[list[str]]]:
    """Choose one run a task for each side.

    Args:
        base: the base's runs.
        candidates: each candidate's runs.
        names: what the user called base and candidates.

    Returns:
        The base's runs, each candidate's, and notes for each candidate.

    Raises:
        UsageError: a candidate shares no task with the base.
    """
    chosen: dict[str, Run] = {}
    out: list[Runs] = []
    notes: list[list[str]] = []
    for choice, name in zip(candidates, names[1:], strict=True):
        shared = [task for task in base if task in choice]
        if not shared:
            raise UsageError(
                f"{names[0]} and {name} have no task in common: {', '.join(base)} and {', '.join(choice)}; "
                "give runs of one task"
            )
        mine: dict[str, Run] = {}
        told = []
        for task in shared:
            options = [chosen[task]] if task in chosen else base[task]
            chosen[task], mine[task] = _newest(options, choice[task])
            told += _told(task, chosen[task], base[task], "base")
            told += _told(task, mine[task], choice[task], "candidate")
        left = sorted((set(base) | set(choice)) - set(shared))
        if left:
            told.append(f"not compared, since only one model has them: {', '.join(left)}")
        out.append(mine)
        notes.append(told)
    return {task: chosen[task] for task in base if task in chosen}, out, notes


def _newest(base: Sequence[Run], candidate: Sequence[Run]) -> tuple[Run, Run]:
    """The newest two that agree; where none do, the newest of each, to be refused with what differs."""
    for ours in base:
        for theirs in candidate:
            if not find_mismatches(ours, theirs):
                return ours, theirs
    return base[0], candidate[0]


def _told(task: str, run: Run, options: Sequence[Run], side: str) -> list[str]:
    if len(options) < 2:
        return []
    return [f"{task}: the {side} has {len(options)} runs; {run.run_id} is used"]
