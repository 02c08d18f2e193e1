"""Every run below a directory, at any depth, and every directory that looks like one and is none."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from halueval.errors import DataError
from halueval.leaderboard.board import Excluded
from halueval.leaderboard.check import read_checked
from halueval.store import RUN_FILE, SAMPLES_FILE, Run

RESPONSES = "responses"
"""Directory of journals beside the runs of a task."""
_CHUNK = 2**20
_LOOP = "a link to a directory that it lies in"
_AGAIN = "a link to a directory that is read already"
_NOWHERE = "a link to nothing, or to itself"
_JOURNAL_ONLY = "has responses but no finished run; repeat its command"
_NO_RECORD = "has no run.json: the run is unfinished; repeat its command"


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
        for item in _walk(root):
            if isinstance(item, Excluded):
                excluded.append(item)
                continue
            found = _read(item, item.relative_to(root).as_posix(), verify=verify)
            if isinstance(found, Found):
                runs.append(found)
            else:
                excluded.append(found)
    runs.sort(key=lambda found: (found.path, str(found.run.path)))
    excluded.sort(key=lambda item: (item.path, item.reason))
    return runs, excluded


def _walk(root: Path) -> Iterator[Path | Excluded]:
    """Directories with a file of a run, and what cannot be one.

    Links are followed after everything else and every directory is entered once, so that links that lead round in
    circles, or many that lead to each other, cost nothing.
    """
    entered: set[str] = set()
    links: list[Path] = []
    todo = deque([root])
    while todo or links:
        if not todo:
            links.sort(reverse=True)
            link = links.pop()
            problem = _link_problem(link, entered)
            if problem is not None:
                yield Excluded(link.relative_to(root).as_posix(), "link", problem)
                continue
            todo.append(link)
        directory = todo.popleft()
        entered.add(os.path.realpath(directory))
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError as error:
            yield Excluded(directory.relative_to(root).as_posix(), "unreadable", f"cannot be read: {error.strerror}")
            continue
        names = {entry.name for entry in entries}
        if RUN_FILE in names or SAMPLES_FILE in names:
            yield directory
            continue
        if RESPONSES in names and len(entries) == 1 and (directory / RESPONSES).is_dir():
            yield Excluded(directory.relative_to(root).as_posix(), "unfinished", _JOURNAL_ONLY)
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                if entry.is_dir() or not os.path.exists(entry.path):
                    links.append(directory / entry.name)
            elif entry.is_dir():
                todo.append(directory / entry.name)


def _link_problem(link: Path, entered: set[str]) -> str | None:
    """Why a link to a directory is not followed; None where it is."""
    if not link.exists():
        return _NOWHERE
    real = os.path.realpath(link)
    if real not in entered:
        return None
    lies_in = os.path.realpath(link.parent)
    return _LOOP if lies_in == real or lies_in.startswith(real.rstrip(os.sep) + os.sep) else _AGAIN


def _read(directory: Path, path: str, *, verify: bool) -> Found | Excluded:
    file = directory / RUN_FILE
    if not file.is_file():
        return Excluded(path, "unfinished", _NO_RECORD)
    record = read_checked(file)
    if not isinstance(record, dict):
        problem, reason = record
        return Excluded(path, problem, reason)
    run = Run(directory, record)
    wrong = _samples(run, verify=verify)
    if wrong is not None:
        return Excluded(path, "truncated", wrong, record["model"]["name"], record["task"]["name"])
    return Found(run, path)


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
