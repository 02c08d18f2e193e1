"""Rows of the table that a run with `--uncertainty` prints: how each figure tells wrong answers from right ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

UNCERTAINTY_COLUMNS = ("Uncertainty", "AUROC", "95 % CI", "AURAC", "accuracy", "PRR", "95 % CI of PRR", "n", "unscored")
"""AUROC has chance at 0.5, AURAC at the accuracy beside it, PRR at 0."""


def uncertainty_rows(
    record: Mapping[str, Any], number: Callable[[float | None], str], interval: Callable[[Mapping[str, Any]], str]
) -> list[tuple[str, ...]]:
    """Cells of one run; none where it was not asked for uncertainty.

    Args:
        record: `run.json`.
        number: writes a number or a dash.
        interval: writes an interval of a figure or a dash.
    """
    return [
        (
            name,
            number(figures["auroc"]["value"]),
            interval(figures["auroc"]),
            number(figures["aurac"]["value"]),
            number(figures["accuracy"]),
            number(figures["prr"]["value"]),
            interval(figures["prr"]),
            str(figures["n"]),
            str(figures["n_unscored"]),
        )
        for name, figures in record.get("uncertainty", {}).items()
    ]
