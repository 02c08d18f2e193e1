"""Scorers held against people as a terminal table, as Markdown, and as a forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from markupsafe import Markup

from halueval.report.plots import WIDTH, Drawing
from halueval.report.validation_record import Record

FIGURES = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "kendall": "Kendall",
    "partial_pearson": "partial r",
    "roc_auc": "ROC AUC",
    "average_precision": "avg. precision",
    "balanced_accuracy": "bal. accuracy",
}
CONTROL_NAMES = {"length_only": "length only", "extractiveness_only": "extractiveness only"}
HOW_TO_READ = (
    "Intervals are 95 %, by bootstrap over documents. Correlations, ROC AUC and average precision are of all scored "
    "rows; average precision is that of finding inconsistent claims, whose share stands behind it. Balanced accuracy "
    "is of the test part, at a threshold chosen on the validation part. Partial r holds the system constant. The two "
    "controls see no meaning: what does not beat them says nothing."
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: who, how many rows, and a cell for each figure."""

    label: str
    n: str
    cells: tuple[str, ...]
    is_control: bool = False


def sets_of(record: Record) -> list[str]:
    """Names of the sets, in the order in which they first stand."""
    return list(dict.fromkeys(name for by_set in record.values() for name in by_set))


def lines_of(record: Record, set_name: str) -> list[Line]:
    """A line for each scorer on the set, then the controls on the rows of the first."""
    entries = {scorer: by_set[set_name] for scorer, by_set in record.items() if set_name in by_set}
    out = [
        Line(scorer, _count(entry), tuple(figure_cell(entry.get(figure)) for figure in FIGURES))
        for scorer, entry in entries.items()
    ]
    first = next(iter(entries.values()))
    for name, control in first["controls"].items():
        label = CONTROL_NAMES.get(name, name)
        if name == "length_only":
            label += " (longer is " + ("more" if control["sign"] > 0 else "less") + " consistent)"
        out.append(
            Line(
                label, f"{first['n']:,}", tuple(figure_cell(control.get(figure)) for figure in FIGURES), is_control=True
            )
        )
    return out


def _count(entry: Mapping[str, Any]) -> str:
    return f"{entry['n']:,}" + (f" (+{entry['n_unscored']:,} unscored)" if entry["n_unscored"] else "")


def figure_cell(figure: Mapping[str, Any] | None) -> str:
    """Value, interval and base rate of a figure; a dash where it was not asked for."""
    if figure is None:
        return "–"
    if figure["value"] is None:
        return "none"
    text = number(figure["value"])
    if figure["ci_low"] is not None:
        text += f" [{number(figure['ci_low'], 2)}, {number(figure['ci_high'], 2)}]"
    return text + (f" ({number(figure['base_rate'], 2)})" if figure.get("base_rate") is not None else "")


def number(value: float, digits: int = 3) -> str:
    """Without the zero before the point: `.663`, `−.04`, `1.000`."""
    text = f"{abs(value):.{digits}f}"
    text = text.removeprefix("0") if text.startswith("0.") else text
    return ("−" if value < 0 and float(f"{value:.{digits}f}") != 0 else "") + text


def reasons_of(record: Record) -> list[str]:
    """What has no figure, or no score, and why: a line each."""
    out = []
    for scorer, by_set in record.items():
        for name, entry in by_set.items():
            where = f"{scorer} on {name}"
            out += [f"{where}: {n:,} rows unscored: {why}" for why, n in entry["unscored_reasons"].items()]
            if entry["n_truncated"]:
                out.append(f"{where}: of {entry['n_truncated']:,} rows the source was not seen whole")
            for figure, title in FIGURES.items():
                found = entry.get(figure)
                if found is not None and found["value"] is None:
                    out.append(f"{where}: no {title}: {found.get('reason')}")
    return out


