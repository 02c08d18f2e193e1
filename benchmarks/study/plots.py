"""Two plots of the study as SVG files that any viewer shows: light background, colours that print and part in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 380, 60, 50, 20, 150
COLOURS = ("#0b5fa5", "#2e8b6f", "#a6791c", "#c2571a", "#8c1d40")


class _Axes:
    """A frame with ticks; data coordinates in, SVG out."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], titles: tuple[str, str], about: str) -> None:
        self.x, self.y = x, y
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'font-family="sans-serif" font-size="12"><title>{about}</title>',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        ]
        for value in _ticks(*y):
            at = self.at(x[0], value)[1]
            self.parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
            self._text(LEFT - 8, at + 4, f"{100 * value:.0f} %", "end")
        for value in _ticks(*x):
            at = self.at(value, y[0])[0]
            self._text(at, HEIGHT - BOTTOM + 18, f"{100 * value:.0f} %" if x[1] <= 1 else f"{value:.0f}", "middle")
        self._text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, titles[0], "middle")
        self._text(LEFT - 45, TOP - 6, titles[1], "start")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place of a point."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0] or 1)
        up = (y - self.y[0]) / (self.y[1] - self.y[0] or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def _text(self, x: float, y: float, words: str, anchor: str, colour: str = "#222") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>')

    def dot(self, x: float, y: float, colour: str) -> None:
        """A point."""
        a, b = self.at(x, y)
        self.parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}" fill-opacity=".75"/>')

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """A line through points."""
        places = " ".join(f"{a:.1f},{b:.1f}" for a, b in (self.at(*point) for point in points))
        self.parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>')

    def legend(self, names: Sequence[tuple[str, str]]) -> None:
        """Names beside their colours, at the right."""
        for row, (name, colour) in enumerate(names):
            y = TOP + 20 + 20 * row
            self.parts.append(f'<circle cx="{WIDTH - RIGHT + 20}" cy="{y - 4}" r="5" fill="{colour}"/>')
            self._text(WIDTH - RIGHT + 32, y, name, "start")

    def done(self) -> str:
        """The file."""
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def _ticks(low: float, high: float) -> list[float]:
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if (high - low) / s <= 8)
    first = np.ceil(low / step - 1e-9) * step
    return [float(v) for v in np.arange(first, high + step / 2, step) if v <= high + 1e-9]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = max((high - low) * 0.1, 0.02)
    return max(0.0, low - room), min(1.0, high + room)


def _names(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    shares = record["design"]["shares"]
    return [(f"{100 * share:.0f} % Unknown", COLOURS[i % len(COLOURS)]) for i, share in enumerate(shares)]


def accuracy_plot(record: Mapping[str, Any]) -> str:
    """Every checkpoint: accuracy against the share of all training facts that are unknown and fitted."""
    found = [c for c in record["checkpoints"] if c["step"]]
    colours = dict(zip(record["design"]["shares"], (colour for _, colour in _names(record)), strict=True))
    axes = _Axes(
        (0.0, max(0.1, *(c["fitted"]["unknown"] for c in found))),
        _range([c["accuracy"]["all"] for c in found]),
        ("unknown facts fitted ÷ training facts", "accuracy on questions that were not trained"),
        "Accuracy falls or not with the unknown facts that a checkpoint has fitted",
    )
    for c in found:
        axes.dot(c["fitted"]["unknown"], c["accuracy"]["all"], colours[c["share"]])
    axes.legend(_names(record))
    return axes.done()


def curves_plot(record: Mapping[str, Any]) -> str:
    """Accuracy by step, means over seeds, a line for each share."""
    found = record["checkpoints"]
    axes = _Axes(
        (0.0, float(max(c["step"] for c in found))),
        _range([c["accuracy"]["all"] for c in found]),
        ("optimizer steps", "accuracy on questions that were not trained"),
        "Accuracy by step for each share of unknown facts, means over seeds",
    )
    for share, (_, colour) in zip(record["design"]["shares"], _names(record), strict=True):
        mine = [c for c in found if c["share"] == share]
        steps = sorted({c["step"] for c in mine})
        line = [(float(s), float(np.mean([c["accuracy"]["all"] for c in mine if c["step"] == s]))) for s in steps]
        axes.line(line, colour)
        for point in line:
            axes.dot(*point, colour)
    axes.legend(_names(record))
    return axes.done()
