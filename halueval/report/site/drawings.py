"""Plots of many models: intervals under one another, and one figure against another.

Drawn as those of `halueval.report.plots`: SVG text, colours from classes, a title and a description in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from halueval.report.plots import WIDTH, Drawing

MAX_ROWS = 60
"""Most lines of a forest plot; the table beside it holds all."""
MAX_LABELS = 40
"""Most points of a scatter plot that are labelled; all are told when pointed at."""

Words = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval (None: no interval can be given)."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a forest plot; `group` numbers what cannot be told apart."""

    label: str
    estimate: Estimate
    group: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a scatter plot; `base` is the key of the point that it was fine-tuned from, if any."""

    key: str
    label: str
    x: Estimate
    y: Estimate
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """Name, range and ticks of an axis; `log` spaces values by their logarithm."""

    name: str
    low: float
    high: float
    ticks: Sequence[float]
    words: Words
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1; values outside lie on the rim."""
        if self.log:
            low, high, value = (math.log10(x) for x in (self.low, self.high, max(value, self.low)))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), 0.0), 1.0)


def percent(value: float) -> str:
    """Whole per cent, for ticks."""
    return f"{100 * value:.0f}"


def shares_axis(name: str, values: Sequence[float]) -> Axis:
    """From nought to the next round share above all values, in per cent."""
    top = max(values, default=1.0)
    high = next(h for h in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) if h >= min(top, 1.0) - 1e-12)
    steps = {0.3: 3, 0.6: 3, 0.8: 4, 0.4: 4}.get(high, 5)
    return Axis(name, 0.0, high, [high * i / steps for i in range(steps + 1)], percent)


def size_axis(name: str, values: Sequence[float]) -> Axis:
    """Parameters on a logarithmic scale, whole decades around all values."""
    low = 10.0 ** math.floor(math.log10(min(values)))
    high = 10.0 ** math.ceil(math.log10(max(values) * 1.0001))
    decades = round(math.log10(high / low))
    return Axis(name, low, high, [low * 10.0**i for i in range(decades + 1)], size_words, log=True)


def size_words(parameters: float) -> str:
    """A number of parameters as people say it: 135M, 1.7B."""
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= 0.9995 * unit:
            return f"{parameters / unit:.3g}{letter}"
    return f"{parameters:.0f}"


def bar(estimate: Estimate, axis: Axis, css: str) -> Markup:
    """An interval as a small bar with its value, for a cell of a table; the cell's text says the same."""
    x, inside = _n(axis.share(estimate.value) * 100), ""
    if estimate.low is not None and estimate.high is not None:
        ends = _n(axis.share(estimate.low) * 100), _n(axis.share(estimate.high) * 100)
        inside = f'<path class="range" d="M{ends[0]} 6H{ends[1]}"/>'
    return Markup(  # noqa: S704 - numbers, and a class that went through escape
        f'<svg class="interval {escape(css)}" viewBox="-3 0 106 12" aria-hidden="true">'
        f'<path class="rail" d="M0 6H100"/>{inside}<circle cx="{x}" cy="6" r="3.5"/></svg>'
    )


def lines(name: str, rows: Sequence[Line], title: str, axis: Axis, words: Words) -> Markup:
    """Values with their intervals on one scale, a line of text above each, best first as given.

    Args:
        name: id prefix, unique within the page.
        rows: top to bottom; the first `MAX_ROWS` are drawn.
        title: what is drawn.
        axis: of the values.
        words: how a value is printed.
    """
    shown = rows[:MAX_ROWS]
    step, top, left, right = 36, 6, 8, WIDTH - 8
    bottom = top + step * len(shown)
    said = "; ".join(f"{row.label} {_told(row.estimate, words)}" for row in shown)
    drawing = Drawing(name, "lines", WIDTH, bottom + 42, title, said)
    for i, tick in enumerate(axis.ticks):
        x = left + axis.share(tick) * (right - left)
        drawing.line("grid", x, top, x, bottom + 4)
        drawing.text("axis", x, bottom + 18, axis.words(tick), _anchor(i, len(axis.ticks)))
    drawing.text("axis", (left + right) / 2, bottom + 36, axis.name, "middle")
    before = shown[0].group if shown else 0
    for i, row in enumerate(shown):
        y = top + step * i
        if row.group != before:
            drawing.line("between", left, y, right, y)
            before = row.group
        drawing.text("label", left, y + 15, _short(row.label, 34))
        drawing.text("value", right, y + 15, _told(row.estimate, words), "end")
        low, high = row.estimate.low, row.estimate.high
        if low is not None and high is not None:
            ends = [left + axis.share(end) * (right - left) for end in (low, high)]
            drawing.line("estimate", ends[0], y + 25, ends[1], y + 25)
            for x in ends:
                drawing.line("estimate", x, y + 21, x, y + 29)
        drawing.circle("estimate solid", left + axis.share(row.estimate.value) * (right - left), y + 25, 4.5)
    return drawing.done()


