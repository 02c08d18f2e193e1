"""Cells that the terminal's and Markdown's tables of a comparison share: one wording for both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from halueval.compare.fields import CalibrationFigure, Figure, NetRate, Rate
from halueval.compare.record import STATES, Comparison, TaskDiff
from halueval.report.tables import HIGHER, LOWER, format_number

FIGURE_COLUMNS = ("Task", "Metric", "Base", "Candidate", "Δ", "95 % CI of Δ", "p", "adj. p", "Test", "MDE")
RATE_COLUMNS = ("Task", "Rate", "Value", "95 % CI", "Count", "p", "adj. p")
SUMMARY_COLUMNS = ("Kind", "Tasks", "Net hallucination, macro mean", "95 % CI", "Primary figure, macro Δ", "95 % CI")
RATES = ("induced_rate", "lost_knowledge_rate", "lost_caution_rate", "repaired_rate", "persistent_rate", "net_rate")
DASH = "–"


class Row(NamedTuple):
    """Cells of a row, and whether the row survives the correction for many claims and is printed bold."""

    cells: tuple[str, ...]
    bold: bool


def signed(value: float | None) -> str:
    """A number with its sign, as `format_number` otherwise."""
    if value is None:
        return DASH
    return ("+" if value > 0 else "") + format_number(value)


def interval(holder: Mapping[str, Any]) -> str:
    """`[low, high]` with signs, or a dash."""
    if holder["ci_low"] is None or holder["ci_high"] is None:
        return DASH
    return f"[{signed(holder['ci_low'])}, {signed(holder['ci_high'])}]"


def p_cell(value: float | None) -> str:
    """Four decimals; never 0."""
    if value is None:
        return DASH
    return "<.0001" if value < 1e-4 else f"{value:.4f}"


def percent(value: float | None) -> str:
    """A share with one decimal."""
    return DASH if value is None else f"{100 * value:.1f} %"


def signed_percent(value: float | None) -> str:
    """A change of a share, in points, with one decimal."""
    return DASH if value is None else f"{100 * value:+.1f} %"


def percent_interval(rate: Rate | NetRate) -> str:
    """`[low, high]` in per cent, or a dash."""
    if rate["ci_low"] is None or rate["ci_high"] is None:
        return DASH
    return f"[{100 * rate['ci_low']:.1f}, {100 * rate['ci_high']:.1f}]"


def task_mark(task: TaskDiff) -> str:
    """The task's name, marked where a mismatch was let through."""
    return task["task"]["name"] + (" (!)" if task["mismatches"] else "")


def figure_rows(name: str, task: TaskDiff) -> Iterator[Row]:
    """A row a figure; the task's name stands in the first."""
    for i, (metric, figure) in enumerate(task["metrics"].items()):
        yield figure_row(name if i == 0 else "", metric, figure)


def figure_row(first: str, metric: str, figure: Figure) -> Row:
    """One figure."""
    better = figure["higher_is_better"]
    arrow = "" if better is None else f" {HIGHER if better else LOWER}"
    inside = " (noise)" if figure["within_noise"] else ""
    cells = (
        first,
        metric + arrow,
        format_number(figure["base"]),
        format_number(figure["candidate"]),
        signed(figure["delta"]) + inside,
        interval(figure),
        p_cell(figure["p_value"]),
        p_cell(figure["p_adjusted"]),
        figure["test"],
        format_number(figure["mde"]),
    )
    return Row(cells, figure["significant"] and not figure["within_noise"])


def rate_rows(name: str, task: TaskDiff) -> Iterator[Row]:
    """Induced with its parts, repaired, persistent and net."""
    for i, key in enumerate(RATES):
        rate: Rate = task[key]  # type: ignore[literal-required]  # the keys of RATES are all of TaskDiff
        net = task["net_rate"] if key == "net_rate" else None
        cells = (
            name if i == 0 else "",
            key.removesuffix("_rate").replace("_", " "),
            percent(rate["value"]) if net is None else signed_percent(rate["value"]),
            percent_interval(rate),
            f"{rate['count']} of {rate['n']}",
            p_cell(net["p_value"]) if net else "",
            p_cell(net["p_adjusted"]) if net else "",
        )
        yield Row(cells, bool(net and net["significant"] and not net["within_noise"]))


CLAIM_COLUMNS = ("Task", "Candidate", "Claim", "Base", "Value", "Δ", "95 % CI of Δ", "adj. p", "MDE", "Verdict")
CALIBRATION_COLUMNS = ("Task", "Calibration", "Base", "Candidate", "Δ", "95 % CI of Δ", "p")
FORM_COLUMNS = ("Task", "Form and likelihood", "Base", "Candidate", "Δ", "95 % CI of Δ", "adj. p")


def claim_rows(task_name: str, comparison: Comparison) -> Iterator[Row]:
    """What the table over tasks and candidates says of one task of one candidate: net rate and primary figure."""
    task, label = comparison["tasks"][task_name], comparison["candidate"]["label"]
    first, who, said = task_mark(task), label, task["verdict"]
    if task["has_states"]:
        net = task["net_rate"]
        shares = [share_hallucinated(task, side) for side in ("base", "candidate")]
        cells = (first, who, "hallucinated ↓", *map(percent, shares), signed_percent(net["value"]))
        cells += (percent_interval(net), p_cell(net["p_adjusted"]), percent(net["mde"]), said)
        yield Row(cells, net["significant"] and not net["within_noise"])
        first = who = said = ""
    for name, figure in task["metrics"].items():
        if figure["primary"]:
            row = figure_row(first, name, figure)
            _, metric, before, after, delta, ci, _, adjusted, _, mde = row.cells
            yield Row((first, who, metric, before, after, delta, ci, adjusted, mde, said), row.bold)


