"""The plots of a table of models: forest plot, hallucination against answer rate and against size, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from halueval.leaderboard.board import Board, Cell, Column, Entry
from halueval.report.plots import Bin, reliability
from halueval.report.site.addresses import Addresses
from halueval.report.site.boards import Plot
from halueval.report.site.drawings import (
    MAX_ROWS,
    Axis,
    Estimate,
    Line,
    Point,
    Words,
    lines,
    percent,
    scatter,
    shares_axis,
    size_axis,
)
from halueval.report.site.figures import number, share
from halueval.report.tables import HIGHER, LOWER

HALLUCINATION, ANSWERED = "hallucination_rate", "answer_rate"
MAX_CURVES = 12
"""Most reliability curves on the page of a task; each run's own page has its own."""


class Charts:
    """Draws what a board's tables say."""

    def __init__(self, board: Board, addresses: Addresses) -> None:
        self._columns = {column.key: column for column in board.columns}
        self._addresses = addresses
        self._bases = {candidate: base for base, candidate in board.pairs}

    def of(self, name: str, entries: Sequence[Entry], columns: Sequence[str], order: str) -> list[Plot]:
        """The plots of a table; none of a single model.

        Args:
            name: id prefix, unique within the page.
            entries: of the table, in its order.
            columns: keys of its columns.
            order: key of the column by which it is ordered.
        """
        if len(entries) < 2:
            return []
        out = [
            self._forest(f"{name}-{key}", entries, key)
            for key in dict.fromkeys((HALLUCINATION, order))
            if key in columns
        ]
        if HALLUCINATION in columns:
            out += self._scatters(name, entries, columns)
        return [plot for plot in out if plot is not None]

    def curves(self, bins: Mapping[str, Sequence[Bin]]) -> list[Plot]:
        """A reliability curve a model that has one, by key of the model."""
        drawn = [(key, curve) for key, curve in bins.items() if curve]
        out = []
        for i, (key, curve) in enumerate(drawn[:MAX_CURVES]):
            label = self._addresses.model(key).label
            drawing = reliability(f"curve-{i}", {"base": curve}, f"Reliability of {label}")
            n = sum(one.n for one in curve)
            out.append(Plot(drawing, Markup("<bdi>{}</bdi>, {:,} answers").format(label, n)))
        return out

    def _forest(self, name: str, entries: Sequence[Entry], key: str) -> Plot | None:
        column = self._columns[key]
        known = [(entry, cell) for entry in entries if (cell := entry.cells.get(key)) and cell.value is not None]
        if len(known) < 2:
            return None
        known.sort(key=lambda pair: (pair[1].rank or 0) if key != HALLUCINATION else 0)  # stable: the table's order
        words = _words(column)
        axis = self._axis(column, [cell for _, cell in known])
        rows = [
            Line(self._addresses.model(entry.model).label, _estimate(cell), cell.rank or 0) for entry, cell in known
        ]
        more = f" The first {MAX_ROWS} of {len(rows)} models." if len(rows) > MAX_ROWS else ""
        caption = f"{column.title} with 95 % intervals{_better(column)}; a dotted line parts ranks.{more}"
        return Plot(lines(name, rows, column.title, axis, words), caption)

    def _scatters(self, name: str, entries: Sequence[Entry], columns: Sequence[str]) -> list[Plot | None]:
        rate = self._columns[HALLUCINATION]
        known = [(e, c) for e in entries if (c := e.cells.get(HALLUCINATION)) and c.value is not None]
        answered = [(e, c, a) for e, c in known if (a := e.cells.get(ANSWERED)) and a.value is not None]
        sized = [(e, c, n) for e, c in known if (n := self._addresses.models[e.model].num_parameters)]
        out: list[Plot | None] = []
        if ANSWERED in columns and len(answered) > 1:
            points = [self._point(e, _estimate(a), c) for e, c, a in answered]
            low = min(end for _, _, a in answered for end in (a.value, a.ci_low) if end is not None)
            axis = _upper_axis("answer rate, %", low)
            title = "Hallucination against answer rate"
            y_axis = self._axis(rate, [c for _, c, _ in answered])
            drawing = scatter(f"{name}-answered", points, title, axis, y_axis, _words(rate))
            out.append(Plot(drawing, f"{title}: a model can hallucinate little by answering little. {_ARROWS}"))
        if len({n for _, _, n in sized}) > 1:
            points = [self._point(e, Estimate(n, None, None), c) for e, c, n in sized]
            axis = size_axis("parameters", [float(n) for _, _, n in sized])
            title = "Hallucination against size"
            y_axis = self._axis(rate, [c for _, c, _ in sized])
            drawing = scatter(f"{name}-size", points, title, axis, y_axis, _words(rate))
            out.append(Plot(drawing, f"{title}. {_ARROWS}"))
        return out

    def _point(self, entry: Entry, x: Estimate, cell: Cell) -> Point:
        label = self._addresses.model(entry.model).label
        return Point(entry.model, label, x, _estimate(cell), self._bases.get(entry.model))

    def _axis(self, column: Column, cells: Sequence[Cell]) -> Axis:
        ends = [end for cell in cells for end in (cell.value, cell.ci_low, cell.ci_high) if end is not None]
        if column.unit == "share":
            return shares_axis(f"{column.title.lower()}, %", ends)
        low, high = min(0.0, *ends), max(max(ends), 1e-9)
        return Axis(column.title, low, high, [low + (high - low) * i / 4 for i in range(5)], lambda v: f"{v:.3g}")


_ARROWS = "An arrow leads from a base to what was fine-tuned from it; filled dots are fine-tuned models."


def _upper_axis(name: str, low: float) -> Axis:
    """Shares from a round one below `low` to 1: rates of answering are mostly high."""
    step = 0.1 if low >= 0.5 else 0.2
    n = min(max(int((1 - low) / step + 1 - 1e-9), 1), round(1 / step))
    return Axis(name, 1 - n * step, 1.0, [1 - i * step for i in range(n, -1, -1)], percent)


def _estimate(cell: Cell) -> Estimate:
    return Estimate(cell.value or 0.0, cell.ci_low, cell.ci_high)


def _words(column: Column) -> Words:
    return share if column.unit == "share" else number


def _better(column: Column) -> str:
    if column.higher_is_better is None:
        return ""
    return f", {HIGHER} higher is better" if column.higher_is_better else f", {LOWER} lower is better"
