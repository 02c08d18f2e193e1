"""Where a command writes its result: files, or standard output as `-`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from halueval.errors import UsageError


def targets_of(given: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, str]:
    """The targets among a command's options (`KIND_to`), by kind, in the order of `kinds`.

    Raises:
        UsageError: two of them go to one place, so that one would overwrite the other.
    """
    targets: dict[str, str] = {}
    seen: dict[str, str] = {}
    for kind in kinds:
        target = given[f"{kind}_to"]
        if target is None:
            continue
        if target in seen:
            place = "standard output" if target == "-" else target
            raise UsageError(f"--{seen[target]} and --{kind} both go to {place}; give each its own")
        targets[kind] = target
        seen[target] = kind
    return targets


def write(target: str, pieces: Iterable[str]) -> None:
    """Write a text, given in pieces, to a file at once or to standard output.

    Raises:
        UsageError: the file cannot be written; nothing half-written is left.
    """
    from halueval.store import write_atomically

    if target == "-":
        for piece in pieces:
            click.echo(piece, nl=False)
        return
    # A lone surrogate (half a character that a model stopped in) has no UTF-8 form; it is shown as "?".
    write_atomically(Path(target), (piece.encode("utf-8", "replace") for piece in pieces))
