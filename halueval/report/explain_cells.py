"""The cells of an explanation's tables, the same on a terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from halueval.explaining.record import Contrast, ExplainRecord, Measure, TaskExplanation, WeightChange

MEASURE_COLUMNS = ("Measure", "Value", "95 % CI", "Chance", "p (adjusted)", "n")
GROUP_COLUMNS = ("Items", "n", "Base's accuracy", "Candidate's accuracy", "Change", "Induced rate")
WEIGHT_COLUMNS = ("Layer", "Module", "Parameters", "Relative change", "Spectral norm", "of the base's")
OUTCOME_COLUMNS = ("Task", "n", "Induced rate", "95 % CI", "Net rate", "95 % CI", "p (adjusted)")
Cells = tuple[str, ...]


def number(value: float | None, unit: str = "") -> str:
    """A value in its unit; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{100 * value:.1f} %" if unit == "share" else f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
    return text.replace("-", "−")


def interval(low: float | None, high: float | None, unit: str = "") -> str:
    """Both ends in brackets; a dash where there is none."""
    return "–" if low is None or high is None else f"[{number(low, unit)}, {number(high, unit)}]"


def p_value(value: float | None) -> str:
    """Four decimals."""
    return "–" if value is None else "< .0001" if value < 0.0001 else f"{value:.4f}".removeprefix("0")


def outcome_rows(record: ExplainRecord) -> Iterator[Cells]:
    """A row a task: what is to be explained."""
    for name, task in record["tasks"].items():
        induced, net = task["induced_rate"], task["net_rate"]
        yield (
            name,
            str(task["n_paired"]),
            number(induced["value"], "share"),
            interval(induced["ci_low"], induced["ci_high"], "share"),
            number(net["value"], "share"),
            interval(net["ci_low"], net["ci_high"], "share"),
            p_value(net["p_adjusted"]),
        )


def measure_rows(measures: Mapping[str, Measure]) -> Iterator[Cells]:
    """A row a measure; one that could not be taken has its reason in place of the label's end."""
    for one in measures.values():
        if one["value"] is None:
            continue
        unit = one["unit"]
        yield (
            one["label"] + ("" if unit in ("", "share") else f" ({unit})"),
            number(one["value"], unit),
            interval(one["ci_low"], one["ci_high"], unit),
            number(one["null"], unit),
            p_value(one["p_adjusted"]),
            str(one["n"]),
        )


def untaken(measures: Mapping[str, Measure]) -> list[str]:
    """Measures that could not be taken, those of one reason in one line."""
    by_reason: dict[str, list[str]] = {}
    for one in measures.values():
        if one["value"] is None:
            by_reason.setdefault(one["reason"] or "no reason given", []).append(one["label"])
    return [f"not measured: {'; '.join(labels)}: {reason}" for reason, labels in by_reason.items()]


def group_rows(contrast: Contrast) -> Iterator[Cells]:
    """A row a group of a contrast, then the difference."""
    for name, group in contrast["groups"].items():
        yield (
            name,
            str(group["n"]),
            _with(group["accuracy_base"]),
            _with(group["accuracy_candidate"]),
            _with(group["accuracy_change"]),
            _with(group["induced_rate"]),
        )
    if contrast["groups"]:
        yield (
            f"{contrast['first']} − {contrast['second']}",
            "",
            "",
            _with(contrast["accuracy_difference"]),
            "",
            _with(contrast["induced_difference"]),
        )


def _with(measure: Measure) -> str:
    unit = measure["unit"]
    around = interval(measure["ci_low"], measure["ci_high"], unit)
    return number(measure["value"], unit) + ("" if around == "–" else f" {around}")


def weight_rows(weights: WeightChange) -> Iterator[Cells]:
    """A row a layer and kind of module."""
    for group in weights["groups"]:
        yield (
            group["layer"] or "–",
            group["kind"],
            f"{group['n_parameters']:,}",
            number(group["relative_change"], "share") if (group["relative_change"] or 0) >= 0.01 else _small(group),
            number(group["spectral_norm"]),
            number(group["spectral_ratio"]),
        )


def _small(group: Mapping[str, object]) -> str:
    value = group["relative_change"]
    return "–" if not isinstance(value, float) else f"{100 * value:.4f} %"


def notes_of(task: TaskExplanation) -> Sequence[str]:
    """What could not be measured of a task, and its notes."""
    lines = [*untaken(task["distribution"]), *untaken(task["overlap"])]
    lines += [f"not compared: {c['name']}: {c['reason']}" for c in task["generalisation"] if c["reason"] is not None]
    return [*lines, *task["notes"]]


def settings_line(record: ExplainRecord) -> str:
    """How the record was made."""
    settings = record["settings"]
    return (
        f"halueval {record['halueval_version']}; Benjamini–Hochberg over {settings['n_tests']} tests, α = "
        f"{settings['alpha']:g}; {settings['n_permutations']} permutations of at most {settings['max_texts']} texts a "
        f"side, seed {settings['seed']}; Chance: mean over random divisions of the pooled texts"
    )


def training_line(record: ExplainRecord) -> str:
    """Where the training data is from."""
    info = record["training"]
    if info["path"] is None:
        return f"training data: {info['reason']}"
    return f"training data: {info['path']}, {info['n']} examples, {info['found']}, sha256 {(info['sha256'] or '')[:12]}"
