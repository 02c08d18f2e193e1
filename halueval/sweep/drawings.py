"""Plots of a sweep: learnt against induced, and every figure against the steps.

Each arm has a class of the style sheet (its colour) and a letter at its last point: the colour alone must not tell.
Checkpoints that a training discarded (early stopping keeps earlier weights) are drawn faintly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from halueval.report.plots import WIDTH, Drawing
from halueval.sweep.cells import letters, shown_measures
from halueval.sweep.record import ArmRecord, SweepRecord

N_COLOURS = 8
LEFT, TOP, ROOM_X, ROOM_Y = 56, 30, 336, 250
TICKS = 5

Place = tuple[float, float, bool]
"""A point, and whether some training discarded what is there."""


def css_of(number: int) -> str:
    """Class of an arm's colour; they repeat from the ninth arm on, letters do not."""
    return f"arm{number % N_COLOURS}"


class _Axes:
    """A frame with round ticks, and where values lie in it."""

    def __init__(
        self, drawing: Drawing, x: tuple[float, float], y: tuple[float, float], percent: tuple[bool, bool]
    ) -> None:
        self.drawing, self.x, self.y = drawing, x, y
        for i in range(TICKS + 1):
            share = i / TICKS
            drawing.line("grid", LEFT, TOP + ROOM_Y * share, LEFT + ROOM_X, TOP + ROOM_Y * share)
            drawing.text("axis", LEFT - 8, TOP + ROOM_Y * (1 - share) + 4, _tick(y, share, percent[1]), "end")
            drawing.text("axis", LEFT + ROOM_X * share, TOP + ROOM_Y + 18, _tick(x, share, percent[0]), "middle")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place of a point."""
        return LEFT + ROOM_X * _share(x, self.x), TOP + ROOM_Y * (1 - _share(y, self.y))

    def bar(self, css: str, x: float, low: float | None, high: float | None) -> None:
        """An interval, cut where the frame ends; nothing where there is none."""
        if low is not None and high is not None:
            bottom, top = (self.at(x, min(max(y, self.y[0]), self.y[1])) for y in (low, high))
            self.drawing.line(f"bar {css}", bottom[0], bottom[1], top[0], top[1])

    def line(self, css: str, points: Sequence[Place], hint: str) -> None:
        """A line through points, with a dot at each."""
        places = [(*self.at(x, y), discarded) for x, y, discarded in points]
        if len(places) > 1:
            self.drawing.path(f"curve {css}", "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in places), hint)
        for x, y, discarded in places:
            self.drawing.circle(f"dot {css}{' discarded' if discarded else ''}", x, y, 3)


def _share(value: float, ends: tuple[float, float]) -> float:
    return (value - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 0.5


def _tick(ends: tuple[float, float], share: float, percent: bool) -> str:
    value = ends[0] + share * (ends[1] - ends[0])
    return f"{100 * value:.0f}" if percent else f"{value:.3g}"


def _drawn(name: str, title: str, said: str) -> Drawing:
    return Drawing(name, "sweep", WIDTH, TOP + ROOM_Y + 48, title, said)


def pareto(record: SweepRecord) -> Markup:
    """What each arm learnt (to the right) against what it induced (upwards), from the base along its checkpoints."""
    marks = letters(record)
    paths = {arm["name"]: _path(arm, record) for arm in record["arms"]}
    ends = {arm["name"]: _kept(arm) for arm in record["arms"]}
    kept = {name: end for name, end in ends.items() if end is not None}
    heights = [y for points in paths.values() for _, y, _ in points]
    heights += [y for arm in record["arms"] for y in _interval(arm["final"]["induced"])]
    high = max(heights, default=0.0)
    said = "; ".join(f"{marks[name]} {name}: {x:.0%} learnt, {y:.0%} induced" for name, (x, y) in kept.items())
    drawing = _drawn("pareto", "Learnt against induced hallucination", said)
    axes = _Axes(drawing, (0.0, 1.0), (0.0, max(_round_up(high), 0.05)), (True, True))
    score = record["match"]["score"]
    if score is not None:
        x, top = axes.at(score, axes.y[1])
        drawing.line("zero", x, top, x, TOP + ROOM_Y)
    for i, arm in enumerate(record["arms"]):
        axes.line(css_of(i), paths[arm["name"]], arm["name"])
        if arm["name"] in kept:
            axes.bar(css_of(i), kept[arm["name"]][0], *(_interval(arm["final"]["induced"]) or (None, None)))
    places = [(marks[name], css_of(i), axes.at(*kept[name])) for i, name in enumerate(ends) if name in kept]
    _letters(drawing, places)
    drawing.text("axis", LEFT + ROOM_X / 2, TOP + ROOM_Y + 38, "learnt, % of the trained facts", "middle")
    drawing.text("axis", LEFT, TOP - 12, "induced, %")
    return drawing.done()


def _path(arm: ArmRecord, record: SweepRecord) -> list[Place]:
    points: list[Place] = []
    figures = [(record["base"], False), *((point["figures"], point["n_discarded"] > 0) for point in arm["curve"])]
    for found, discarded in figures:
        x, y = found["learnt"]["value"], found["induced"]["value"]
        if x is not None and y is not None:
            points.append((x, y, discarded))
    return points


def _kept(arm: ArmRecord) -> tuple[float, float] | None:
    """Where the final weights are, which need not be those of the last checkpoint; None where it is not known."""
    x, y = (arm["final"][name]["value"] for name in ("learnt", "induced"))
    return None if x is None or y is None else (float(x), float(y))


def curves(record: SweepRecord) -> Iterator[tuple[str, str, Markup]]:
    """Name, meaning and plot of each figure against the steps."""
    marks = letters(record)
    last = max((point["step"] for arm in record["arms"] for point in arm["curve"]), default=1)
    last += -last % TICKS  # whole steps at the ticks
    for name in shown_measures(record):
        measure = record["measures"][name]
        lines = {arm["name"]: _steps(arm, name, record["base"][name]) for arm in record["arms"]}
        values = [y for points in lines.values() for _, y, _ in points]
        values += [y for arm in record["arms"] if arm["curve"] for y in _interval(arm["curve"][-1]["figures"][name])]
        said = "; ".join(
            f"{marks[arm]} {arm}: {points[-1][1]:.3g} at the end" for arm, points in lines.items() if points
        )
        drawing = _drawn(f"curve-{name}", f"{measure['label']} against steps", said)
        axes = _Axes(drawing, (0.0, float(last)), _ends(values, measure["share"]), (False, measure["share"]))
        for i, arm in enumerate(record["arms"]):
            for point in arm["curve"]:
                found = point["figures"][name]
                # Beside each other, or the arms' intervals would hide one another.
                axes.bar(css_of(i), point["step"] + 0.006 * last * i, found["ci_low"], found["ci_high"])
            axes.line(css_of(i), lines[arm["name"]], arm["name"])
        ends = [(marks[a], css_of(i), axes.at(*p[-1][:2])) for i, (a, p) in enumerate(lines.items()) if p]
        _letters(drawing, ends)
        drawing.text("axis", LEFT + ROOM_X / 2, TOP + ROOM_Y + 38, "steps", "middle")
        drawing.text("axis", LEFT, TOP - 12, measure["label"] + (", %" if measure["share"] else ""))
        yield measure["label"], measure["meaning"], drawing.done()


def _steps(arm: ArmRecord, name: str, base: dict[str, Any]) -> list[Place]:
    points = [(0.0, base["value"], False)]
    points += [(float(at["step"]), at["figures"][name]["value"], at["n_discarded"] > 0) for at in arm["curve"]]
    return [(x, float(y), discarded) for x, y, discarded in points if y is not None]


def _interval(figure: dict[str, Any]) -> tuple[float, float] | tuple[()]:
    """Ends of an interval, which the frame is to hold; none where there is no interval."""
    low, high = figure["ci_low"], figure["ci_high"]
    return () if low is None or high is None else (float(low), float(high))


def _letters(drawing: Drawing, ends: Sequence[tuple[str, str, tuple[float, float]]]) -> None:
    """Letters beside the last points, pushed apart where they would lie on each other."""
    taken: list[tuple[float, float]] = []
    for mark, css, (x, y) in sorted(ends, key=lambda end: end[2][1]):
        while any(abs(y - other) < 12 and abs(x - there) < 14 for there, other in taken):
            y += 12
        taken.append((x, y))
        drawing.text(f"mark {css}", x + 7, y + 4, mark)


def _round_up(value: float) -> float:
    """The next multiple of a twentieth."""
    return min(1.0, math.ceil(value * 20 - 1e-9) / 20)


def _ends(values: Sequence[float], share: bool) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if share:
        return 0.0, max(_round_up(high), 0.05)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
