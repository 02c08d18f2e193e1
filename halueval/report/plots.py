"""Plots as SVG text: forest plot, state flow, reliability curves.

Drawn without a plotting library and without a style attribute: colours come from classes of the page's
style sheet (a strict content-security policy refuses inline styles, and dark mode needs them to change).
Every plot is 420 units wide so that its text stays readable at a phone's width, and carries a title and a
description for those who do not see it. Texts pass through markupsafe, so that no name becomes markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from markupsafe import Markup, escape

WIDTH = 420
STATES = ("correct", "abstained", "hallucinated", "unscored")


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of a forest plot.

    Attributes:
        label: name of the figure.
        text: the numbers as printed at the right.
        delta: the difference; `low` and `high` bound its interval (None: no interval).
        tone: `"better"`, `"worse"`, or `""` where the difference does not survive the correction.
    """

    label: str
    text: str
    delta: float
    low: float | None
    high: float | None
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Bin:
    """One point of a reliability curve: shares in [0, 1], and the interval of the accuracy where known."""

    confidence: float
    accuracy: float
    n: int
    low: float | None = None
    high: float | None = None


class Drawing:
    """Shapes of one SVG, in drawing order. `name` must be unique within the page.

    `stretched` fits the drawing to any width and height that the style sheet gives it: for bars without text.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        width: float,
        height: float,
        title: str,
        description: str,
        *,
        stretched: bool = False,
    ) -> None:
        fit = ' preserveAspectRatio="none"' if stretched else ""
        key = escape(name)
        self._parts = [
            f'<svg class="plot {escape(kind)}" role="img" viewBox="0 0 {_n(width)} {_n(height)}"{fit} '
            f'aria-labelledby="{key}-t {key}-d"><title id="{key}-t">{escape(title)}</title>'
            f'<desc id="{key}-d">{escape(description)}</desc>'
        ]

    def line(self, css: str, x1: float, y1: float, x2: float, y2: float) -> None:
        """A straight line."""
        ends = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
        self._parts.append(f'<line class="{escape(css)}" {ends}/>')

    def rect(self, css: str, x: float, y: float, width: float, height: float) -> None:
        """An upright rectangle."""
        shape = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        self._parts.append(f'<rect class="{escape(css)}" {shape}/>')

    def circle(self, css: str, x: float, y: float, radius: float) -> None:
        """A dot."""
        self._parts.append(f'<circle class="{escape(css)}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"/>')

    def path(self, css: str, d: str, hint: str = "") -> None:
        """A path; `hint` is shown when it is pointed at."""
        inner = f"<title>{escape(hint)}</title>" if hint else ""
        self._parts.append(f'<path class="{escape(css)}" d="{escape(d)}">{inner}</path>')

    def text(self, css: str, x: float, y: float, words: str, anchor: str = "start") -> None:
        """One line of text, its baseline at `y`."""
        place = f'x="{_n(x)}" y="{_n(y)}" text-anchor="{escape(anchor)}"'
        self._parts.append(f'<text class="{escape(css)}" {place}>{escape(words)}</text>')

    def done(self) -> Markup:
        """The whole element."""
        return Markup("".join([*self._parts, "</svg>"]))  # noqa: S704 - every part is a number or went through escape


def _n(value: float) -> str:
    """Coordinates with one decimal: a tenth of a unit is below a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def forest(name: str, rows: Sequence[ForestRow], title: str, *, shared_axis: bool = True) -> Markup:
    """Differences with their intervals around zero, a line of text above each.

    Args:
        name: id prefix, unique within the page.
        rows: top to bottom.
        title: what is drawn.
        shared_axis: one scale for all rows, with ticks; otherwise each row has its own.
    """
    step, top, left, right = 46, 8, 14, WIDTH - 14
    height = top + step * len(rows) + (26 if shared_axis else 4)
    said = "; ".join(f"{row.label} {row.text}" for row in rows)
    drawing = Drawing(name, "forest", WIDTH, height, title, said)
    middle = (left + right) / 2
    reach = _nice(max((_extent(row) for row in rows), default=0.0))
    bottom = top + step * len(rows)
    drawing.line("zero", middle, top, middle, bottom)
    if shared_axis:
        for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
            x = middle + share * (right - left) / 2
            drawing.line("tick", x, bottom, x, bottom + 4)
            anchor = "start" if share == -1 else "end" if share == 1 else "middle"
            drawing.text("axis", x, bottom + 18, _tick(100 * share * reach), anchor)
    for i, row in enumerate(rows):
        y = top + step * i
        scale = (right - left) / 2 / (reach if shared_axis else _extent(row) * 1.15 or 1.0)
        drawing.text("label", left, y + 14, row.label)
        drawing.text("value", right, y + 14, row.text, "end")
        css = f"estimate {row.tone}".strip()
        if row.low is not None and row.high is not None:
            ends = middle + row.low * scale, middle + row.high * scale
            drawing.line(css, ends[0], y + 30, ends[1], y + 30)
            for x in ends:
                drawing.line(css, x, y + 25, x, y + 35)
        # Filled where it survives the correction, hollow otherwise: the colour alone must not tell.
        drawing.circle(css, middle + row.delta * scale, y + 30, 5)
    return drawing.done()