def scatter(name: str, points: Sequence[Point], title: str, x_axis: Axis, y_axis: Axis, words: Words) -> Markup:
    """One figure against another, with both intervals; an arrow leads from a base to what was fine-tuned from it.

    Args:
        name: id prefix, unique within the page.
        points: in the order of the table.
        title: what is drawn.
        x_axis: the horizontal axis.
        y_axis: the vertical one.
        words: how a value of the vertical figure is printed.
    """
    left, top, width, height = 40, 22, WIDTH - 52, 300
    said = "; ".join(f"{p.label}: {x_axis.words(p.x.value)}, {_told(p.y, words)}" for p in points[:MAX_ROWS])
    drawing = Drawing(name, "scatter", WIDTH, top + height + 44, title, said)
    for i, tick in enumerate(x_axis.ticks):
        x = left + x_axis.share(tick) * width
        drawing.line("grid", x, top, x, top + height)
        drawing.text("axis", x, top + height + 17, x_axis.words(tick), _anchor(i + 1, len(x_axis.ticks) + 1))
    for tick in y_axis.ticks:
        y = top + height - y_axis.share(tick) * height
        drawing.line("grid", left, y, left + width, y)
        drawing.text("axis", left - 6, y + 4, y_axis.words(tick), "end")
    drawing.text("axis", left + width / 2, top + height + 37, x_axis.name, "middle")
    drawing.text("axis", 0, 12, y_axis.name)
    at = {
        p.key: (left + x_axis.share(p.x.value) * width, top + height - y_axis.share(p.y.value) * height) for p in points
    }
    for p in points:
        x, y = at[p.key]
        if p.y.low is not None and p.y.high is not None:
            ends = (top + height - y_axis.share(end) * height for end in (p.y.low, p.y.high))
            drawing.path("whisker", "M{} {}V{}".format(_n(x), *map(_n, ends)))
        if p.x.low is not None and p.x.high is not None:
            ends = (left + x_axis.share(end) * width for end in (p.x.low, p.x.high))
            drawing.path("whisker", f"M{_n(next(ends))} {_n(y)}H{_n(next(ends))}")
    labels = {p.key: p.label for p in points}
    for p in points:
        if p.base is not None and p.base in at:
            drawing.path("lineage", _arrow(at[p.base], at[p.key]), f"{labels[p.base]} → {p.label}")
    for p in points:
        x, y = at[p.key]
        hint = f"{p.label}: {x_axis.words(p.x.value)}; {_told(p.y, words)}"
        drawing.path("point tuned" if p.base is not None else "point", _dot(x, y, 4.5), hint)
    if len(points) <= MAX_LABELS:
        _labels(drawing, [(p.label, at[p.key]) for p in points], (left, top, left + width, top + height))
    return drawing.done()


def _labels(
    drawing: Drawing, at: Sequence[tuple[str, tuple[float, float]]], frame: tuple[float, float, float, float]
) -> None:
    """A label at each point where there is room for one: right, left, above or below, never over another."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for _, (x, y) in at]
    for label, (x, y) in at:
        text = _short(label, 24)
        wide = 6.3 * sum(2 if ord(c) > 0x2E7F else 1 for c in text)
        own = (x - 5, y - 5, x + 5, y + 5)
        for x0, y0 in ((x + 8, y + 4), (x - 8 - wide, y + 4), (x - wide / 2, y - 9), (x - wide / 2, y + 18)):
            box = (x0, y0 - 10, x0 + wide, y0 + 2)
            inside = box[0] >= frame[0] and box[2] <= frame[2] + 4 and box[1] >= frame[1] - 4 and box[3] <= frame[3]
            if inside and not any(_meet(box, other) for other in taken if other != own):
                drawing.text("point-label", x0, y0, text)
                taken.append(box)
                break


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """A line between two points that leaves room for their dots, and its head."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    if length < 16:
        return f"M{_n(start[0])} {_n(start[1])}L{_n(end[0])} {_n(end[1])}"
    ux, uy = dx / length, dy / length
    x, y = end[0] - 7 * ux, end[1] - 7 * uy
    head = [(x - 6 * ux + side * 3 * uy, y - 6 * uy - side * 3 * ux) for side in (1, -1)]
    return (
        f"M{_n(start[0] + 6 * ux)} {_n(start[1] + 6 * uy)}L{_n(x)} {_n(y)}"
        f"M{_n(head[0][0])} {_n(head[0][1])}L{_n(x)} {_n(y)}L{_n(head[1][0])} {_n(head[1][1])}"
    )


def _dot(x: float, y: float, r: float) -> str:
    return f"M{_n(x - r)} {_n(y)}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 -{2 * r} 0Z"


def _told(estimate: Estimate, words: Words) -> str:
    if estimate.low is None or estimate.high is None:
        return words(estimate.value)
    return f"{words(estimate.value)} [{words(estimate.low)}, {words(estimate.high)}]"


def _anchor(number: int, of: int) -> str:
    return "start" if number == 0 else "end" if number == of - 1 else "middle"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