def comparisons_of(record: Record) -> list[tuple[str, ...]]:
    """Rows of the paired comparisons: set, second against first, figure, difference, interval, p, Williams' p."""
    out: list[tuple[str, ...]] = []
    for scorer, by_set in record.items():
        for name, entry in by_set.items():
            for first, made in entry.get("compared_with", {}).items():
                for figure, title in FIGURES.items():
                    found = made.get(figure)
                    if found is None or found["delta"] is None:
                        continue
                    p = "" if found["p_value"] is None else _p(found["p_value"])
                    test = made["williams"]["p_value"] if figure == "pearson" else None
                    shown = figure_cell({**found, "value": found["delta"]})
                    out.append((name, f"{scorer} − {first}", title, shown, p, "" if test is None else _p(test)))
    return out


COMPARISON_HEAD = ("set", "difference of", "figure", "value", "p (bootstrap)", "p (Williams)")


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else number(value)


def print_validation(record: Record, out: IO[str]) -> None:
    """A table a set, then comparisons and reasons. Piped, it is as wide as it needs to be."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, width=None if out.isatty() else 240)
    for name in sets_of(record):
        table = Table(title=name, title_justify="left", box=None, header_style="bold")
        for column in ("scorer", "n", *FIGURES.values()):
            table.add_column(column, overflow="fold")
        for line in lines_of(record, name):
            cells = [Text(cell) for cell in (line.label, line.n, *line.cells)]
            table.add_row(*cells, style="dim" if line.is_control else None)
        console.print(table)
        console.print()
    rows = comparisons_of(record)
    if rows:
        table = Table(title="Paired differences", title_justify="left", box=None, header_style="bold")
        for column in COMPARISON_HEAD:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        console.print()
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
        parts.append(f"{mark} {name}\n\n" + markdown_table(("scorer", "n", *FIGURES.values()), rows))
        parts += [table for table in (_strata(record, name, kind) for kind in STRATA) if table]
    rows = comparisons_of(record) if differences else []
    if rows:
        parts.append(f"{mark} Paired differences\n\n" + markdown_table(COMPARISON_HEAD, rows))
    reasons = reasons_of(record)
    if reasons:
        parts.append(f"{mark} Left out, and without a figure\n\n" + "".join(f"- {_escape(r)}\n" for r in reasons))
    return "\n".join(parts)


STRATA = {"by_error_type": "inconsistent claims with this error", "by_sentences": "sentences of the claim"}


SMALLEST_STRATUM = 10
"""Fewer rows are left to the JSON."""


def _strata(record: Record, set_name: str, kind: str) -> str:
    """ROC AUC within each stratum, a column a scorer; nothing where the set has fewer than two strata."""
    entries = {scorer: by_set[set_name] for scorer, by_set in record.items() if set_name in by_set}
    names = list(
        dict.fromkeys(
            name for entry in entries.values() for name, part in entry[kind].items() if part["n"] >= SMALLEST_STRATUM
        )
    )
    if len(names) < 2:
        return ""
    rows = []
    for name in names:
        cells = [figure_cell(entry[kind].get(name, {}).get("roc_auc")) for entry in entries.values()]
        n = max(entry[kind].get(name, {}).get("n", 0) for entry in entries.values())
        rows.append((name, f"{n:,}", *cells))
    return "ROC AUC by " + STRATA[kind] + ":\n\n" + markdown_table((STRATA[kind], "n", *entries), rows)


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
            entries = {scorer: by_set[name] for scorer, by_set in record.items() if name in by_set}
            shown: list[tuple[str, Mapping[str, Any], str]] = [
                (scorer, entry[figure], "estimate") for scorer, entry in entries.items()
            ]
            controls = next(iter(entries.values()))["controls"]
            shown += [(CONTROL_NAMES.get(c, c), made[figure], "estimate control") for c, made in controls.items()]
            made_rows = [
                (label, figure_cell({**f, "base_rate": None}), f, css)
                for label, f, css in shown
                if f["value"] is not None
            ]
            if made_rows:
                out += [f"{name}: {FIGURES[figure]}", *made_rows]
    return out
