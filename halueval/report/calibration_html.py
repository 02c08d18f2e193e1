"""The calibration of a run as one self-contained HTML page without any script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halueval.calibrating.record import CalibrationRecord, VariantRecord
from halueval.report.calibration_cells import COLUMNS, headline, rows, settings_line, variant_lines
from halueval.report.page import render_still
from halueval.report.plots import WIDTH, Bin, Drawing, reliability

if TYPE_CHECKING:
    from markupsafe import Markup


def render_calibration(record: CalibrationRecord) -> str:
    """The page; it can be encoded as UTF-8 whatever names and texts hold."""
    first, *others = record["variants"]
    plots = [
        (
            other["name"],
            reliability(
                f"reliability-{i}",
                {"base": _bins(first), "candidate": _bins(other)},
                f"Reliability before and after: {other['name']}",
            ),
            _risk(f"risk-{i}", first, other),
        )
        for i, other in enumerate(others)
    ]
    return render_still(
        "calibration.html.j2",
        record=record,
        headline=headline(record),
        columns=COLUMNS,
        sections=list(rows(record)),
        plots=plots,
        first=first["name"],
        variants=variant_lines(record),
        settings=settings_line(record),
    )


def _bins(variant: VariantRecord) -> list[Bin]:
    return [Bin(b["confidence"], b["accuracy"], b["n"], b["ci_low"], b["ci_high"]) for b in variant["curve"]]


def _risk(name: str, first: VariantRecord, other: VariantRecord) -> Markup:
    """Share of wrong answers against coverage, of two variants."""
    curves = {"base": first, "candidate": other}
    said = "; ".join(
        f"{variant['name']}: AURC {variant['figures']['aurc']['value']:.4f}, "
        f"risk {variant['risk_coverage'][-1][1]:.0%} at full coverage"
        for variant in curves.values()
    )
    left, top, size, height = 56, 12, 340, 200
    title = f"Risk and coverage before and after: {other['name']}"
    drawing = Drawing(name, "risk", WIDTH, top + height + 48, title, said)
    for i in range(6):
        drawing.line("grid", left, top + i * height / 5, left + size, top + i * height / 5)
        drawing.line("grid", left + i * size / 5, top, left + i * size / 5, top + height)
        drawing.text("axis", left - 8, top + height - i * height / 5 + 4, f"{20 * i}", "end")
        drawing.text("axis", left + i * size / 5, top + height + 18, f"{20 * i}", "middle")
    drawing.text("axis", left + size / 2, top + height + 38, "coverage, % of answers", "middle")
    drawing.text("axis", left + 6, top + 14, "risk, % wrong")
    for css, variant in curves.items():
        points = (
            f"{left + coverage * size:.1f} {top + height - risk * height:.1f}"
            for coverage, risk in variant["risk_coverage"]
        )
        drawing.path(f"curve {css}", "M" + "L".join(points))
    return drawing.done()
