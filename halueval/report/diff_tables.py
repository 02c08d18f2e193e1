"""The comparison on a terminal: headline, figures, rates, remarks. Colour only where there is a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING

from halueval.compare.record import Comparison, DiffRecord, comparisons
from halueval.report.diff_cells import (
    CALIBRATION_COLUMNS,
    CLAIM_COLUMNS,
    FIGURE_COLUMNS,
    FORM_COLUMNS,
    RATE_COLUMNS,
    STRATUM_COLUMNS,
    SUMMARY_COLUMNS,
    Row,
    calibration_rows,
    claim_rows,
    figure_rows,
    form_rows,
    rate_rows,
    remarks,
    stratum_rows,
    summary_rows,
    task_mark,
)
from halueval.report.wide import print_whole

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 140


def print_diff(record: DiffRecord, file: IO[str]) -> None:
    """Print the comparison with each candidate, then the gates."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file, width=None if file.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)
    if record["further"]:
        _print_claims(console, record)
    for comparison in comparisons(record):
        _print_comparison(console, record, comparison)
    for gate in record["gates"]:
        console.print(Text(gate["message"], style="red" if gate["failed"] else ""), soft_wrap=True)


def _print_claims(console: Console, record: DiffRecord) -> None:
    """One table over tasks and candidates, and their macro means."""
    made = list(comparisons(record))
    names = list(dict.fromkeys(name for comparison in made for name in comparison["tasks"]))
    base = record["base"]["label"]
    sections = ([row for c in made if name in c["tasks"] for row in claim_rows(name, c)] for name in names)
    _table(console, f"{base} against {len(made)} candidates", CLAIM_COLUMNS, sections)
    if len(names) > 1:
        rows = [Row((c["candidate"]["label"], *cells), False) for c in made for cells in summary_rows(c)]
        _table(console, "Summary", ("Candidate", *SUMMARY_COLUMNS), [rows])


def _print_comparison(console: Console, record: DiffRecord, comparison: Comparison) -> None:
    from rich.text import Text

    console.print(Text(comparison["headline"], style="bold"), soft_wrap=True)
    for note in comparison["notes"]:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    tasks = comparison["tasks"]
    title = f"{record['base']['label']} → {comparison['candidate']['label']}"
    figures = (list(figure_rows(task_mark(task), task)) for task in tasks.values())
    _table(console, title, FIGURE_COLUMNS, figures)
    states = [list(rate_rows(task_mark(task), task)) for task in tasks.values() if task["has_states"]]
    if states:
        _table(console, "Hallucination", RATE_COLUMNS, states)
    for title, columns, make in (
        ("Form and likelihood", FORM_COLUMNS, form_rows),
        ("Confidence", CALIBRATION_COLUMNS, calibration_rows),
    ):
        parts = [rows for task in tasks.values() if (rows := list(make(task_mark(task), task)))]
        if parts:
            _table(console, title, columns, parts)
    for task in tasks.values():
        for key in task["strata"]:
            _table(console, f"{task['task']['name']} by {key}", STRATUM_COLUMNS, [list(stratum_rows(task, key))])
    if len(tasks) > 1 and not record["further"]:
        _table(console, "Summary", SUMMARY_COLUMNS, [[Row(cells, False) for cells in summary_rows(comparison)]])
    for name, task in tasks.items():
        for remark in remarks(task):
            console.print(Text(f"{name}: {remark}"), soft_wrap=True)


def _table(console: Console, title: str, columns: Sequence[str], sections: Iterable[Sequence[Row]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # Names come from cards, data and directories: shown as they are, never read as markup.
    table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if i < 2 else "right", no_wrap=i > 0)
    for section in sections:
        for row in section:
            table.add_row(*(Text(cell) for cell in row.cells), style="bold" if row.bold else "")
        table.add_section()
    print_whole(console, table)
