"""The table that a run with `--uncertainty` prints: how each figure tells wrong answers from right ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from halueval.schema import State

COLUMNS = ("Uncertainty", "AUROC", "95 % CI", "AURAC", "PRR", "95 % CI of PRR", "n", "unscored")
NARROW = (0, 1, 2, 6, 7)
"""Columns that are kept where there is no room for all."""


def uncertainty_title(record: Mapping[str, Any], number: Callable[[float | None], str]) -> str:
    """What the table is about, and what chance would give."""
    right, wrong = record["states"][State.CORRECT], record["states"][State.HALLUCINATED]
    accuracy = number(right / (right + wrong) if right + wrong else None)
    return (
        f"{record['task']['name']}: uncertainty of right answers against wrong ones; by chance AUROC is 0.5, AURAC the "
        f"accuracy ({accuracy}), PRR 0"
    )


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
            number(figures["prr"]["value"]),
            interval(figures["prr"]),
            str(figures["n"]),
            str(figures["n_unscored"]),
        )
        for name, figures in record.get("uncertainty", {}).items()
    ]


def narrow(cells: tuple[str, ...]) -> tuple[str, ...]:
    """The cells of the columns that are kept on a narrow terminal."""
    return tuple(cells[i] for i in NARROW)
