"""The table at the end of a run, in the columns that users of lm-evaluation-harness know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

from halueval.store import Run

LOWER, HIGHER = "↓", "↑"


def format_number(value: float | None) -> str:
    """Four decimals below 10 in magnitude, one above 1,000; a dash where there is no number."""
    if value is None:
        return "–"
    size = abs(value)
    return f"{value:.4f}" if size < 10 else f"{value:.2f}" if size < 1000 else f"{value:,.1f}"


def format_interval(metric: Mapping[str, Any]) -> str:
    """`[low, high]`, or a dash where no interval can be given."""
    if metric["ci_low"] is None:
        return "–"
    return f"[{format_number(metric['ci_low'])}, {format_number(metric['ci_high'])}]"


def _direction(metric: Mapping[str, Any]) -> str:
    better = metric["higher_is_better"]
    return "" if better is None else f" {HIGHER if better else LOWER}"


def rows_of(run: Run) -> list[tuple[str, ...]]:
    """Cells of one run: Task, Version, n-shot, Metric, Value, 95 % CI, n, unscored."""
    task = run.record["task"]
    rows = []
    for i, (name, metric) in enumerate(run.record["metrics"].items()):
        head = (task["name"], task["version"], str(task["num_fewshot"])) if i == 0 else ("", "", "")
        rows.append(
            (
                *head,
                name + _direction(metric),
                format_number(metric["value"]),
                format_interval(metric),
                str(metric["n_scored"]),
                str(metric["n_unscored"]),
            )
        )
    return rows


def print_runs(runs: Iterable[Run], file: IO[str]) -> None:
    """Print a table a model, then each run's states, warnings, reasons for gaps, and path."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    by_model: dict[str, list[Run]] = {}
    for run in runs:
        by_model.setdefault(run.record["model"]["name"], []).append(run)
    console = Console(file=file, width=None if file.isatty() else 120, highlight=False)
    for model, finished in by_model.items():
        # Names come from directories and cards: shown as they are, never read as markup.
        table = Table(title=Text(model), box=SIMPLE_HEAD, title_justify="left")
        for column in ("Task", "Version", "n-shot", "Metric"):
            table.add_column(column, no_wrap=True)
        for column in ("Value", "95 % CI", "n", "unscored"):
            table.add_column(column, justify="right", no_wrap=True)
        for run in finished:
            for cells in rows_of(run):
                table.add_row(*(Text(cell) for cell in cells))
            table.add_section()
        console.print(table)
        for run in finished:
            console.print(Text(footer(run)), soft_wrap=True)


def footer(run: Run) -> str:
    """States, the commonest reason for an unscored figure, truncation and warnings, and the path."""
    record = run.record
    states = ", ".join(f"{count} {state}" for state, count in record["states"].items() if count)
    lines = [f"{record['task']['name']}: {states}"]
    reasons: dict[str, int] = {}
    for metric in record["metrics"].values():
        for reason, count in metric["unscored_reasons"].items():
            reasons[reason] = max(reasons.get(reason, 0), count)
    if reasons:
        told = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:3]
        lines.append("  unscored: " + "; ".join(f"{reason} ({count})" for reason, count in told))
    if record["engine"]["prompts_truncated"]:
        lines.append(f"  {record['engine']['prompts_truncated']} prompts were cut from the left to fit the window")
    lines.extend(f"  warning: {warning}" for warning in record["warnings"])
    lines.append(f"  {run.path}")
    return "\n".join(lines)
