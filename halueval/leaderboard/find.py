"""Every run below a directory, at any depth, and every directory that looks like one and is none."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halueval.errors import DataError
from halueval.leaderboard.board import Excluded
from halueval.schema import RUN_SCHEMA_VERSION
from halueval.store import RUN_FILE, SAMPLES_FILE, Run

RESPONSES = "responses"
"""Directory of journals beside the runs of a task."""
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """A run that can be read.

    Attributes:
        run: the run.
        path: relative to the directory it was found under, with `/`.
    """

    run: Run
    path: str


def find(results: Sequence[Path], *, verify: bool = False) -> tuple[list[Found], list[Excluded]]:
    """Read `run.json` of all runs.

    Args:
        results: directories; a run directory itself will do too.
        verify: compare the digest of every samples file, which reads it whole; otherwise its lines are counted.

    Returns:
        The runs and what is none, each in the order of its path.

    Raises:
        DataError: a directory that is not there.
    """
    runs: list[Found] = []
    excluded: list[Excluded] = []
    for root in results:
        if not root.is_dir():
            raise DataError(f"{root}: no such directory of results")
        for directory, problem in _directories(root):
            path = directory.relative_to(root).as_posix()
            if problem is not None:
                excluded.append(Excluded(path, "link", problem))
                continue
            found = _read(directory, path, verify=verify)
            (runs if isinstance(found, Found) else excluded).append(found)  # type: ignore[arg-type]  # the list that fits
    runs.sort(key=lambda found: (found.path, str(found.run.path)))
    excluded.sort(key=lambda item: (item.path, item.reason))
    return runs, excluded


def _directories(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Directories with a file of a run, and links that lead back to where they are, with what is wrong."""
    todo: list[tuple[Path, tuple[str, ...]]] = [(root, (os.path.realpath(root),))]
    while todo:
        directory, above = todo.pop()
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError as error:
            yield directory, f"cannot be read: {error.strerror}"
            continue
        names = {entry.name for entry in entries}
        if RUN_FILE in names or SAMPLES_FILE in names:
            yield directory, None
            continue
        for entry in reversed(entries):
            if entry.name == RESPONSES or entry.name.startswith("."):
                continue
            path = directory / entry.name
            if entry.is_symlink() and not path.exists():
                yield path, "a link to nothing, or to itself"
            elif path.is_dir():
                real = os.path.realpath(path)
                if real in above:
                    yield path, "a link to a directory that it lies in"
                else:
                    todo.append((path, (*above, real)))


def _read(directory: Path, path: str, *, verify: bool) -> Found | Excluded:
    import orjson

    file = directory / RUN_FILE
    if not file.is_file():
        return Excluded(path, "unfinished", "has no run.json: the run is unfinished; repeat its command")
    try:
        record = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        return Excluded(path, "unreadable", f"run.json cannot be read: {_one_line(error)}")
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != RUN_SCHEMA_VERSION:
        return Excluded(
            path, "schema", f"run.json is of schema version {version!r}; this halueval reads {RUN_SCHEMA_VERSION}"
        )
    lacking = _lacking(record)
    if lacking:
        return Excluded(path, "unreadable", f"run.json has no {lacking}")
    names = str(record["model"]["name"]), str(record["task"]["name"])
    run = Run(directory, record)
    problem = _samples(run, verify=verify)
    if problem is not None:
        return Excluded(path, "truncated", problem, *names)
    return Found(run, path)


_NEEDED: dict[str, tuple[str, ...]] = {
    "model": ("name", "weights_sha256", "adapter_sha256", "dtype", "source", "base", "num_parameters"),
    "task": ("name", "kind", "language", "primary_metric", "hash", "num_fewshot"),
    "identity": ("limit", "seed", "data_sha256", "task_hash"),
    "n_samples": ("original", "effective", "scored", "unscored"),
    "environment": ("git",),
    "metrics": (),
    "states": (),
}
_FIGURE = ("value", "ci_low", "ci_high", "n_scored", "n_unscored", "higher_is_better")


def _lacking(record: dict[str, Any]) -> str | None:
    """The first thing that a record of this version must have and this one has not."""
    for key in ("run_id", "finished_at", "samples_sha256"):
        if not isinstance(record.get(key), str):
            return key
    for part, keys in _NEEDED.items():
        if not isinstance(record.get(part), dict):
            return part
        for key in keys:
            if key not in record[part]:
                return f"{part}.{key}"
    for name, figure in record["metrics"].items():
        if not isinstance(figure, dict) or any(key not in figure for key in _FIGURE):
            return f"metrics.{name} with a value and an interval"
    return None


def _samples(run: Run, *, verify: bool) -> str | None:
    """What is wrong with the samples file; None for nothing."""
    if verify:
        return None if run.is_intact() else f"{SAMPLES_FILE} is missing or was changed after the run"
    expected = run.record["n_samples"]["effective"]
    try:
        with (run.path / SAMPLES_FILE).open("rb") as file:
            lines, last = 0, b"\n"
            while chunk := file.read(_CHUNK):
                lines, last = lines + chunk.count(b"\n"), chunk[-1:]
    except OSError as error:
        return f"{SAMPLES_FILE} cannot be read: {error.strerror}"
    if lines != expected or last != b"\n":
        return f"{SAMPLES_FILE} has {lines} whole lines of {expected}; run it again"
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
