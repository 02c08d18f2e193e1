"""The explanation as Markdown for a pull request: statements, then the tables folded."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from halueval.explaining.record import ExplainRecord
from halueval.report.diff_markdown import escape
from halueval.report.explain_cells import (
    GROUP_COLUMNS,
    MEASURE_COLUMNS,
    OUTCOME_COLUMNS,
    WEIGHT_COLUMNS,
    Cells,
    group_rows,
    measure_rows,
    outcome_rows,
    weight_rows,
)
from halueval.report.explain_tables import remarks


def render_markdown(record: ExplainRecord) -> str:
    """The whole explanation; ends in a line break."""
    return "\n".join(_lines(record)).strip() + "\n"


def _lines(record: ExplainRecord) -> Iterator[str]:
    yield f"### {escape(record['base']['label'])} → {escape(record['candidate']['label'])}: what goes together"
    yield from ("", f"**{escape(record['headline'])}**", "")
    statements = [line for task in record["tasks"].values() for line in task["statements"]]
    yield from (f"- {escape(line)}" for line in [*statements, *record["statements"]])
    yield from ("", f"_{escape(record['caution'])}_", "")
    yield from _table(OUTCOME_COLUMNS, outcome_rows(record))
    for name, task in record["tasks"].items():
        yield from ("", f"<details><summary>{html.escape(name)}: measures</summary>", "")
        yield from _table(MEASURE_COLUMNS, measure_rows({**task["distribution"], **task["overlap"]}))
        for contrast in task["generalisation"]:
            yield from _table(GROUP_COLUMNS, group_rows(contrast))
        yield "</details>"
    yield from ("", "<details><summary>Weights and general text</summary>", "")
    yield from _table(MEASURE_COLUMNS, measure_rows(record["behaviour"]))
    yield from _table(WEIGHT_COLUMNS, weight_rows(record["weights"]))
    yield from ("</details>", "")
    yield from (f"- {escape(line)}" for line in remarks(record))


def _table(columns: Sequence[str], rows: Iterable[Cells]) -> Iterator[str]:
    made = list(rows)
    if not made:
        return
    yield "| " + " | ".join(columns) + " |"
    yield "|---|" + "---:|" * (len(columns) - 1)
    yield from ("| " + " | ".join(escape(cell) for cell in cells) + " |" for cells in made)
    yield ""
