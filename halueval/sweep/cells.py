"""The tables of a sweep as rows of text, for the terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from halueval.report.tables import HIGHER, LOWER, format_number
from halueval.sweep.learnt import learnt_over
from halueval.sweep.record import ArmRecord, SweepRecord

COST = ("seconds",)


def letters(record: SweepRecord) -> dict[str, str]:
    """A letter for each arm, which marks it in the plots; two from the 27th on."""
    names = [arm["name"] for arm in record["arms"]]
    return {name: (chr(64 + i // 26) if i >= 26 else "") + chr(65 + i % 26) for i, name in enumerate(names)}


def shown_measures(record: SweepRecord) -> list[str]:
    """Measures that any arm has a value of."""
    return [
        name for name in record["measures"] if any(arm["final"][name]["value"] is not None for arm in record["arms"])
    ]


def columns(record: SweepRecord, *, first: Sequence[str]) -> list[str]:
    """Heads: the given ones, and a column for each measure with its better direction."""
    heads = []
    for name in shown_measures(record):
        measure = record["measures"][name]
        better = measure["higher_is_better"]
        heads.append(measure["label"] + ("" if better is None else f" {HIGHER if better else LOWER}"))
    return [*first, *heads]


def cell(figure: Mapping[str, Any], share: bool, *, signed: bool = False) -> str:
    """Value and interval; shares in per cent."""
    value, low, high = figure["value"], figure["ci_low"], figure["ci_high"]
    if value is None:
        return "–"
    shown = _number(value, share, signed)
    return shown if low is None else f"{shown} [{_number(low, share, signed)}, {_number(high, share, signed)}]"


def _number(value: float, share: bool, signed: bool) -> str:
    text = f"{100 * value:.1f}" if share else format_number(value)
    if not any(digit in text for digit in "123456789"):
        return text.removeprefix("-")  # what rounds to nothing has no sign
    text = f"+{text}" if signed and value > 0 else text
    return text.replace("-", "−")


def matched_rows(record: SweepRecord) -> Iterator[list[str]]:
    """Arms at the matched score: mark, name, seeds that reached it, step, and the measures."""
    marks = letters(record)
    for arm in record["arms"]:
        head = [marks[arm["name"]], arm["name"], f"{arm['n_reached']}/{len(arm['seeds'])}", _steps(arm)]
        if not arm["matched"]:
            yield [*head, *("–" for _ in shown_measures(record))]
            continue
        yield [
            *head,
            *(cell(arm["matched"][m], record["measures"][m]["share"]) for m in shown_measures(record)),
        ]


def difference_rows(record: SweepRecord) -> Iterator[list[str]]:
    """What each arm differs in from the reference at the matched score."""
    marks = letters(record)
    for arm in record["arms"]:
        if arm["difference"] and arm["name"] != record["study"]["reference"]:
            yield [
                marks[arm["name"]],
                arm["name"],
                *(
                    cell(arm["difference"][m], record["measures"][m]["share"], signed=True)
                    for m in shown_measures(record)
                ),
            ]


def final_rows(record: SweepRecord) -> Iterator[list[str]]:
    """The base, and the final weights of each arm."""
    marks = letters(record)
    names = shown_measures(record)
    yield ["", "base", "", "", *(cell(record["base"][m], record["measures"][m]["share"]) for m in names)]
    for arm in record["arms"]:
        seconds = sum(seed["seconds"] for seed in arm["seeds"]) / len(arm["seeds"])
        yield [
            marks[arm["name"]],
            arm["name"],
            f"{seconds:.0f} s",
            ", ".join(arm["dominated_by"]) or "none",
            *(cell(arm["final"][m], record["measures"][m]["share"]) for m in names),
        ]


def _steps(arm: ArmRecord) -> str:
    found = [seed["matched_step"] for seed in arm["seeds"] if seed["matched_step"] is not None]
    if not found:
        return "–"
    low, high = min(found), max(found)
    return f"{low:.0f}" if round(low) == round(high) else f"{low:.0f}–{high:.0f}"


def headline(record: SweepRecord) -> str:
    """One sentence: where arms are compared, and which of them induces least there, if that can be told."""
    score = record["match"]["score"]
    if score is None:
        return f"Arms cannot be compared at a matched score: {record['match']['reason']}"
    facts = record["match"]["facts"]
    of = f"of {facts['scored']} of {facts['of']} facts" if facts["left_out"] else "of the trained facts"
    at = f"At {100 * score:.1f} % {of} learnt"
    able = [arm for arm in record["arms"] if arm["matched"] and arm["matched"]["induced"]["value"] is not None]
    if not able:
        return f"{at}: no arm gets there"
    best = min(able, key=lambda arm: arm["matched"]["induced"]["value"])
    figure = f"{cell(best['matched']['induced'], True)} %"
    if len(able) == 1:
        return f"{at}, the one arm that gets there, {best['name']}, induces {figure}"
    said = f"{at}, {best['name']} induces least of the {len(able)} arms that get there: {figure}"
    if best["name"] == record["study"]["reference"]:
        return said
    change = best["difference"]["induced"]
    if change["ci_high"] is None:
        return said
    sure = change["ci_high"] < 0
    told = f"{cell(change, True, signed=True)} points from {record['study']['reference']}"
    return f"{said}, {told}" + ("" if sure else ": the interval holds 0, so this may be chance")


def remarks(record: SweepRecord) -> list[str]:
    """What must be known beside the tables: how arms were matched, who never got there, who failed."""
    out = []
    if record["match"]["score"] is not None:
        out.append(
            f"matched at {100 * record['match']['score']:.1f} % learnt ({record['match']['how']}): at the first point "
            "of each training that reaches it, linear between checkpoints"
        )
    facts = record["match"]["facts"]
    if facts["left_out"]:
        out.append(learnt_over(facts["scored"], facts["of"], facts["left_out"]))
    for arm in record["arms"]:
        if record["match"]["score"] is not None and not arm["n_reached"]:
            best = max(seed["best_learnt"] for seed in arm["seeds"])
            out.append(f"{arm['name']} never reaches that score; its best is {100 * best:.1f} %")
    failed = (f"{f['arm']}, seed {f['seed']}, was not trained: {f['reason']}" for f in record["failures"])
    return [*out, *failed, *record["notes"]]
