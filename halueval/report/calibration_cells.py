"""Rows of the calibration tables, shared by terminal, Markdown and page."""

from __future__ import annotations

from collections.abc import Iterator

from halueval.calibrating.record import Bin, CalibrationRecord, Figure, Fit, VariantRecord
from halueval.report.tables import HIGHER, LOWER, format_number

COLUMNS = ("Figure", "Variant", "Value", "95 % CI", "Change", "95 % CI of change")
LABELS = {
    "accuracy": f"accuracy {HIGHER}",
    "ece_equal_width": f"ECE, equal width {LOWER}",
    "ece_equal_mass": f"adaptive ECE, equal mass {LOWER}",
    "classwise_ece": f"classwise ECE, equal width {LOWER}",
    "adaptive_classwise_ece": f"classwise ECE, equal mass {LOWER}",
    "brier": f"Brier, scalar {LOWER}",
    "brier_reliability": f"  reliability {LOWER}",
    "brier_resolution": f"  − resolution {HIGHER}",
    "brier_uncertainty": "  + uncertainty",
    "brier_within_bins": "  + within bins",
    "brier_sum": f"Brier, sum over classes {LOWER}",
    "nll": f"NLL of the confidence, nats {LOWER}",
    "choice_nll": f"NLL of the right choice, nats {LOWER}",
    "aurc": f"AURC {LOWER}",
}
SELECTIVE = "accuracy_at_"
BAR = 40


def label(name: str) -> str:
    """A figure's name as shown."""
    if name.startswith(SELECTIVE):
        return f"accuracy of the surest {100 * float(name.removeprefix(SELECTIVE)):g} % {HIGHER}"
    return LABELS[name]


def number(value: float | None) -> str:
    """A figure with a true minus; what rounds to 0 has no sign."""
    text = format_number(value)
    return text.removeprefix("-") if value is not None and round(value, 4) == 0 else text.replace("-", "−")


def signed(value: float | None) -> str:
    """A change with its sign and a true minus; a dash where there is none."""
    if value is None:
        return "–"
    return format_number(0.0) if round(value, 4) == 0 else ("+" if value > 0 else "−") + format_number(abs(value))


def value_cell(figure: Figure) -> str:
    """The value, and the floor that chance alone gives a calibration error."""
    floor = "" if figure["floor"] is None else f" (floor {format_number(figure['floor'])})"
    return number(figure["value"]) + floor


def _ends(low: float | None, high: float | None, form: str) -> str:
    if low is None or high is None:
        return "–"
    if form == "signed":
        return f"[{signed(low)}, {signed(high)}]"
    return f"[{number(low)}, {number(high)}]"


def rows(record: CalibrationRecord) -> Iterator[list[tuple[str, ...]]]:
    """Cells in the order of `COLUMNS`, a list for each figure."""
    for name in record["variants"][0]["figures"]:
        section: list[tuple[str, ...]] = []
        for i, variant in enumerate(record["variants"]):
            figure = variant["figures"][name]
            section.append(
                (
                    label(name) if i == 0 else "",
                    variant["name"],
                    value_cell(figure),
                    _ends(figure["ci_low"], figure["ci_high"], "plain"),
                    signed(figure["delta"]),
                    _ends(figure["delta_low"], figure["delta_high"], "signed"),
                )
            )
        yield section


def fit_text(fit: Fit | None) -> str:
    """What was fitted, in words; `""` where nothing was."""
    if fit is None:
        return ""
    if fit["temperature"] is None:
        return f"slope {number(fit['slope'])}, intercept {number(fit['intercept'])}"
    ends = _ends(fit["temperature_low"], fit["temperature_high"], "plain")
    return f"T = {format_number(fit['temperature'])} {ends}" + (", an end of the range" if fit["at_bound"] else "")


def variant_lines(record: CalibrationRecord) -> list[str]:
    """A line for each variant: what was done, and what was fitted."""
    return [
        f"{variant['name']}: {variant['about']}" + (f"; {text}" if (text := fit_text(variant["fit"])) else "")
        for variant in record["variants"]
    ]


def headline(record: CalibrationRecord) -> str:
    """Model, task and samples in a sentence."""
    n = record["n"]
    left = ", ".join(f"{count} {reason}" for reason, count in n["left_out"].items())
    kind = "generated answers" if record["answers"] == "generated" else "choices"
    return (
        f"{record['task']} by {record['model']}: figures of {n['reported']} {kind}, fitted on {n['fitted']} others, of "
        f"{n['total']} samples" + (f" ({left}: left out)" if left else "")
    )


def settings_line(record: CalibrationRecord) -> str:
    """How the figures were made."""
    run = "" if record["run_calibration"] == "none" else f"; the run itself chose by {record['run_calibration']}"
    return (
        f"{record['bins']} bins; {record['n_resamples']:,} resamples, seed {record['seed']}; changes are from "
        f"{record['variants'][0]['name']!r}, paired{run}"
    )


def bar_lines(variant: VariantRecord) -> list[str]:
    """A reliability diagram of text: for each bin a bar as long as its accuracy, and a mark at its confidence."""
    return [
        f"  {'conf.':>6} {'acc.':>6} {'n':>6}  0{'accuracy █, confidence │':^{BAR - 2}}1",
        *map(_bar, variant["curve"]),
    ]


def _bar(one: Bin) -> str:
    filled, mark = round(one["accuracy"] * BAR), min(int(one["confidence"] * BAR), BAR - 1)
    cells = ["█" if i < filled else "·" for i in range(BAR)]
    cells[mark] = "│"
    return f"  {one['confidence']:6.3f} {one['accuracy']:6.3f} {one['n']:6,}  {''.join(cells)}"
