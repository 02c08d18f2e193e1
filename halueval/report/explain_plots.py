"""Plots of an explanation: where the weights moved, and how far training data and tasks are apart."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from halueval.explaining.record import Contrast, ExplainRecord, Measure, WeightGroup
from halueval.report.plots import WIDTH, Drawing, ForestRow, forest

_CURVES = {"attention": "base", "mlp": "candidate"}
"""Classes of the style sheet by kind of module."""


def weights_plot(name: str, groups: Sequence[WeightGroup]) -> Markup | str:
    """Relative change of attention and feed-forward modules against layer; `""` where there are no layers.

    Args:
        name: id prefix, unique within the page.
        groups: in the order of the record.
    """
    layers = list(dict.fromkeys(g["layer"] for g in groups if g["layer"]))
    changes = {(g["layer"], g["kind"]): g["relative_change"] for g in groups if g["relative_change"] is not None}
    shown = {kind: [(i, changes[x, kind]) for i, x in enumerate(layers) if (x, kind) in changes] for kind in _CURVES}
    largest = max((value or 0.0 for points in shown.values() for _, value in points), default=0.0)
    if largest <= 0:
        return ""
    said = "; ".join(
        f"{kind}: " + ", ".join(f"layer {layers[i]} {100 * (value or 0):.3g} %" for i, value in points)
        for kind, points in shown.items()
    )
    left, top, size, height = 62, 12, WIDTH - 62 - 20, 190
    drawing = Drawing(name, "weights", WIDTH, top + height + 44, "Relative change of the weights by layer", said)
    for i in range(5):
        y = top + height - i * height / 4
        drawing.line("grid", left, y, left + size, y)
        drawing.text("axis", left - 6, y + 4, f"{100 * largest * i / 4:.3g} %", "end")
    step = size / max(len(layers) - 1, 1)
    for i in sorted({round(j * (len(layers) - 1) / 6) for j in range(7)}):
        anchor = "end" if i and i == len(layers) - 1 else "middle" if i else "start"
        drawing.text("axis", left + i * step, top + height + 18, layers[i], anchor)
    drawing.text("axis", left + size / 2, top + height + 36, "layer", "middle")
    for kind, points in shown.items():
        css = _CURVES[kind]
        places = [(left + i * step, top + height * (1 - (value or 0.0) / largest)) for i, value in points]
        if places:
            drawing.path(f"curve {css}", "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places))
        for x, y in places:
            if css == "base":
                drawing.circle(f"dot {css}", x, y, 3)
            else:
                drawing.rect(f"dot {css}", x - 2.5, y - 2.5, 5, 5)
    return drawing.done()


def distances_plot(name: str, record: ExplainRecord, key: str) -> Markup | str:
    """One distance of every task with its interval and what chance gives; `""` where none was measured.

    Args:
        name: id prefix, unique within the page.
        record: the explanation.
        key: of `distribution`, a distance in [0, 1].
    """
    shown = [(task, m) for task, t in record["tasks"].items() if (m := t["distribution"][key])["value"] is not None]
    if not shown:
        return ""
    label = shown[0][1]["label"]
    row, top, left, room = 46, 8, 14, WIDTH - 28
    said = "; ".join(f"{task} {_told(m)}" for task, m in shown)
    drawing = Drawing(name, "distances", WIDTH, top + row * len(shown) + 26, label, said)
    bottom = top + row * len(shown)
    for i in range(6):
        x = left + room * i / 5
        drawing.line("grid", x, top, x, bottom)
        drawing.text("axis", x, bottom + 18, f"{i / 5:g}", "start" if i == 0 else "end" if i == 5 else "middle")
    for i, (task, one) in enumerate(shown):
        y = top + row * i
        drawing.text("label", left, y + 14, task)
        drawing.text("value", left + room, y + 14, _told(one), "end")
        if one["null"] is not None:
            x = left + room * min(one["null"], 1.0)
            drawing.line("zero", x, y + 20, x, y + 40)
        if one["ci_low"] is not None and one["ci_high"] is not None:
            ends = left + room * one["ci_low"], left + room * one["ci_high"]
            drawing.line("estimate", ends[0], y + 30, ends[1], y + 30)
            for x in ends:
                drawing.line("estimate", x, y + 25, x, y + 35)
        drawing.circle("estimate", left + room * min(one["value"] or 0.0, 1.0), y + 30, 5)
    return drawing.done()


def _told(one: Measure) -> str:
    value, low, high = one["value"], one["ci_low"], one["ci_high"]
    around = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{value:.3f}{around}"


def contrast_plot(name: str, contrasts: Sequence[Contrast], alpha: float) -> Markup | str:
    """Changes of accuracy in each group and the differences between groups; `""` where there is none.

    Args:
        name: id prefix, unique within the page.
        contrasts: of one task.
        alpha: level of the tests.
    """
    rows = []
    for contrast in contrasts:
        for label, group in contrast["groups"].items():
            rows += _rows(f"accuracy, {label}: change", group["accuracy_change"], alpha)
        # A line of the plot has no room for the whole label.
        between = f"{contrast['first'].removesuffix(' relations')} − {contrast['second'].removesuffix(' relation')}"
        rows += _rows(f"candidate's accuracy, {between}", contrast["accuracy_difference"], alpha)
        rows += _rows(f"induced rate, {between}", contrast["induced_difference"], alpha, better=-1)
    return forest(name, rows, "Seen and unseen items, trained and other relations") if rows else ""


def _rows(label: str, one: Measure, alpha: float, better: int = 1) -> list[ForestRow]:
    value, low, high, p = one["value"], one["ci_low"], one["ci_high"], one["p_adjusted"]
    if value is None:
        return []
    tone = "" if p is None or p >= alpha or not value else "better" if value * better > 0 else "worse"
    text = f"{100 * value:+.1f}" + ("" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]")
    return [ForestRow(label, text.replace("-", "−"), value, low, high, tone)]
