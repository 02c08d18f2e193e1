"""Labels of `halueval probe`: what a base knows of each fact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halueval.datafile import read_rows
from halueval.errors import DataError, UsageError

KNOWN_CLASSES = ("HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown")


def read_labels(path: Path | None, *, base_weights_sha256: str, model: str, task: str) -> dict[str, str]:
    """Known class of each fact, by the hash of its row.

    Args:
        path: file of the labels; None means that the recipe names none.
        base_weights_sha256: of the model that is to be fine-tuned; labels of another are refused.
        model: its name, for the message.
        task: task whose facts are wanted, for the message.

    Raises:
        UsageError: no file is named.
        DataError: not a file of labels, or of another base.
    """
    command = f"halueval probe --model {model} --task {task}"
    if path is None:
        raise UsageError(
            f"the recipe takes facts by what the model knows: make labels with `{command}` and pass "
            "--set data.labels=FILE"
        )
    rows = read_rows(path)
    found: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        where = f"{path}: row {number}"
        owner = row.get("weights_sha256") or row.get("base_weights_sha256")
        if owner is not None and owner != base_weights_sha256:
            raise DataError(
                f"{where}: labels of other weights ({str(owner)[:12]}…) than {model} has "
                f"({base_weights_sha256[:12]}…); make them with `{command}`"
            )
        if "doc_hash" not in row:
            continue
        found[_text(row, "doc_hash", where)] = _known_class(row, where)
    if not found:
        raise DataError(f"{path}: holds no labels; make them with `{command}`")
    return found


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise DataError(f"{where}: {key} is {value!r}; it must be text")
    return value


def _known_class(row: Mapping[str, Any], where: str) -> str:
    value = _text(row, "known_class", where)
    if value not in KNOWN_CLASSES:
        raise DataError(f"{where}: known_class is {value!r}; it is one of {', '.join(KNOWN_CLASSES)}")
    return value
