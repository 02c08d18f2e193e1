"""The leaderboard as JSON and CSV, and a model's figures for its card on the hub."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from halueval.errors import UsageError, nearest
from halueval.leaderboard.board import BOARD_SCHEMA_VERSION, Board, Cell, Entry, Model

OVERALL = "*"
"""Stands for the task in lines of the overview."""


def leaderboard_json(board: Board) -> str:
    """Everything on the board; keys in a fixed order, numbers as they were computed."""
    record = {
        "schema_version": BOARD_SCHEMA_VERSION,
        "title": board.title,
        "columns": [asdict(column) for column in board.columns],
        "models": [_model(model) for model in board.models],
        "overall": None
        if board.overall is None
        else {
            "tasks": {key: list(tasks) for key, tasks in board.overall.tasks.items()},
            "entries": [_entry(entry) for entry in board.overall.entries],
            "absent": dict(sorted(board.overall.absent.items())),
        },
        "tasks": [
            {
                "task": task.task,
                "kind": task.kind,
                "language": task.language,
                "primary_metric": task.primary,
                "settings": dict(task.settings),
                "order": task.order,
                "entries": [_entry(entry) for entry in task.entries],
            }
            for task in board.tasks
        ],
        "pairs": [{"base": base, "candidate": candidate} for base, candidate in board.pairs],
        "excluded": [asdict(item) for item in board.excluded],
        "included": list(board.included),
    }
    return json.dumps(record, ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def _model(model: Model) -> dict[str, Any]:
    return {
        "key": model.key,
        "name": model.name,
        "family": model.family,
        "num_parameters": model.num_parameters,
        "base": model.base,
        "source": model.source,
        "weights_sha256": model.weights_sha256,
        "adapter_sha256": model.adapter_sha256,
        "dtype": model.dtype,
        "languages": list(model.languages),
        "kinds": list(model.kinds),
        "runs": {task: run.run_id for task, run in model.runs.items()},
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "model": entry.model,
        "run_id": entry.run_id,
        "n_samples": entry.n_samples,
        "remark": entry.remark,
        "cells": {key: _cell(cell) for key, cell in entry.cells.items()},
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {**asdict(cell), "metrics": dict(cell.metrics), "coverage": cell.coverage}


FIELDS = (
    *("task", "kind", "language", "model", "base", "num_parameters", "run_id", "column", "metric", "value"),
    *("ci_low", "ci_high", "n_scored", "n_unscored", "rank", "reason", "remark"),
)


def leaderboard_csv(board: Board) -> str:
    """A line for each figure of each model on each task (`*` for the overview), for pandas and spreadsheets.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in _rows(board):
        writer.writerow([_harmless(row[field]) for field in FIELDS])
    return out.getvalue()


def _rows(board: Board) -> Iterator[dict[str, Any]]:
    parts: list[tuple[str, str, str, tuple[Entry, ...]]] = []
    if board.overall is not None:
        parts.append((OVERALL, "", "", board.overall.entries))
    parts += [(task.task, task.kind, task.language, task.entries) for task in board.tasks]
    models = {model.key: model for model in board.models}
    for task, kind, language, entries in parts:
        for entry in entries:
            model = models[entry.model]
            for key, cell in entry.cells.items():
                yield {
                    "task": task,
                    "kind": kind,
                    "language": language,
                    "model": entry.model,
                    "base": model.base,
                    "num_parameters": model.num_parameters,
                    "run_id": entry.run_id,
                    "column": key,
                    "metric": " ".join(sorted(set(cell.metrics.values()))),
                    "value": cell.value,
                    "ci_low": cell.ci_low,
                    "ci_high": cell.ci_high,
                    "n_scored": cell.n_scored,
                    "n_unscored": cell.n_unscored,
                    "rank": cell.rank,
                    "reason": cell.reason,
                    "remark": entry.remark,
                }


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def model_index(board: Board, key: str) -> str:
    """The `model-index` of a model as YAML for the head of its card on the hub.

    Raises:
        UsageError: no such model on the board.
    """
    from huggingface_hub import EvalResult, ModelCardData

    keys = [model.key for model in board.models]
    if key not in keys:
        raise UsageError(f"--model-card {key}: not on the board{nearest(key, keys) or '; it has no models'}")
    model = board.model(key)
    results = []
    for task in board.tasks:
        entry = next((entry for entry in task.entries if entry.model == key), None)
        for column, cell in (entry.cells if entry else {}).items():
            if cell.value is None:
                continue
            record = model.runs[task.task].record
            results.append(
                EvalResult(
                    task_type=_TASK_TYPES.get(task.kind, "text-generation"),
                    dataset_type=record["task"]["data"].get("source"),
                    dataset_name=task.task,
                    dataset_config=task.task,  # tasks on one data set would be taken for one
                    dataset_split=record["task"]["data"].get("split"),
                    dataset_revision=record["task"]["data"].get("revision"),
                    metric_type=cell.metrics[task.task],
                    metric_name=board.column(column).title,
                    metric_value=round(cell.value, 6),
                    metric_args={"ci_low": cell.ci_low, "ci_high": cell.ci_high, "n": cell.n_scored},
                )
            )
    card = ModelCardData(model_name=key, base_model=model.base, eval_results=results)
    return str(card.to_yaml()).strip() + "\n"


_TASK_TYPES = {"qa": "question-answering", "classification": "text-classification", "summarization": "summarization"}