def share_hallucinated(task: TaskDiff, side: str) -> float | None:
    """Share of hallucinated answers of one side over the pairs with both states."""
    counts, n = task["transitions"], task["net_rate"]["n"]
    known = [state for state in STATES if state != "unscored"]
    if not n:
        return None
    if side == "base":
        return sum(counts["hallucinated"][state] for state in known) / n
    return sum(counts[state]["hallucinated"] for state in known) / n


def calibration_rows(name: str, task: TaskDiff) -> Iterator[Row]:
    """ECE with what chance alone would give, Brier score and NLL of the confidences; nothing where there are none."""
    found = task["calibration"]
    if "ece" not in found:
        return
    floor = found["ece_floor"]
    shown = {"ece": f"ECE ↓ (chance alone: {floor['base']:.3f}, {floor['candidate']:.3f})", "brier": "Brier ↓"}
    shown |= {"nll": "NLL, nats ↓"}
    for key, label in shown.items():
        figure: CalibrationFigure = found[key]  # type: ignore[literal-required]  # the keys of `shown` are of Calibration
        cells = (
            name,
            label,
            format_number(figure["base"]),
            format_number(figure["candidate"]),
            signed(figure["delta"]),
            interval(figure),
            p_cell(figure["p_value"]),
        )
        yield Row(cells, False)
        name = ""


def form_rows(name: str, task: TaskDiff) -> Iterator[Row]:
    """Rates of form, lengths and likelihoods that do not stand among the task's metrics."""
    drift = task["format_drift"]
    figures: dict[str, Figure] = {} if drift is None else {**drift["rates"], **drift["lengths"]}
    figures |= task["likelihood"]
    figures = {key: figure for key, figure in figures.items() if key not in task["metrics"]}
    for key, figure in figures.items():
        row = figure_row(name, key, figure)
        _, metric, before, after, delta, ci, _, adjusted, _, _ = row.cells
        yield Row((name, metric, before, after, delta, ci, adjusted), row.bold)
        name = ""


def transition_rows(task: TaskDiff) -> list[tuple[str, ...]]:
    """The table of states, base down and candidate across; states that nobody is in are left out."""
    counts = task["transitions"]
    used = [s for s in STATES if sum(counts[s].values()) or sum(row[s] for row in counts.values())]
    head = ("base ↓ candidate →", *used)
    return [head, *((b, *(str(counts[b][c]) for c in used)) for b in used)]


def summary_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row a kind."""
    rows = []
    for kind, row in comparison["summary"].items():
        cells = [kind, str(len(row["tasks"]))]
        for macro, scale in ((row["net_rate"], 100.0), (row["primary_delta"], 1.0)):
            if macro is None:
                cells += [DASH, DASH]
                continue
            known = {"ci_low": macro["ci_low"], "ci_high": macro["ci_high"]}
            ends = {end: None if value is None else scale * value for end, value in known.items()}
            cells += [signed(scale * macro["value"]) + (" points" if scale > 1 else ""), interval(ends)]
        rows.append(tuple(cells))
    return rows


def remarks(task: TaskDiff) -> Iterator[str]:
    """What must be read beside the figures, a sentence each."""
    for item in task["mismatches"]:
        values = f"{item['base']} in the base, {item['candidate']} in the candidate"
        yield f"(!) {item['key']} differs and was allowed to: {values}"
    yield from task["notes"]
    bounds = task["bounds"]
    if bounds["n_uncertain"]:
        net = bounds["net_rate"]
        yield (
            f"{bounds['n_uncertain']} samples have a state on one side only; net would be {percent(net['best'])} "
            f"if all went well, {percent(net['worst'])} if all went badly"
        )
    if task["format_drift"] is not None:
        yield task["format_drift"]["text"]
    if "noise_floor" in task:
        yield task["noise_floor"]["text"]
    for metric, reason in task["not_comparable"].items():
        yield f"{metric} is not comparable: {reason}"


def stratum_rows(task: TaskDiff, key: str) -> Iterator[Row]:
    """A row a stratum: pairs, primary figure, net rate."""
    for value, stratum in task["strata"][key].items():
        metric, net = stratum["metric"], stratum["net_rate"]
        cells = (
            value + (" (small)" if stratum["small"] else ""),
            str(stratum["n"]),
            DASH if metric is None else format_number(metric["base"]),
            DASH if metric is None else format_number(metric["candidate"]),
            DASH if metric is None else signed(metric["delta"]),
            f"{stratum['induced_rate']['count']} of {stratum['induced_rate']['n']}",
            signed_percent(net["value"]),
            percent_interval(net),
            p_cell(net["p_adjusted"]),
        )
        yield Row(cells, net["significant"])


STRATUM_COLUMNS = ("Stratum", "n", "Base", "Candidate", "Δ", "Induced", "Net", "95 % CI", "adj. p (BH)")
