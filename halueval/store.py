"""Run directories: `samples.jsonl` and `run.json`, written whole or not at all, and read back checked.

`run.json` is written last: its presence means that the run is complete.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halueval.errors import DataError
from halueval.journal import writing_to
from halueval.schema import RUN_SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.jsonl"


def write_atomically(path: Path, chunks: Iterable[bytes]) -> str:
    """Write a file under another name, see it on disk, and rename it.

    Returns:
        SHA-256 of what was written.

    Raises:
        UsageError: the file cannot be written; nothing half-written is left.
        IncompleteError: the disk is full; as little is left.
    """
    digest = hashlib.sha256()
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return digest.hexdigest()


def _line(row: Mapping[str, Any]) -> bytes:
    # A lone surrogate (half a character that a model stopped in) has no UTF-8 form; it is escaped.
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"


def write_run(directory: Path, record: dict[str, Any], rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Write both files of a run, `run.json` last.

    Returns:
        The record with `samples_sha256` added.
    """
    digest = write_atomically(directory / SAMPLES_FILE, (_line(row) for row in rows))
    record = {**record, "samples_sha256": digest}
    text = json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(directory / RUN_FILE, [text.encode("utf-8", "backslashreplace"), b"\n"])
    return record


def read_record(directory: Path) -> dict[str, Any]:
    """`run.json` of a finished run.

    Raises:
        DataError: no such run, unfinished, not JSON, or written by another schema version.
    """
    path = directory / RUN_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        begun = (directory / SAMPLES_FILE).is_file() or (directory.parent / "responses").is_dir()
        hint = "the run is unfinished: repeat its command" if begun else "it is not a run directory"
        raise DataError(
            f"{directory}: holds no {RUN_FILE}; {hint if directory.is_dir() else 'no such directory'}"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != RUN_SCHEMA_VERSION:
        raise DataError(f"{path}: schema version {version!r}; this halueval reads version {RUN_SCHEMA_VERSION}")
    return dict(record)


def parse_row(line: bytes) -> dict[str, Any]:
    """One line of `samples.jsonl`.

    Raises:
        ValueError: not JSON.
    """
    import orjson

    try:
        row: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        # Half a character that a model stopped in is escaped as a lone surrogate, which orjson refuses.
        row = json.loads(line)
    return row


def read_samples(directory: Path, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of `samples.jsonl`, after checking its digest against the record.

    Raises:
        DataError: missing, changed after the run, or not JSON lines.
    """
    path = directory / SAMPLES_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(raw).hexdigest() != record["samples_sha256"]:
        raise DataError(f"{path}: was changed after the run (its digest is not the one in {RUN_FILE}); run it again")
    # One line at a time: a list of all would hold the file twice.
    for number, line in enumerate(io.BytesIO(raw), 1):
        try:
            yield parse_row(line)
        except ValueError as error:
            raise DataError(f"{path}: line {number}: not JSON: {error}") from error


class Run:
    """A finished run, read from its directory.

    Attributes:
        path: the run directory.
        record: everything in `run.json`.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record

    def __repr__(self) -> str:
        model, task = self.record["model"]["name"], self.record["task"]["name"]
        return f"<Run {task} by {model}, {self.record['n_samples']['effective']} samples, {self.path}>"

    @property
    def run_id(self) -> str:
        """Short hash of the run's identity."""
        return str(self.record["run_id"])

    def is_intact(self) -> bool:
        """Whether the samples file is there and is the one that the run wrote."""
        try:
            raw = (self.path / SAMPLES_FILE).read_bytes()
        except OSError:
            return False
        return hashlib.sha256(raw).hexdigest() == str(self.record["samples_sha256"])

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a figure, indexed by name: value, ci_low, ci_high, n_scored, n_unscored and the rest."""
        import pandas as pd

        return pd.DataFrame.from_dict(self.record["metrics"], orient="index").rename_axis("metric")

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample; `scores` and `group` are spread into columns `score.NAME` and `group.NAME`.

        Raises:
            DataError: the file is missing or was changed after the run.
        """
        import pandas as pd

        rows = []
        for row in read_samples(self.path, self.record):
            flat = {k: v for k, v in row.items() if k not in ("scores", "group")}
            flat.update({f"score.{k}": v for k, v in row["scores"].items()})
            flat.update({f"group.{k}": v for k, v in row["group"].items()})
            rows.append(flat)
        return pd.DataFrame(rows)


def load_run(path: str | Path) -> Run:
    """Read a finished run.

    Args:
        path: the run directory, or its `run.json`.

    Raises:
        DataError: not a run directory, unfinished, or of another schema version.
    """
    directory = Path(path)
    if directory.name == RUN_FILE:
        directory = directory.parent
    return Run(directory, read_record(directory))
