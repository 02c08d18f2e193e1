"""Scorers held against people as a terminal table, as Markdown, and as a forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

from markupsafe import Markup

from halueval.report.plots import WIDTH, Drawing
from halueval.report.validation_cells import (
    COMPARISON_HEAD,
    CONTROL_NAMES,
    FIGURES,
    STRATA,
    comparisons_of,
    controls_by_rows,
    entries_of,
    figure_cell,
    left_out_of,
    lines_of,
    number,
    reasons_of,
    scorer_cell,
    sets_of,
    strata_of,
    warnings_of,
)
from halueval.report.validation_record import Record
from halueval.report.wide import print_whole

HOW_TO_READ = (
    "Intervals are 95 %, by bootstrap over documents. Correlations, ROC AUC and average precision are of all scored "
    "rows; average precision is that of finding inconsistent claims, whose share stands behind it. Balanced accuracy "
    "is of the test part, at a threshold chosen on the validation part. Partial r holds the system constant. The two "
    "controls see no meaning: what does not beat them says nothing."
)


def print_validation(record: Record, out: IO[str]) -> None:
    """A table a set and one for each kind of strata, then comparisons and reasons."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, width=None if out.isatty() else 240)

    def show(title: str, head: Sequence[str], rows: Sequence[tuple[str, ...]], dim: Sequence[bool] = ()) -> None:
        table = Table(title=Text(title), title_justify="left", box=None, header_style="bold")
        for column in head:
            table.add_column(Text(column))
        for i, row in enumerate(rows):
            table.add_row(*(Text(cell) for cell in row), style="dim" if dim and dim[i] else None)
        print_whole(console, table)
        console.print()

    for name in sets_of(record):
        for warning in warnings_of(record, name):
            console.print(Text(f"WARNING: {warning}"), style="bold red")
        lines = lines_of(record, name)
        rows = [(line.label, line.n, *line.cells) for line in lines]
        show(name, ("scorer", "n", *FIGURES.values()), rows, [line.is_control for line in lines])
        if left_out := left_out_of(record, name):
            console.print(Text(left_out))
        for kind, what in STRATA.items():
            if (strata := strata_of(record, name, kind)) is not None:
                show(f"{name}: ROC AUC by {what}", *strata)
    if rows := comparisons_of(record):
        show("Paired differences", COMPARISON_HEAD, rows)
    for reason in reasons_of(record):
        console.print(Text(reason))
    console.print(Text(HOW_TO_READ), style="dim")


def validation_markdown(record: Record, level: int = 2, *, differences: bool = True) -> str:
    """The same as Markdown.

    Args:
        record: see `validation_record`.
        level: of the headings.
        differences: with the table of paired differences.
    """
    mark = "#" * level
    parts = [HOW_TO_READ + "\n"]
    for name in sets_of(record):
        rows = [(line.label, line.n, *line.cells) for line in lines_of(record, name)]
        warned = "".join(f"**Warning: {_escape(warning)}.**\n\n" for warning in warnings_of(record, name))
        parts.append(f"{mark} {name}\n\n{warned}" + markdown_table(("scorer", "n", *FIGURES.values()), rows))
        if left_out := left_out_of(record, name):
            parts.append(_escape(left_out) + ".\n")
        for kind, what in STRATA.items():
            if (strata := strata_of(record, name, kind)) is not None:
                parts.append(f"ROC AUC by {what}:\n\n" + markdown_table(*strata))
    rows = comparisons_of(record) if differences else []
    if rows:
        parts.append(f"{mark} Paired differences\n\n" + markdown_table(COMPARISON_HEAD, rows))
    reasons = reasons_of(record)
    if reasons:
        parts.append(f"{mark} Left out, and without a figure\n\n" + "".join(f"- {_escape(r)}\n" for r in reasons))
    return "\n".join(parts)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; pipes in cells are escaped."""
    lines = ["| " + " | ".join(map(_escape, head)) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(_escape, row)) + " |" for row in rows]) + "\n"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


_STYLE = Markup(
    "<style>svg{background:#fff;font:13px system-ui,sans-serif}.head{font-weight:600}.value,.axis{fill:#555}"
    ".zero{stroke:#999;stroke-dasharray:3 3}.tick{stroke:#999}.estimate{stroke:#1f5fa8;stroke-width:2;fill:#1f5fa8}"
    ".control{stroke:#999;fill:#fff}"
    "@media (prefers-color-scheme:dark){svg{background:#16181c}text{fill:#e6e6e6}.value,.axis{fill:#aaa}"
    ".estimate{stroke:#7db4f0;fill:#7db4f0}.control{fill:#16181c}}</style>"
)
PLOTTED = ("roc_auc", "balanced_accuracy")


def validation_plot(record: Record) -> str:
    """A forest plot of ROC AUC and balanced accuracy with their intervals, as a self-contained SVG file.

    The dashed line is .5: a score that knows nothing. Controls are hollow.
    """
    rows = _plot_rows(record)
    step, top, left, right = 38, 8, 14, WIDTH - 14
    bottom = top + sum(26 if row is None or isinstance(row, str) else step for row in rows)
    said = "; ".join(f"{row[0]} {row[1]}" for row in rows if not isinstance(row, str))
    drawing = Drawing("validation", "forest", WIDTH, bottom + 28, "Agreement of scorers with people", said)
    span = right - left
    drawing.line("zero", left + span / 2, top, left + span / 2, bottom)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + share * span
        drawing.line("tick", x, bottom, x, bottom + 4)
        drawing.text(
            "axis", x, bottom + 18, number(share, 2), "start" if not share else "end" if share == 1 else "middle"
        )
    y = float(top)
    for row in rows:
        if isinstance(row, str):
            drawing.text("head", left, y + 17, row)
            y += 26
            continue
        label, text, figure, css = row
        drawing.text("label", left, y + 12, label)
        drawing.text("value", right, y + 12, text, "end")
        if figure["ci_low"] is not None:
            ends = left + figure["ci_low"] * span, left + figure["ci_high"] * span
            drawing.line(css, ends[0], y + 24, ends[1], y + 24)
            for x in ends:
                drawing.line(css, x, y + 20, x, y + 28)
        drawing.circle(css, left + figure["value"] * span, y + 24, 4)
        y += step
    made = str(drawing.done())
    start, end = made.index("<svg ") + len("<svg "), made.index("</desc>") + len("</desc>")
    return f'<svg xmlns="http://www.w3.org/2000/svg" {made[start:end]}{_STYLE}{made[end:]}\n'


_PlotRow = tuple[str, str, Mapping[str, Any], str]


def _plot_rows(record: Record) -> list[str | _PlotRow]:
    """A heading a figure and set, then a row for each scorer and control that has the figure."""
    out: list[str | _PlotRow] = []
    for figure in PLOTTED:
        for name in sets_of(record):
            entries = entries_of(record, name)
            shown: list[tuple[str, Mapping[str, Any], str]] = [
                (scorer_cell(scorer, entry), entry[figure], "estimate") for scorer, entry in entries.items()
            ]
            shown += [
                (CONTROL_NAMES.get(c, c) + on, made[figure], "estimate control")
                for on, entry in controls_by_rows(entries)
                for c, made in entry["controls"].items()
            ]
            made_rows = [
                (label, figure_cell({**f, "base_rate": None}), f, css)
                for label, f, css in shown
                if f["value"] is not None
            ]
            if made_rows:
                out += [f"{name}: {FIGURES[figure]}", *made_rows]
    return out
