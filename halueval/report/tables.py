"""The table at the end of a run, in the columns that users of lm-evaluation-harness know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from halueval.report import uncertainty
from halueval.schema import Kind, State
from halueval.store import Run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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


def shown_figures(record: Mapping[str, Any], *, every: bool) -> dict[str, Mapping[str, Any]]:
    """Figures for the table: those that the task names and the rates of its states, or every one."""
    chosen = {*record["task"]["metric_list"], record["task"]["primary_metric"], "hallucination_rate", "answer_rate"}
    return {name: metric for name, metric in record["metrics"].items() if every or name in chosen}


def rows_of(run: Run, *, every: bool) -> list[tuple[str, ...]]:
    """Cells of one run: Task, Version, n-shot, Metric, Value, 95 % CI, n, unscored."""
    task = run.record["task"]
    rows = []
    for i, (name, metric) in enumerate(shown_figures(run.record, every=every).items()):
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


COLUMNS = ("Task", "Version", "n-shot", "Metric", "Value", "95 % CI", "n", "unscored")
NUM_TASK_COLUMNS = 3


def print_runs(runs: Iterable[Run], file: IO[str], *, every: bool = False) -> None:
    """Print a table a model, then each run's states, warnings, reasons for gaps, and path.

    On a narrow terminal task, version and shots go into a line above each task's figures, so that no cell is
    ever cut.

    Args:
        runs: finished runs.
        file: where to print.
        every: all figures, not only those that the task names.
    """
    from rich.console import Console
    from rich.measure import Measurement
    from rich.text import Text

    by_model: dict[str, list[Run]] = {}
    for run in runs:
        by_model.setdefault(run.record["model"]["name"], []).append(run)
    console = Console(file=file, width=None if file.isatty() else 120, highlight=False)
    for model, finished in by_model.items():
        cells = [rows_of(run, every=every) for run in finished]
        table = _table(COLUMNS, cells)
        console.print(Text(model, style="bold"))
        needed = Measurement.get(console, console.options.update(max_width=1000), table).maximum
        if needed <= console.width:
            console.print(table)
        else:
            for rows in cells:
                task, version, shots = rows[0][:NUM_TASK_COLUMNS]
                console.print(Text(f"{task}, version {version}, {shots}-shot"))
                console.print(_table(COLUMNS[NUM_TASK_COLUMNS:], [[row[NUM_TASK_COLUMNS:] for row in rows]]))
        for run in finished:
            _print_uncertainty(run.record, console)
        for run in finished:
            console.print(Text(footer(run)), soft_wrap=True)
        hidden = sum(len(run.record["metrics"]) for run in finished) - sum(map(len, cells))
        if hidden:
            console.print(Text(f"{hidden} more figures are in run.json; --all-figures shows them", style="dim"))


def _print_uncertainty(record: Mapping[str, Any], console: Console) -> None:
    """A table of the run's figures of uncertainty, if it has any; fewer columns where there is no room."""
    from rich.measure import Measurement
    from rich.text import Text

    rows = uncertainty.uncertainty_rows(record, format_number, format_interval)
    if not rows:
        return
    console.print(Text(uncertainty.uncertainty_title(record, format_number)), soft_wrap=True)
    table = _table(uncertainty.COLUMNS, [rows])
    if Measurement.get(console, console.options.update(max_width=1000), table).maximum > console.width:
        table = _table(uncertainty.narrow(uncertainty.COLUMNS), [map(uncertainty.narrow, rows)])
    console.print(table)


def _table(columns: Sequence[str], groups: Iterable[Iterable[Sequence[str]]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(
            column, justify="left" if column in (*COLUMNS[:4], uncertainty.COLUMNS[0]) else "right", no_wrap=True
        )
    for rows in groups:
        for row in rows:
            # Names come from directories and cards: shown as they are, never read as markup.
            table.add_row(*(Text(cell) for cell in row))
        table.add_section()
    return table


def _no_threshold(record: Mapping[str, Any], decided: Mapping[str, Any] | None) -> str:
    """Why no consistency scorer decided, in brackets."""
    if decided is None:
        return ""
    language = record["task"]["language"]
    return f" ({decided.get('reason') or '{} has no validated threshold for {}'.format(decided['name'], language)})"


def footer(run: Run) -> str:
    """States, the commonest reason for an unscored figure, truncation and warnings, and the path."""
    record = run.record
    states = ", ".join(f"{count} {state}" for state, count in record["states"].items() if count)
    if record["task"]["kind"] == Kind.LANGUAGE_MODELING:
        states = f"{record['n_samples']['effective']} texts"  # plain text has no right answer, so no states
    lines = [f"{record['task']['name']}: {states}"]
    if calibration := record["identity"].get("calibration"):
        lines.append(f"  choices by {calibration} calibration")
    decided = record.get("checks", {}).get("consistency")
    if decided and decided["threshold"] is not None:
        lines.append(
            f"  states by {decided['name']}: consistent from {decided['threshold']:.3g} on "
            f"(threshold from {decided['threshold_from']})"
        )
    elif record["task"]["kind"] == Kind.SUMMARIZATION and "entity_precision" in record["metrics"]:
        why = _no_threshold(record, decided)
        lines.append(f"  states by entities: consistent where the source has all of them{why}")
    reasons: dict[str, int] = {}
    for metric in record["metrics"].values():
        for reason, count in metric["unscored_reasons"].items():
            if reason != State.ABSTAINED:  # is told with the states above
                reasons[reason] = max(reasons.get(reason, 0), count)
    if reasons:
        told = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:3]
        lines.append("  unscored: " + "; ".join(f"{reason} ({count})" for reason, count in told))
    if record["engine"]["prompts_truncated"]:
        lines.append(f"  {record['engine']['prompts_truncated']} prompts were cut from the left to fit the window")
    lines.extend(f"  warning: {warning}" for warning in record["warnings"])
    lines.append(f"  {run.path}")
    return "\n".join(lines)
