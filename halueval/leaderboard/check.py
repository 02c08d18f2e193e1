"""Whether a `run.json` holds what a board reads. Files may come from anywhere, so types are looked at too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, Literal

from halueval.schema import RUN_SCHEMA_VERSION, Kind

_TEXT, _WORD = (str,), (str, NoneType)
_COUNT, _NUMBER = (int,), (int, float, NoneType)
_NEEDED: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "model": {
        "name": _TEXT,
        "weights_sha256": _TEXT,
        "adapter_sha256": _WORD,
        "dtype": _TEXT,
        "source": _TEXT,
        "base": _WORD,
        "num_parameters": (int, NoneType),
    },
    "task": {
        "name": _TEXT,
        "kind": _TEXT,
        "language": _TEXT,
        "primary_metric": _TEXT,
        "hash": _TEXT,
        "num_fewshot": _COUNT,
        "data": (dict,),
    },
    "identity": {"limit": (int, NoneType), "seed": _COUNT, "data_sha256": _WORD, "task_hash": _TEXT},
    "n_samples": {"original": _COUNT, "effective": _COUNT, "scored": _COUNT, "unscored": _COUNT},
    "environment": {"git": (dict, NoneType)},
    "metrics": {},
    "states": {},
}
_FIGURE = {
    "value": _NUMBER,
    "ci_low": _NUMBER,
    "ci_high": _NUMBER,
    "n_scored": _COUNT,
    "n_unscored": _COUNT,
    "higher_is_better": (bool, NoneType),
}
_KINDS = frozenset(kind.value for kind in Kind)


def read_checked(file: Path) -> dict[str, Any] | tuple[Literal["unreadable", "schema"], str]:
    """A record that can be relied on, or the kind and the reason of what is wrong with it."""
    import orjson

    try:
        raw = file.read_bytes()
        try:
            record = orjson.loads(raw)
        except orjson.JSONDecodeError:
            # Half a character in a name is escaped as a lone surrogate, which orjson refuses.
            record = json.loads(raw, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        return "unreadable", f"run.json cannot be read: {' '.join(str(error).split())}"
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != RUN_SCHEMA_VERSION or isinstance(version, bool):
        shown = version if isinstance(version, int | float) or version is None else repr(version)[:40]
        return "schema", f"run.json is of schema version {shown}; this halueval reads {RUN_SCHEMA_VERSION}"
    wrong = _wrong(record)
    return record if wrong is None else ("unreadable", f"run.json has no {wrong}")


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _wrong(record: Mapping[str, Any]) -> str | None:
    """The first thing that a record must have and this one has not."""
    for key in ("run_id", "finished_at", "samples_sha256"):
        if not isinstance(record.get(key), str):
            return key
    for part, keys in _NEEDED.items():
        if not isinstance(record.get(part), dict):
            return part
        for key, types in keys.items():
            if not _is(record[part], key, types):
                return f"{part}.{key} of the right type"
    if record["task"]["kind"] not in _KINDS:
        return f"task.kind that is one of {', '.join(sorted(_KINDS))}"
    try:
        datetime.fromisoformat(record["finished_at"])
    except ValueError:
        return "finished_at that is a time"
    for name, figure in record["metrics"].items():
        if not isinstance(figure, dict) or not all(_is(figure, key, types) for key, types in _FIGURE.items()):
            return f"metrics.{' '.join(name.split())[:40]} with a value and an interval"
        if figure["value"] is None and figure["ci_low"] is not None:
            return f"metrics.{' '.join(name.split())[:40]} with a value beside its interval"
        if (figure["ci_low"] is None) != (figure["ci_high"] is None):
            return f"metrics.{' '.join(name.split())[:40]} with both ends of its interval"
    return None


def _is(part: Mapping[str, Any], key: str, types: tuple[type, ...]) -> bool:
    if key not in part:
        return False
    value = part[key]
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))
