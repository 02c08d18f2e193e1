"""The data that a candidate was trained on: given by the user, or found beside the weights that `finetune` wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halueval.datafile import read_rows
from halueval.errors import DataError
from halueval.explaining.record import TrainingInfo
from halueval.schema import canonical_json

RECORD_FILE = "finetune.json"
TRAIN_FILE = "train.jsonl"


@dataclass(frozen=True, slots=True)
class TrainingText:
    """One example. A running text has an empty prompt; `relation`, `question` and `doc_hash` may be ""."""

    prompt: str
    completion: str
    question: str = ""
    relation: str = ""
    doc_hash: str = ""

    @property
    def text(self) -> str:
        """All that the model read and learnt."""
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Examples, where they came from, and the digest of their rows (that of `finetune.json`)."""

    path: Path
    sha256: str
    texts: Sequence[TrainingText]
    found: str


def read_training(path: Path, found: str = "given") -> TrainingData:
    """Read training data.

    Args:
        path: rows with `prompt` and `completion`, or `text`; `question`, `relation` and `doc_hash` are used where
            they are there. Any form that `--data` takes.
        found: how it was found.

    Raises:
        DataError: missing, empty, not readable, or a row without these columns; the line names the row.
    """
    rows = read_rows(path)
    texts = [_text(row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]
    return TrainingData(path, _digest(rows), texts, found)


def _text(row: Mapping[str, Any], where: str) -> TrainingText:
    values = {}
    for column in ("prompt", "completion", "text", "label", "question", "relation", "doc_hash"):
        value = row.get(column)
        if value is not None and not isinstance(value, str):
            raise DataError(f"{where}: {column} is a {type(value).__name__}; it must be text")
        # Half a character (a lone surrogate) has no UTF-8 form, which tokenizers need.
        values[column] = (value or "").encode("utf-8", "replace").decode("utf-8")
    completion = values["completion"] or ("" if values["prompt"] else values["text"]) or values["label"]
    if not (values["prompt"] + completion).strip():
        has = ", ".join(sorted(row)) or "none"
        raise DataError(f"{where}: needs the columns prompt and completion, or text; the row has {has}")
    return TrainingText(values["prompt"], completion, values["question"], values["relation"], values["doc_hash"])


def _digest(rows: Sequence[Mapping[str, Any]]) -> str:
    """A canonical JSON line each: what `halueval finetune` records as `data_sha256`."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(canonical_json(row).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def recorded_digest(directory: Path) -> str | None:
    """`data_sha256` of the fine-tuning that made a directory's weights, as its record says; None without one."""
    home = _home(directory)
    if home is None:
        return None
    try:
        document = json.loads((home / RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = document.get("data_sha256") if isinstance(document, dict) else None
    return found if isinstance(found, str) else None


def find_training(directory: Path) -> Path | None:
    """`train.jsonl` of the fine-tuning that made a directory's weights."""
    home = _home(directory)
    return home / TRAIN_FILE if home is not None and (home / TRAIN_FILE).is_file() else None


def _home(directory: Path) -> Path | None:
    """The output directory of `halueval finetune`: the weights' own, or two above a checkpoint's."""
    return next((p for p in (directory, directory.parent.parent) if (p / RECORD_FILE).is_file()), None)


def choose_training(
    given: TrainingData | None, directory: Path | None
) -> tuple[TrainingData | None, TrainingInfo, list[str]]:
    """The training data: given, or found beside the candidate's weights and held against their record.

    Args:
        given: what the user named.
        directory: of the candidate's weights, if they are at hand.

    Returns:
        The data, what the record says of it, and notes.

    Raises:
        DataError: a file beside the weights that cannot be read.
    """
    recorded = None if directory is None else recorded_digest(directory)
    data, reason, notes = given, "", []
    if data is not None:
        if recorded is not None and data.sha256 != recorded:
            notes.append("the training data given is not, row by row, what the fine-tuning's record names")
    elif directory is None or (path := find_training(directory)) is None:
        beside = "" if directory is None else ": none beside the candidate's weights"
        reason = f"no training data{beside}; name it with --train-data"
    else:
        data = read_training(path, "beside the candidate's weights")
        if data.sha256 != recorded:
            data, reason = None, f"{path} is not the data that the fine-tuning's record names; give --train-data"
    info: TrainingInfo = {
        "reason": reason or None,
        "path": None if data is None else str(data.path),
        "sha256": None if data is None else data.sha256,
        "n": 0 if data is None else len(data.texts),
        "found": "" if data is None else data.found,
    }
    return data, info, notes
