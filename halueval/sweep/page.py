"""A sweep as one self-contained HTML page without any script."""

from __future__ import annotations

from pathlib import Path

from halueval.report.page import render_still
from halueval.sweep.cells import headline, letters, remarks
from halueval.sweep.drawings import css_of, curves, pareto
from halueval.sweep.record import SweepRecord
from halueval.sweep.show import tables

TEMPLATES = Path(__file__).parent / "templates"


def render_page(record: SweepRecord) -> str:
    """The page; it can be encoded as UTF-8 whatever names and texts hold."""
    marks = letters(record)
    return render_still(
        "sweep.html.j2",
        own=TEMPLATES,
        styles=(TEMPLATES / "sweep.css",),
        record=record,
        headline=headline(record),
        remarks=remarks(record),
        tables=list(tables(record)),
        pareto=pareto(record),
        curves=list(curves(record)),
        key=[(marks[arm["name"]], css_of(i), arm) for i, arm in enumerate(record["arms"])],
    )
