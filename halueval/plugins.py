"""Directories of cards that installed packages bring, by entry points of the group `halueval.tasks`.

The value of an entry is the dotted name of a package directory that holds the YAML files:

    [project.entry-points."halueval.tasks"]
    moons = "halueval_moons.tasks"

The directory is found without importing the package: listing tasks runs nobody's code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from halueval.errors import UsageError

TASK_GROUP = "halueval.tasks"
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def package_of(entry: EntryPoint) -> str:
    """How messages name the package that an entry point comes from."""
    return f"package {entry.dist.name}" if entry.dist else entry.value


def plugged_directories() -> list[Path]:
    """Directories with tasks, groups and model cards of installed packages, in the order of their entries' names.

    Raises:
        UsageError: an entry names no directory.
    """
    found: dict[Path, None] = {}
    for entry in sorted(entry_points(group=TASK_GROUP), key=lambda e: (e.name, e.value)):
        found.setdefault(_directory(entry))
    return list(found)


def _directory(entry: EntryPoint) -> Path:
    if _DOTTED.fullmatch(entry.value):
        top, *below = entry.value.split(".")
        for root in _roots(top):
            directory = root.joinpath(*below)
            if directory.is_dir():
                return directory.resolve()
    raise UsageError(
        f"tasks {entry.name!r} of {package_of(entry)}: {entry.value!r} must be the dotted name of a package directory "
        "that holds YAML files; install a version that has it, or uninstall the package"
    )


def _roots(top: str) -> Iterator[Path]:
    """Directories of a top-level package. Finding one imports nothing."""
    try:
        spec = find_spec(top)
    except ValueError:  # a module without a specification, such as __main__
        return
    if spec is not None and spec.submodule_search_locations is not None:
        yield from map(Path, spec.submodule_search_locations)
