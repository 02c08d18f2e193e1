"""The page of the study, from its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.plots import accuracy_plot, curves_plot
from halueval.known import KNOWN_CLASSES
from halueval.sweep.law import NAMES, PUBLISHED

TITLES = {"intercept": "intercept", "known": "known facts fitted", "unknown": "unknown facts fitted"}


def write_page(record: Mapping[str, Any], docs: Path) -> None:
    """Write `study.md` and its plots."""
    (docs / "study-law.svg").write_text(accuracy_plot(record), encoding="utf-8")
    (docs / "study-curves.svg").write_text(curves_plot(record), encoding="utf-8")
    (docs / "study.md").write_text("\n".join(_lines(record)) + "\n", encoding="utf-8")


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    design = record["design"]
    yield "<!-- Written by `make study` from study.json: see benchmarks/study. -->"
    yield ""
    yield "# Does learning what it does not know make a model hallucinate?"
    yield ""
    yield (
        "Gekhman et al. 2024 (*Does Fine-Tuning LLMs on New Knowledge Encourage Hallucinations?*) found that a model "
        "that learns facts it did not know answers fewer of those it knew, and that it happens late, when these facts "
        "are at last fitted. Here is the same at a small scale: SmolLM2-135M-Instruct, on facts that come with "
        "halueval."
    )
    yield ""
    yield (
        f"The first {design['labelled']} rows of `facts_qa` were probed ([probe.md](probe.md)): "
        f"{_classes(record['probe']['classes'])}. The model was then fine-tuned on {design['facts']} facts at a time, "
        f"with {_shares(design['shares'])} of them Unknown and the rest known, {design['epochs']} epochs, "
        f"{len(design['seeds'])} seeds each. At {design['checkpoints']} checkpoints of each training it was asked "
        f"the facts that it was trained on, and the first {design['asked']} rows of `facts_qa`, which were not trained."
    )
    yield ""
    yield "## What was fitted, and what it cost"
    yield ""
    yield "![Accuracy on questions that were not trained, against the share of unknown facts fitted](study-law.svg)"
    yield ""
    law = record["law"]
    if law is None:
        yield f"No law: {record['no_law']}."
    else:
        yield from _law(law)
    yield ""
    yield "## Stopping early against going on"
    yield ""
    yield from _stopping(record["stopping"])
    yield ""
    yield "![Accuracy by step for each share of unknown facts](study-curves.svg)"
    yield ""
    yield "## What the base knew, and what became of it"
    yield ""
    yield from _knew(record["by_class"])
    yield ""
    yield (
        "All numbers, checkpoint by checkpoint, are in [study.json](study.json); `make study` repeats everything. A "
        "model of 135 million parameters and a hundred facts are far from what was published on; read the signs and "
        "their intervals, not the sizes."
    )


def _law(law: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "accuracy = β₀ + β_known · (known facts fitted ÷ all training facts) + β_unknown · (unknown facts fitted ÷ "
        f"all), least squares over {law['n_points']} checkpoints of {law['n_trainings']} trainings; 95 % intervals by "
        "the jackknife over trainings:"
    )
    yield ""
    yield "| | here | published, in-domain |"
    yield "|---|---:|---:|"
    for name in NAMES:
        found = law["coefficients"][name]
        yield f"| {TITLES[name]} | {_points(found['value'])} {_interval(found)} | {_points(PUBLISHED[name])} |"
    yield f"| R² | {law['r_squared']:.2f} | {PUBLISHED['r_squared']:.2f} |"
    yield ""
    yield _verdict(law["coefficients"])


def _stopping(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield (
        "Half of the questions choose the checkpoint, the other half report it. Published: 37.5 → 25.8 where all is "
        "Unknown, 40.5 → 40.0 where all is HighlyKnown."
    )
    yield ""
    yield "| Unknown | early stop | end of training | change, 95 % over seeds |"
    yield "|---:|---:|---:|---:|"
    for row in rows:
        yield (
            f"| {100 * row['unknown_share']:.0f} % | {_points(row['early'])} | {_points(row['converged'])} | "
            f"{_points(row['change'], signed=True)} {_interval(row)} |"
        )


def _knew(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "Accuracy at the end of training by the class that the base's probe gave, means over seeds:"
    yield ""
    yield f"| Unknown in training | {' | '.join(KNOWN_CLASSES)} | hallucinated, all |"
    yield f"|---|{'---:|' * (len(KNOWN_CLASSES) + 1)}"
    for row in rows:
        name = "the base" if row["unknown_share"] is None else f"{100 * row['unknown_share']:.0f} %"
        cells = [_points(row[known]) for known in KNOWN_CLASSES]
        yield f"| {name} | {' | '.join(cells)} | {_points(row['hallucinated'])} |"


def _verdict(coefficients: Mapping[str, Any]) -> str:
    """What the intervals let one say of the two signs."""
    said = []
    for name, expected in (("known", "+"), ("unknown", "−")):
        found = coefficients[name]
        low, high = found["ci_low"], found["ci_high"]
        if low is None or high is None:
            said.append(f"the coefficient of {TITLES[name]} has no interval ({found['reason']})")
        elif low <= 0 <= high:
            said.append(f"the sign of {TITLES[name]} is not told apart from none")
        else:
            sign = "+" if low > 0 else "−"
            same = "as published" if sign == expected else "other than published"
            said.append(f"the sign of {TITLES[name]} is {sign}, {same}")
    return f"In words: {'; '.join(said)}."


def _classes(classes: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{row['count']} {row['known_class']}" for row in classes)


def _shares(shares: Sequence[float]) -> str:
    return ", ".join(f"{100 * share:.0f}" for share in shares) + " %"


def _points(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "–"
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return text.replace("-", "−")


def _interval(found: Mapping[str, Any]) -> str:
    if found["ci_low"] is None or found["ci_high"] is None:
        return "(no interval)"
    return f"[{_points(found['ci_low'])}, {_points(found['ci_high'])}]"
