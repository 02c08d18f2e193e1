"""The calibration of a run on the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO

from halueval.calibrating.record import CalibrationRecord
from halueval.report.calibration_cells import (
    COLUMNS,
    bar_lines,
    headline,
    rows,
    settings_line,
    variant_lines,
)
from halueval.report.diff_markdown import escape
from halueval.report.wide import print_whole

WIDTH_WITHOUT_TERMINAL = 140


def print_calibration(record: CalibrationRecord, file: IO[str]) -> None:
    """Print headline, notes, table, and the reliability diagrams of the first two variants."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=file, width=None if file.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)

    def say(lines: Iterable[str], style: str = "") -> None:
        # Names come from cards and directories: shown as they are, never read as markup.
        for line in lines:
            console.print(Text(line, style=style), soft_wrap=True)

    say([headline(record)], "bold")
    say(f"note: {note}" for note in record["notes"])
    table = Table(box=SIMPLE_HEAD)
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if i < 2 else "right", no_wrap=True)
    for section in rows(record):
        for cells in section:
            table.add_row(*map(Text, cells))
        table.add_section()
    print_whole(console, table)
    for variant in record["variants"][:2]:
        say([f"Reliability, {variant['name']}"])
        say(bar_lines(variant))
    say(variant_lines(record))
    say([settings_line(record)])


def render_markdown(record: CalibrationRecord) -> str:
    """The same as Markdown that ends in a line break."""
    lines = [f"**{escape(headline(record))}**", "", *(f"- {escape(note)}" for note in record["notes"])]
    lines += ["", *_table(COLUMNS, [cells for section in rows(record) for cells in section])]
    lines += ["", *(f"- {escape(line)}" for line in variant_lines(record))]
    lines += ["", f"<sub>{escape(settings_line(record))}</sub>"]
    for variant in record["variants"][:2]:
        lines += ["", f"<details><summary>Reliability, {escape(variant['name'])}</summary>", ""]
        cells = [
            (f"{b['confidence']:.3f}", f"{b['accuracy']:.3f} [{b['ci_low']:.3f}, {b['ci_high']:.3f}]", str(b["n"]))
            for b in variant["curve"]
        ]
        lines += [*_table(("mean confidence", "accuracy", "n"), cells), "", "</details>"]
    return "\n".join(lines).strip() + "\n"


def _table(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*lines, *("| " + " | ".join(escape(cell) for cell in row) + " |" for row in cells)]
