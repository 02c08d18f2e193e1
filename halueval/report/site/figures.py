"""Figures as the pages print them: a value in its own unit, its interval, and the bar that shows both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from halueval.report.plots import Drawing
from halueval.report.site.drawings import Axis, Estimate, bar
from halueval.report.tables import HIGHER, LOWER, format_number
from halueval.schema import State

MAX_NAME = 120
"""Most characters of a name that are printed; names are whatever a directory or a card says."""

_BAR_WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in words.

    Attributes:
        value: the number; None where there is none.
        text: value as printed, `""` for none.
        interval: `[low, high]` as printed, `""` where there is none.
        note: why value or interval is missing, or what must be read beside it.
        n_scored: samples that it is of.
        n_unscored: samples that have no score.
        bar: interval and value drawn, `""` where there is nothing to draw.
    """

    value: float | None
    text: str
    interval: str
    note: str
    n_scored: int
    n_unscored: int
    bar: Markup


@dataclass(frozen=True, slots=True)
class NamedFigure:
    """A line of a table of figures."""

    label: str
    figure: Figure
    primary: bool


@dataclass(frozen=True, slots=True)
class StatesView:
    """How many samples are in each state, drawn and in words; `linked` where the samples can be looked at."""

    bar: Markup
    counts: list[tuple[str, int, str]]
    linked: bool


@dataclass(frozen=True, slots=True)
class Link:
    """A name and the page about it; the address is relative to the site's root."""

    label: str
    href: str


def short_name(name: str) -> str:
    """The name as the pages print it."""
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def share(value: float) -> str:
    """Per cent with one decimal, without the sign."""
    return f"{100 * value:.1f}".replace("-", "−")


def number(value: float) -> str:
    """A number with a unit of its own."""
    return format_number(value).replace("-", "−")


def rounded(value: float) -> str:
    """A number with a unit of its own, in a table of many: three decimals below 10, else one."""
    return (f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}").replace("-", "−")


def figure(metric: Mapping[str, Any], *, as_share: bool = False, axis: Axis | None = None, css: str = "") -> Figure:
    """A metric of `run.json` in words.

    Args:
        metric: value, ci_low, ci_high, n_scored, n_unscored and reasons.
        as_share: print per cent.
        axis: draw a bar on this scale.
        css: class of the bar.
    """
    words, unit = (share, " %") if as_share else (number if axis is None else rounded, "")
    value, low, high = metric["value"], metric["ci_low"], metric["ci_high"]
    reasons = metric.get("unscored_reasons") or {}
    note = ""
    if value is None:
        note = max(reasons, key=lambda reason: (reasons[reason], reason), default="no sample could be scored")
    elif low is None or high is None:
        note = metric.get("ci_reason") or "no interval"
    if value is not None and metric["n_unscored"]:
        scored = metric["n_scored"] / (metric["n_scored"] + metric["n_unscored"])
        note = facts(f"{100 * scored:.0f} % scored", note)
    known = value is not None and axis is not None
    return Figure(
        value=value,
        text="" if value is None else words(value) + unit,
        interval="" if low is None or high is None else f"[{words(low)}, {words(high)}]",
        note=short_name(note),
        n_scored=metric["n_scored"],
        n_unscored=metric["n_unscored"],
        bar=bar(Estimate(value, low, high), axis, css) if known and axis is not None else Markup(""),
    )


def named_figures(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[NamedFigure]:
    """Figures of a run by name, those that its task names first."""
    task = record["task"]
    first = [task["primary_metric"], *task["metric_list"]]
    order = sorted(metrics.items(), key=lambda item: first.index(item[0]) if item[0] in first else len(first))
    return [
        NamedFigure(name + direction(metric), figure(metric), name == task["primary_metric"]) for name, metric in order
    ]


def direction(metric: Mapping[str, Any]) -> str:
    """An arrow to where better is."""
    better = metric["higher_is_better"]
    return "" if better is None else f" {HIGHER if better else LOWER}"


def states_view(name: str, counts: Mapping[str, int], *, linked: bool) -> StatesView | None:
    """The states of a run's samples; None where there are none (language modeling).

    Args:
        name: id prefix, unique within the page.
        counts: samples by state.
        linked: the run's samples can be looked at.
    """
    total = sum(counts.values())
    if not total or counts.get(State.UNSCORED, 0) == total:
        return None
    known = [(state, n, f"{share(n / total)} %") for state, n in counts.items() if n]
    said = "; ".join(f"{n} {state}" for state, n, _ in known)
    drawing = Drawing(name, "states-bar", _BAR_WIDTH, 12, "What became of the samples", said, stretched=True)
    x = 0.0
    for state, n, _ in known:
        width = n * _BAR_WIDTH / total
        drawing.rect(f"node {state}", x, 0, max(width - 2, 1), 12)
        x += width
    return StatesView(drawing.done(), known, linked)


def facts(*parts: str) -> str:
    """What is known, in one line."""
    return " · ".join(part for part in parts if part)


def listed(names: Iterable[str]) -> str:
    """Names in one line."""
    return ", ".join(map(short_name, names))
