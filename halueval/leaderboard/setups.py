"""What makes runs comparable: the rows, the prompts, and the versions of the figures that a board shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from halueval.leaderboard.board import Problem
from halueval.leaderboard.cells import COLUMNS, metric_of
from halueval.leaderboard.settings import BoardSpec

Record = Mapping[str, Any]

SETUP = ("task_hash", "data_sha256", "num_fewshot", "seed", "limit", "calibration", "system_instruction_sha256")
"""Keys of a run's identity in which all runs of a table agree; which figures are computed changes no other."""

CHECKER = "consistency checker"
"""Key of the scorer that decides the states of summaries, beside those of `SETUP`."""


def setup_of(record: Record) -> dict[str, Any]:
    """What all runs of a table agree in; a limit that leaves no row out is none."""
    identity = record["identity"]
    found = {key: identity.get(key) for key in SETUP}
    checks = identity.get("checks")
    return {
        **found,
        "limit": limit_of(record),
        CHECKER: checks.get("consistency") if isinstance(checks, dict) else None,
    }


def difference(mine: Record, others: Record) -> str:
    """What differs, both values named."""
    parts = [
        f"{key} {_shown(mine[key])} (the board's: {_shown(others[key])})" for key in mine if mine[key] != others[key]
    ]
    return f"differs in {', '.join(parts)}"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return f"{value.get('name')} {value.get('version')}, threshold {value.get('threshold')}"
    text = str(value)
    return text[:12] if len(text) == 64 else text


def limit_of(record: Record) -> int | None:
    """`--limit` of a run; None where it left no row out."""
    limit = record["identity"]["limit"]
    return None if limit is None or limit >= record["n_samples"]["original"] else int(limit)


def barred(record: Record, spec: BoardSpec) -> tuple[Problem, str] | None:
    """Why a run by itself does not belong on a board."""
    limit, rows = limit_of(record), record["n_samples"]["original"]
    if limit is not None and limit != spec.limit:
        board = "whole data sets" if spec.limit is None else f"--limit {spec.limit}"
        return "limited", f"ran with --limit {limit}; this board is of {board}"
    if limit is None and spec.limit is not None and rows > spec.limit:
        return "mismatch", f"ran on all {rows:,} rows; this board is of --limit {spec.limit}"
    if (record["environment"]["git"] or {}).get("dirty"):
        return "dirty", "was made from a checkout with uncommitted changes"
    dtype = record["model"]["dtype"]
    if spec.dtype not in (None, dtype):
        return "mismatch", f"ran in {dtype}; this board is of {spec.dtype}"
    return None


def figures_of(record: Record) -> set[str]:
    """Names of the figures that a board shows of a run."""
    names = {metric_of(column.key, record["task"]) for column in COLUMNS}
    return {name for name in names if name is not None and name in record["metrics"]}


def version_of(record: Record, figure: str) -> str | None:
    """Version of the scorer of a figure; None where the run does not say."""
    scorers = record["identity"].get("scorers")
    version = scorers.get(figure) if isinstance(scorers, dict) else None
    return None if version is None else str(version)


def way_of(record: Record) -> tuple[str, str]:
    """How a model was run, in which all its runs on a board agree: its dtype, and with which chat template, if any."""
    model = record["model"]
    if not model.get("apply_chat_template"):
        return model["dtype"], ""
    return model["dtype"], str(model.get("chat_template_sha256"))


def finished(record: Record) -> datetime:
    """When a run ended."""
    moment = datetime.fromisoformat(record["finished_at"])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