def _extent(row: ForestRow) -> float:
    return max(abs(v) for v in (row.delta, row.low, row.high) if v is not None)


def _nice(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten, so that the axis ends in a round number."""
    if value <= 0:
        return 0.01
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= value * 0.9999)


def _tick(points: float) -> str:
    return "0" if points == 0 else f"{points:+g} pp".replace("-", "−")


def flow(name: str, transitions: Mapping[str, Mapping[str, int]], title: str) -> Markup:
    """Bands from each of the base's states (left) to each of the candidate's (right), as thick as they are many.

    Args:
        name: id prefix, unique within the page.
        transitions: count by base state, then candidate state.
        title: what is drawn.
    """
    counts = {(a, b): transitions.get(a, {}).get(b, 0) for a in STATES for b in STATES}
    total = sum(counts.values())
    said = "; ".join(f"{n} of {total} {a} to {b}" for (a, b), n in counts.items() if n)
    room, gap, top = 210.0, 24.0, 34.0
    left = {a: sum(counts[a, b] for b in STATES) for a in STATES}
    right = {b: sum(counts[a, b] for a in STATES) for b in STATES}
    slots = max(sum(n > 0 for n in side.values()) for side in (left, right))
    drawing = Drawing(name, "flow", WIDTH, top + room + gap * max(slots - 1, 0) + 20, title, said)
    if not total:
        return drawing.done()
    drawing.text("axis", 104, 18, "Base", "end")
    drawing.text("axis", WIDTH - 104, 18, "Candidate")
    unit = room / total
    starts = _nodes(drawing, left, unit, gap, top, x=108, label_x=102, anchor="end")
    ends = _nodes(drawing, right, unit, gap, top, x=WIDTH - 118, label_x=WIDTH - 102, anchor="start")
    for (a, b), n in counts.items():
        if n:
            y1, y2, thick = starts[a], ends[b], n * unit
            starts[a], ends[b] = y1 + thick, y2 + thick
            drawing.path(
                f"band {b}" + (" stays" if a == b else ""), _band(118, y1, WIDTH - 118, y2, thick), f"{a} → {b}: {n}"
            )
    return drawing.done()


def _nodes(
    drawing: Drawing,
    sizes: Mapping[str, int],
    unit: float,
    gap: float,
    top: float,
    *,
    x: float,
    label_x: float,
    anchor: str,
) -> dict[str, float]:
    """Draw one column of states; returns where each begins."""
    y, starts = top, {}
    for state, n in sizes.items():
        starts[state] = y
        if n:
            drawing.rect(f"node {state}", x, y, 10, max(n * unit, 1.0))
            middle = y + n * unit / 2
            drawing.text("label", label_x, middle - 1, state, anchor)
            drawing.text("value", label_x, middle + 13, f"{n:,}", anchor)
            y += n * unit + gap
    return starts


def _band(x1: float, y1: float, x2: float, y2: float, thick: float) -> str:
    # A single sample among 100,000 still has to be seen.
    thick, bend = max(thick, 0.8), (x1 + x2) / 2
    out = f"M{_n(x1)} {_n(y1)}C{_n(bend)} {_n(y1)} {_n(bend)} {_n(y2)} {_n(x2)} {_n(y2)}"
    back = f"C{_n(bend)} {_n(y2 + thick)} {_n(bend)} {_n(y1 + thick)} {_n(x1)} {_n(y1 + thick)}Z"
    return f"{out}v{thick:.2f}{back}"


def reliability(name: str, curves: Mapping[str, Sequence[Bin]], title: str) -> Markup:
    """Accuracy against mean confidence by bin, the diagonal being perfect calibration.

    Args:
        name: id prefix, unique within the page.
        curves: bins by curve; the keys `"base"` and `"candidate"` are classes of the style sheet.
        title: what is drawn.
    """
    said = "; ".join(
        f"{who}: " + ", ".join(f"{b.confidence:.0%} confident, {b.accuracy:.0%} right (n={b.n})" for b in bins)
        for who, bins in curves.items()
    )
    left, top, size = 56, 12, 300
    drawing = Drawing(name, "reliability", WIDTH, top + size + 48, title, said)
    for i in range(6):
        at = i * size / 5
        drawing.line("grid", left, top + at, left + size, top + at)
        drawing.line("grid", left + at, top, left + at, top + size)
        drawing.text("axis", left - 8, top + size - at + 4, f"{20 * i}", "end")
        drawing.text("axis", left + at, top + size + 18, f"{20 * i}", "middle")
    drawing.line("zero", left, top + size, left + size, top)
    drawing.text("axis", left + size / 2, top + size + 38, "mean confidence, %", "middle")
    drawing.text("axis", left + 6, top + 14, "accuracy, %")
    for (who, bins), mark in zip(curves.items(), count()):
        points = [(left + b.confidence * size, top + size - b.accuracy * size) for b in bins]
        if points:
            drawing.path(f"curve {who}", "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points))
        for (x, y), one in zip(points, bins, strict=True):
            if one.low is not None and one.high is not None:
                drawing.line(f"bar {who}", x, top + size - one.low * size, x, top + size - one.high * size)
            if mark:
                drawing.rect(f"dot {who}", x - 3.5, y - 3.5, 7, 7)
            else:
                drawing.circle(f"dot {who}", x, y, 4)
    return drawing.done()
