"""The leaderboard as Markdown, written between two markers of any file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from halueval.errors import DataError
from halueval.leaderboard.board import Board, Cell, Column, Entry, TaskBoard
from halueval.report.diff_markdown import escape, escape_html
from halueval.report.tables import HIGHER, LOWER

BEGIN, END = "<!-- halueval:leaderboard:begin -->", "<!-- halueval:leaderboard:end -->"
MAX_EXCLUDED = 20
"""Lines on runs that were left out; the rest is counted."""
MAX_NOTES = 20
"""Lines under a table on figures without an interval and runs that were let through; the rest is counted."""
MARK = " †"
"""Behind a model whose run was let through."""


def render_leaderboard(board: Board, *, details: bool = True) -> str:
    """Tables of the board.

    Args:
        board: what is printed.
        details: a table for each task and what was left out, folded; without it the overview alone.
    """
    return "\n".join(_lines(board, details=details)) + "\n"


def _lines(board: Board, *, details: bool) -> Iterator[str]:
    if board.overall is None:
        yield "No run counts yet."
    else:
        columns = [board.column(key) for key in board.overall.columns]
        yield from _table(board, columns, board.overall.entries, f"means over {_tasks(board)}")
        yield ""
        yield _NOTE
        for key, why in sorted(board.overall.absent.items()):
            yield ""
            yield f"Not in this table: {escape(key)} {escape(why)}."
    if details:
        for task in board.tasks:
            yield ""
            yield "<details>"
            about = f"{task.kind.replace('_', ' ')}, {escape_html(task.language)}"
            yield f"<summary>{escape_html(task.task)}: {about}</summary>"
            yield ""
            yield from _table(board, [board.column(key) for key in task.columns], task.entries, _settings(task))
            yield ""
            yield "</details>"
        if board.excluded:
            yield ""
            yield "<details>"
            yield f"<summary>{len(board.excluded)} left out</summary>"
            yield ""
            for item in board.excluded[:MAX_EXCLUDED]:
                yield f"- {escape(item.path)}: {escape(item.reason)}"
            if len(board.excluded) > MAX_EXCLUDED:
                yield f"- and {len(board.excluded) - MAX_EXCLUDED} more"
            yield ""
            yield "</details>"


_NOTE = (
    "Beside each figure its 95 % interval. A number before it is a rank: one more than the models whose interval lies "
    "wholly on the better side, so equal ranks are ties. Means count each task the same."
)


def _tasks(board: Board) -> str:
    assert board.overall is not None
    tasks = sorted({task for mine in board.overall.tasks.values() for task in mine})
    return f"{len(tasks)} task{'s' if len(tasks) != 1 else ''}: {', '.join(map(escape, tasks))}"


def _settings(task: TaskBoard) -> str:
    parts = [f"{task.settings['num_fewshot']}-shot"]
    sizes = sorted({entry.n_samples for entry in task.entries if entry.n_samples is not None})
    if sizes:
        parts.append(f"{'–'.join(f'{size:,}' for size in sorted({sizes[0], sizes[-1]}))} samples")
    return ", ".join(parts)


def _table(board: Board, columns: Sequence[Column], entries: Sequence[Entry], caption: str) -> Iterator[str]:
    arrows = {True: f" {HIGHER}", False: f" {LOWER}", None: ""}
    yield f"*{caption}*"
    yield ""
    bases = {model.key: model.base for model in board.models}
    titles = [f"{column.title}{arrows[column.higher_is_better]}" for column in columns]
    yield f"| {' | '.join(['Model', 'Base', *titles])} |"
    yield f"| {' | '.join(['---', '---', *('---:' for _ in columns)])} |"
    for entry in entries:
        base = bases[entry.model]
        cells = [cell_text(column, entry.cells.get(column.key)) for column in columns]
        name = escape(entry.model) + (MARK if entry.remark else "")
        yield f"| {' | '.join([name, escape(base) if base else '', *cells])} |"
    notes = list(_notes(columns, entries))
    if notes:
        yield ""
        yield from notes[:MAX_NOTES]
    if len(notes) > MAX_NOTES:
        yield f"- and {len(notes) - MAX_NOTES} more"


def _notes(columns: Sequence[Column], entries: Sequence[Entry]) -> Iterator[str]:
    """Why a run would not count by itself, and why a figure has no interval."""
    for entry in entries:
        if entry.remark:
            yield f"-{MARK} {escape(entry.model)}: {escape(entry.remark)}"
    for entry in entries:
        for column in columns:
            cell = entry.cells.get(column.key)
            if cell is not None and cell.reason:
                yield f"- {escape(entry.model)}, {column.title}: {escape(cell.reason)}"


def cell_text(column: Column, cell: Cell | None) -> str:
    """Rank, value, interval and coverage of a cell; `–` where there is no value."""
    if cell is None or cell.value is None:
        return "–"
    interval = ""
    if cell.ci_low is not None and cell.ci_high is not None:
        ends = (number(column, end).removesuffix(" %") for end in (cell.ci_low, cell.ci_high))
        interval = f" [{', '.join(ends)}]"
    rank = f"{cell.rank}. " if cell.rank is not None else ""
    coverage = cell.coverage
    part = f" ({100 * coverage:.0f} % scored)" if coverage is not None and coverage < 1 else ""
    return f"{rank}{number(column, cell.value)}{interval}{part}"


def number(column: Column, value: float) -> str:
    """A figure in the unit of its column."""
    return f"{100 * value:.1f} %" if column.unit == "share" else f"{value:.3f}"


def between_markers(text: str, table: str, name: str) -> str:
    """A file's text with the table in place of what stands between its markers.

    Args:
        text: of the file; an empty one becomes the markers and the table.
        table: from `render_leaderboard`.
        name: of the file, for the message.

    Raises:
        DataError: not exactly one pair of markers, in order.
    """
    block = f"{BEGIN}\n{table.strip()}\n{END}\n"
    if not text.strip():
        return block
    counts = text.count(BEGIN), text.count(END)
    start, end = text.find(BEGIN), text.find(END)
    if counts != (1, 1) or end < start:
        raise DataError(
            f"{name}: needs the lines {BEGIN} and {END} once each and in this order (found {counts[0]} and {counts[1]})"
        )
    after = text[end + len(END) :].removeprefix("\n")
    return text[:start] + block + after
