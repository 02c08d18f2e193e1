"""A sweep on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from halueval.report.diff_markdown import escape
from halueval.report.wide import print_whole
from halueval.sweep.cells import columns, difference_rows, final_rows, headline, matched_rows, remarks
from halueval.sweep.record import SweepRecord

MATCHED_FIRST = ("", "Arm", "Reached", "Step")
DIFFERENCE_FIRST = ("", "Arm")
FINAL_FIRST = ("", "Arm", "Training", "Dominated by")
WIDTH_WITHOUT_TERMINAL = 140


def tables(record: SweepRecord) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Title, heads and rows of each table."""
    reference = record["study"]["reference"]
    facts = record["match"]["facts"]
    over = f"; learnt: of {facts['scored']} of {facts['of']} facts" if facts["left_out"] else ""
    yield (
        f"At the matched score (mean over seeds, 95 % interval over seeds and items{over})",
        columns(record, first=MATCHED_FIRST),
        list(matched_rows(record)),
    )
    rows = list(difference_rows(record))
    if rows:
        yield f"Difference from {reference} at the matched score", columns(record, first=DIFFERENCE_FIRST), rows
    yield f"Final weights{over}", columns(record, first=FINAL_FIRST), list(final_rows(record))


def print_sweep(record: SweepRecord, file: IO[str]) -> None:
    """Print headline, tables and remarks."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    narrow = Console(file=file, width=None if file.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)
    narrow.print(Text(headline(record), style="bold"), soft_wrap=True)
    for title, heads, rows in tables(record):
        table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
        for i, head in enumerate(heads):
            table.add_column(Text(head), justify="left" if i < 2 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        print_whole(narrow, table)
    for remark in remarks(record):
        narrow.print(Text(remark), soft_wrap=True)


def render_markdown(record: SweepRecord) -> str:
    """Headline, tables and remarks."""
    lines = [f"# Sweep: {escape(record['study']['name'])}", "", f"**{escape(headline(record))}**", ""]
    for title, heads, rows in tables(record):
        lines += [f"## {escape(title)}", "", *_table(heads, rows), ""]
    lines += [f"- {escape(remark)}" for remark in remarks(record)]
    digests = [
        [arm["name"], str(seed["seed"]), seed["weights_sha256"]] for arm in record["arms"] for seed in arm["seeds"]
    ]
    lines += ["", "## Digests of the final weights", "", *_table(["Arm", "Seed", "SHA-256"], digests)]
    return "\n".join(lines) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(escape(cell) for cell in cells)} |"

    return [line(heads), f"|{'---|' * len(heads)}", *(line(row) for row in rows)]
