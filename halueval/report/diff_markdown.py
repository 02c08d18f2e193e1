"""The comparison as Markdown for a pull request: headline, one table, the details folded."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from halueval.compare.record import Comparison, DiffRecord, PairedSample, TaskDiff, comparisons
from halueval.report.diff_cells import (
    CALIBRATION_COLUMNS,
    CLAIM_COLUMNS,
    FIGURE_COLUMNS,
    FORM_COLUMNS,
    RATE_COLUMNS,
    STRATUM_COLUMNS,
    SUMMARY_COLUMNS,
    Row,
    calibration_rows,
    claim_rows,
    figure_row,
    figure_rows,
    form_rows,
    percent,
    rate_rows,
    remarks,
    stratum_rows,
    summary_rows,
    task_mark,
    transition_rows,
)
from halueval.visible import visible

MAX_EXAMPLES = 5
MAX_TEXT = 200
_MARKUP = re.compile(r"([\\`*_\[\]#|~$])")
_NUMBERS = re.compile(r"[\d\s.,+%\[\]–-]*")
# Backslashes stop neither a mention nor an automatic link on code hosts; a zero-width space does.
_LIVE = (("@", "@\u200b"), ("://", "\u200b://"), ("www.", "www\u200b."))


def escape(text: str) -> str:
    """Text of a model, a card or a data set, so that no Markdown, HTML, mention or link comes of it.

    Each character with a meaning within a line is escaped, `&`, `<` and `>` become entities, mentions and
    links are broken by a zero-width space, line breaks become spaces (a cell is one line), and what hides or turns a
    line around is shown by its code point.
    """
    flat = visible(text)
    if _NUMBERS.fullmatch(flat):
        return flat
    for live, dead in _LIVE:
        flat = flat.replace(live, dead)
    return html.escape(_MARKUP.sub(r"\\\1", flat), quote=False)


def escape_html(text: str) -> str:
    """The same within an HTML block, where backslashes would be shown."""
    flat = visible(text)
    for live, dead in _LIVE:
        flat = flat.replace(live, dead)
    return html.escape(flat, quote=False)


def render_markdown(record: DiffRecord) -> str:
    """The whole comparison.

    Args:
        record: of `halueval diff`.

    Returns:
        Markdown that ends in a line break.
    """
    lines: list[str] = []
    if record["further"]:
        lines += _claims(record)
    for comparison in comparisons(record):
        lines += _comparison(record, comparison)
    failed = [gate for gate in record["gates"] if gate["failed"]]
    if record["gates"]:
        lines += ["", f"**Gates**: {len(failed)} of {len(record['gates'])} failed"]
        lines += ["", *(f"- {escape(gate['message'])}" for gate in failed)] if failed else []
    settings = record["settings"]
    lines += [
        "",
        f"<sub>halueval {record['halueval_version']}; paired by document and prompt; Holm over {settings['n_claims']} "
        f"primary claims, Benjamini–Hochberg over the rest, α = {settings['alpha']:g}; bold survives the correction; "
        f"MDE at 80 % power; {settings['n_resamples']:,} resamples, seed {settings['seed']}.</sub>",
    ]
    return "\n".join(lines).strip() + "\n"


def _claims(record: DiffRecord) -> Iterator[str]:
    """One table over tasks and candidates, and their macro means."""
    made = list(comparisons(record))
    names = list(dict.fromkeys(name for comparison in made for name in comparison["tasks"]))
    base = record["base"]["label"]
    yield from (f"## {escape(base)} against {len(made)} candidates", "")
    rows = [row for name in names for c in made if name in c["tasks"] for row in claim_rows(name, c)]
    yield from _table(CLAIM_COLUMNS, rows)
    if len(names) > 1:
        macros = [Row((c["candidate"]["label"], *cells), False) for c in made for cells in summary_rows(c)]
        yield from ("", *_table(("Candidate", *SUMMARY_COLUMNS), macros))


def _comparison(record: DiffRecord, comparison: Comparison) -> Iterator[str]:
    tasks = comparison["tasks"]
    base, candidate = escape(record["base"]["label"]), escape(comparison["candidate"]["label"])
    yield from ("", f"### {base} → {candidate}", "", f"**{escape(comparison['headline'])}**", "")
    if not record["further"]:
        yield from _table(FIGURE_COLUMNS, [row for task in tasks.values() for row in _main_rows(task)])
    if len(tasks) > 1 and not record["further"]:
        yield from ("", *_table(SUMMARY_COLUMNS, [Row(cells, False) for cells in summary_rows(comparison)]))
    for note in comparison["notes"]:
        yield from ("", f"- {escape(note)}")
    for task in tasks.values():
        yield from _details(task)


def _main_rows(task: TaskDiff) -> Iterator[Row]:
    """The claims of a task: its primary figure and the net rate."""
    name = task_mark(task)
    for metric, figure in task["metrics"].items():
        if figure["primary"]:
            yield figure_row(name, metric, figure)
            name = ""
    if task["has_states"]:
        net = list(rate_rows(name, task))[-1]
        mde = task["net_rate"]["mde"]
        first, _, value, ci, _, p, adjusted = net.cells
        yield Row(
            (first, "net hallucination", "", "", value, ci, p, adjusted, task["net_rate"]["test"], percent(mde)),
            net.bold,
        )


def _details(task: TaskDiff) -> Iterator[str]:
    yield from ("", f"<details><summary>{escape_html(task['task']['name'])}: {task['n_paired']} pairs</summary>", "")
    yield from (escape(task["headline"]), "")
    yield from _table(FIGURE_COLUMNS, figure_rows(task_mark(task), task))
    if task["has_states"]:
        yield from ("", *_table(RATE_COLUMNS, rate_rows(task_mark(task), task)))
        head, *body = transition_rows(task)
        yield from ("", *_table(head, [Row(cells, False) for cells in body]))
    for columns, made in (
        (FORM_COLUMNS, list(form_rows(task_mark(task), task))),
        (CALIBRATION_COLUMNS, list(calibration_rows(task_mark(task), task))),
    ):
        if made:
            yield from ("", *_table(columns, made))
    for key in task["strata"]:
        yield from ("", f"By {escape(key)}:", "", *_table(STRATUM_COLUMNS, stratum_rows(task, key)))
    told = [f"- {escape(remark)}" for remark in remarks(task)]
    yield from ("", *told) if told else ()
    for kind, samples in (("Induced", task["samples"]["induced"]), ("Repaired", task["samples"]["repaired"])):
        if samples:
            shown = samples[:MAX_EXAMPLES]
            yield from ("", f"{kind}, {len(shown)} of {len(samples)}:", "", *map(_example, shown))
    yield from ("", "</details>")


def _example(sample: PairedSample) -> str:
    prompt = sample["prompt"].strip().splitlines()
    question = prompt[-2] if len(prompt) > 1 and len(prompt[-1]) < 12 else (prompt or [""])[-1]
    texts = (question, sample["target"], sample["base"]["response"] or "–", sample["candidate"]["response"] or "–")
    cut = [escape(text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " …") for text in texts]
    return f"- {cut[0]} — right: {cut[1]}; base: {cut[2]}; candidate: {cut[3]}"


def _table(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "|".join(" --- " if i < 2 else " ---: " for i in range(len(columns))) + "|"
    for row in rows:
        cells = [escape(cell) for cell in row.cells]
        yield "| " + " | ".join(f"**{cell}**" if row.bold and cell else cell for cell in cells) + " |"
