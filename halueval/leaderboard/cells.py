"""Columns of the board, the cells of a run, their mean over tasks, and how far they order models."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from halueval.leaderboard.board import Cell, Column
from halueval.schema import Kind, OutputType
from halueval.stats.intervals import Z_95, wilson_interval

HALLUCINATION, CONSISTENCY, ANSWERED, ACCURACY = "hallucination_rate", "consistency", "answer_rate", "accuracy"
ECE, BITS, LENGTH = "ece", "bits_per_byte", "response_words"

COLUMNS = (
    Column(
        HALLUCINATION, "Hallucination rate", "share", False, "hallucinated of the answered; read it beside answer rate"
    ),
    Column(
        CONSISTENCY, "Factual consistency", "share", True, "how well summaries follow from their sources, by `lite`"
    ),
    Column(ANSWERED, "Answer rate", "share", None, "answered of all; a model that answers little hallucinates little"),
    Column(
        ACCURACY, "Accuracy / F1", "share", True, "the main figure of question answering, classification and choices"
    ),
    Column(ECE, "ECE", "number", False, "expected calibration error of the answered"),
    Column(BITS, "Bits per byte", "number", False, "of plain text; comparable across tokenizers"),
    Column(LENGTH, "Length", "number", None, "mean words of an answer"),
)
"""In the order in which they are printed."""

BY_KEY = {column.key: column for column in COLUMNS}
RANKED = tuple(column.key for column in COLUMNS if column.higher_is_better is not None)


def metric_of(column: str, task: Mapping[str, Any]) -> str | None:
    """The figure of `run.json` that a column shows for a task; None where it shows none."""
    kind, primary = task["kind"], str(task["primary_metric"])
    if column == ACCURACY:
        chosen = kind in (Kind.QA, Kind.CLASSIFICATION) or task.get("output_type") == OutputType.MULTIPLE_CHOICE
        return primary if chosen else None
    if column == BITS:
        return BITS if kind == Kind.LANGUAGE_MODELING else None
    if column == ANSWERED and kind == Kind.LANGUAGE_MODELING:
        return None
    return column


def cells_of(record: Mapping[str, Any]) -> dict[str, Cell]:
    """The cells of a run by column, those that its task has."""
    task = record["task"]
    out = {}
    for column in COLUMNS:
        name = metric_of(column.key, task)
        if name in record["metrics"]:
            out[column.key] = _cell(task["name"], str(name), record["metrics"][name], share=column.unit == "share")
    return out


WILSON = "Wilson's interval"
"""How the reason of a cell begins whose run has a figure and no interval of it."""


def _cell(task: str, name: str, metric: Mapping[str, Any], *, share: bool) -> Cell:
    reason = ""
    if metric["value"] is None:
        reasons = metric.get("unscored_reasons") or {}
        reason = max(reasons, key=lambda key: (reasons[key], key), default="no sample could be scored")
    elif metric["ci_low"] is None:
        reason = metric.get("ci_reason") or "no interval"
    low, high = metric["ci_low"], metric["ci_high"]
    known = metric["value"] is not None and 0 <= metric["value"] <= 1
    if share and known and low is None and metric["n_scored"] > 1:
        # A model that answers always alike has the same figure in every resample of balanced rows. What it would score
        # on other rows is not known that surely, and Wilson's interval over all rows is the more cautious one.
        stands_in = wilson_interval(metric["value"] * metric["n_scored"], metric["n_scored"])
        low, high, reason = stands_in.low, stands_in.high, f"{WILSON}: {reason}"
    return Cell(
        value=metric["value"],
        ci_low=low,
        ci_high=high,
        n_scored=metric["n_scored"],
        n_unscored=metric["n_unscored"],
        metrics={task: name},
        reason=reason,
    )


def mean_cell(column: Column, cells: Mapping[str, Cell | None]) -> Cell:
    """The mean of a column over tasks, each counting the same.

    Tasks have samples of their own, so the variances add up: the standard error is √(Σ s²)/k, s the error that each
    interval stands for (its width over 2 · 1.96). Ends are cut at what a share can be.

    Args:
        column: which.
        cells: by task; None where the model's run has no such figure.

    Returns:
        A cell without a value, and the reason, where a task has none: a mean over fewer tasks would be of other work.
    """
    metrics = {task: name for cell in cells.values() if cell for task, name in cell.metrics.items()}
    scored = sum(cell.n_scored for cell in cells.values() if cell)
    unscored = sum(cell.n_unscored for cell in cells.values() if cell)
    values: list[float] = []
    errors: list[float] = []
    without = ""
    notes = [f"{task}: {cell.reason}" for task, cell in cells.items() if cell and cell.reason.startswith(WILSON)]
    for task, cell in cells.items():
        if cell is None or cell.value is None:
            why = cell.reason if cell else "its run has no such figure"
            return Cell(None, None, None, scored, unscored, metrics, f"no value on {task}: {why}")
        values.append(cell.value)
        if cell.ci_low is None or cell.ci_high is None:
            without = without or f"no interval on {task}: {cell.reason}"
        else:
            errors.append((cell.ci_high - cell.ci_low) / (2 * Z_95))
    mean = math.fsum(values) / len(values)
    if without:
        return Cell(mean, None, None, scored, unscored, metrics, without)
    if len(values) == 1:
        only = next(cell for cell in cells.values() if cell)
        return Cell(only.value, only.ci_low, only.ci_high, scored, unscored, metrics, only.reason)
    half = Z_95 * math.sqrt(math.fsum(error**2 for error in errors)) / len(values)
    low, high = mean - half, mean + half
    if column.unit == "share":
        low, high = max(0.0, low), min(1.0, high)
    return Cell(mean, low, high, scored, unscored, metrics, "; ".join(notes))


def with_ranks(column: Column, cells: Sequence[Cell | None]) -> list[Cell | None]:
    """Cells of one column with their ranks.

    A rank is one more than the number of models whose interval lies wholly on the better side. So models whose
    intervals overlap with the best's share rank 1, and no two ranks are told apart by less than their intervals. To
    overlap is not transitive: of three models the first may beat the third while the second is tied with both, and has
    then the rank of the first. A figure without an interval beats nothing and nothing beats it, so it has no rank.
    """
    known = [cell for cell in cells if cell and _has_interval(cell)]
    if column.higher_is_better is None or len(known) < 2:
        return list(cells)
    sign = 1 if column.higher_is_better else -1
    worst_of_each = sorted(min(sign * _low(cell), sign * _high(cell)) for cell in known)
    out: list[Cell | None] = []
    for cell in cells:
        if cell is None or not _has_interval(cell):
            out.append(cell)
            continue
        best = max(sign * _low(cell), sign * _high(cell))
        out.append(replace(cell, rank=1 + len(known) - bisect_right(worst_of_each, best)))
    return out


def _has_interval(cell: Cell) -> bool:
    return None not in (cell.value, cell.ci_low, cell.ci_high)


def _low(cell: Cell) -> float:
    assert cell.ci_low is not None
    return cell.ci_low


def _high(cell: Cell) -> float:
    assert cell.ci_high is not None
    return cell.ci_high


def order(column: Column, cell: Cell | None) -> tuple[int, float]:
    """Sorts the best first and those without a value last."""
    if cell is None or cell.value is None:
        return 1, 0.0
    return 0, -cell.value if column.higher_is_better else cell.value
