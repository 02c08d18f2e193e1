"""The explanation on a terminal: statements first, then the measures behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING

from halueval.explaining.record import ExplainRecord
from halueval.report.explain_cells import (
    GROUP_COLUMNS,
    MEASURE_COLUMNS,
    OUTCOME_COLUMNS,
    WEIGHT_COLUMNS,
    Cells,
    group_rows,
    measure_rows,
    notes_of,
    outcome_rows,
    settings_line,
    training_line,
    untaken,
    weight_rows,
)
from halueval.report.wide import print_whole

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 140


def print_explanation(record: ExplainRecord, file: IO[str]) -> None:
    """Print everything but the weights of single layers, of which the most changed ten are shown."""
    from rich.console import Console

    console = Console(file=file, width=None if file.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)
    _line(console, record["headline"], "bold")
    for task in record["tasks"].values():
        for statement in task["statements"]:
            _line(console, f"• {statement}")
    for statement in record["statements"]:
        _line(console, f"• {statement}")
    _line(console, record["caution"], "italic")
    title = f"{record['base']['label']} → {record['candidate']['label']}"
    _table(console, title, OUTCOME_COLUMNS, outcome_rows(record))
    for name, task in record["tasks"].items():
        _table(console, f"{name}: training data against task", MEASURE_COLUMNS, measure_rows(task["distribution"]))
        _table(console, f"{name}: overlap with the training data", MEASURE_COLUMNS, measure_rows(task["overlap"]))
        for contrast in task["generalisation"]:
            _table(console, f"{name}: {contrast['name']}", GROUP_COLUMNS, group_rows(contrast))
    _table(console, "General text", MEASURE_COLUMNS, measure_rows(record["behaviour"]))
    rows = list(weight_rows(record["weights"]))
    changes = [group["relative_change"] or 0.0 for group in record["weights"]["groups"]]
    most = sorted(range(len(rows)), key=lambda i: -changes[i])[:10]
    _table(console, "Weights that moved most", WEIGHT_COLUMNS, [rows[i] for i in most])
    for line in remarks(record):
        _line(console, line)


def remarks(record: ExplainRecord) -> list[str]:
    """What could not be measured, notes, and how the record was made."""
    lines = [f"{name}: {note}" for name, task in record["tasks"].items() for note in notes_of(task)]
    lines += untaken(record["behaviour"])
    weights = record["weights"]
    lines += [f"weights not compared: {weights['reason']}"] if weights["reason"] else []
    lines += [f"weights: {note}" for note in weights["notes"]]
    lines += [f"note: {note}" for note in record["notes"]]
    lines += [f"general text: {record['neutral']}"] if record["neutral"] else []
    return [*lines, training_line(record), settings_line(record)]


def _line(console: Console, text: str, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(text, style=style), soft_wrap=True)


def _table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Cells]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = list(rows)
    if not made:
        return
    # Names come from cards and data: shown as they are, never read as markup.
    table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if i == 0 else "right", no_wrap=True)
    for cells in made:
        table.add_row(*(Text(cell) for cell in cells))
    print_whole(console, table)
