"""The page of one run: its figures, its states, its reliability, and its samples."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from halueval.errors import DataError
from halueval.report.plots import Bin, reliability
from halueval.report.site.figures import Link, NamedFigure, StatesView, facts, named_figures, short_name, states_view
from halueval.report.site.pages import render
from halueval.report.site.samples import SampleChunks
from halueval.report.tables import shown_figures
from halueval.schema import Kind, State
from halueval.stats.calibration import reliability_curve
from halueval.store import Run, read_samples

MIN_CONFIDENT = 20
"""Fewest answers with a confidence that a reliability curve is drawn of."""


@dataclass(frozen=True, slots=True)
class RunView:
    """What the page of a run shows; `problem` tells why there are no samples."""

    model: Link
    task: Link
    run_id: str
    facts: str
    warnings: list[str]
    figures: list[NamedFigure]
    more: list[NamedFigure]
    states: StatesView | None
    reliability: Markup
    n_confident: str
    problem: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """What other pages take from a run's page: its address, and the bins of its curve."""

    href: str
    bins: list[Bin]
    has_samples: bool


def write_run_page(run: Run, model: Link, task: Link, href: str, site: Path) -> RunPage:
    """Write the page of a run and the chunks of its samples.

    Args:
        run: the run.
        model: its model's page.
        task: its task's page.
        href: address of the page, `runs/MODEL/TASK.html`; the chunks lie in `runs/MODEL/TASK/`.
        site: the site's directory.
    """
    record = run.record
    confident: list[tuple[float, bool]] = []
    directory = (site / href).with_suffix("")
    index, problem = "", ""
    try:
        rows = _watched(read_samples(run.path, record), confident)
        first = next(rows, None)
        shown = [m for m in record["task"]["metric_list"] if first and m in first["scores"]]
        shown = [m for m in shown if first and m not in first.get("stats", {})]
        chunks = SampleChunks(
            itertools.chain([first] if first else [], rows),
            shown,
            directory.name,
            plain=record["task"]["kind"] == Kind.LANGUAGE_MODELING,
        )
        directory.mkdir(parents=True)
        for file, text in chunks.files():
            (directory / file).write_bytes(text.encode("utf-8"))
        index = chunks.index()
    except DataError as error:
        # Without the path: the same results make the same page wherever they lie.
        problem = str(error).replace(f"{run.path}/", "")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"samples.jsonl has a row that is none of halueval's ({type(error).__name__}: {error})"
    if problem:
        shutil.rmtree(directory, ignore_errors=True)
    told = shown_figures(record, every=False)
    more = {name: metric for name, metric in record["metrics"].items() if name not in told}
    bins = [] if problem else _bins(confident)
    view = RunView(
        model=model,
        task=task,
        run_id=run.run_id,
        facts=_facts(record),
        warnings=[short_name(warning) for warning in record["warnings"]],
        figures=named_figures(record, told),
        more=named_figures(record, more),
        states=states_view("states", record["states"], linked=not problem),
        reliability=reliability("reliability", {"base": bins}, "Reliability") if bins else Markup(""),
        n_confident=f"{len(confident):,}",
        problem=short_name(problem),
    )
    page = render("run.html.j2", root="../../", view=view, index=Markup(index))  # noqa: S704 - inert JSON
    (site / href).parent.mkdir(parents=True, exist_ok=True)
    (site / href).write_bytes(page)
    return RunPage(href, bins, not problem)


def _watched(rows: Iterator[dict[str, Any]], confident: list[tuple[float, bool]]) -> Iterator[dict[str, Any]]:
    """The rows, noting confidence and outcome of those that were answered."""
    for row in rows:
        if row.get("confidence") is not None and row["state"] in (State.CORRECT, State.HALLUCINATED):
            confident.append((row["confidence"], row["state"] == State.CORRECT))
        yield row


def _bins(confident: list[tuple[float, bool]]) -> list[Bin]:
    if len(confident) < MIN_CONFIDENT:
        return []
    confidence, right = (np.array(column, dtype=np.float64) for column in zip(*confident, strict=True))
    curve = reliability_curve(confidence, right)
    return [Bin(b.confidence, b.accuracy, b.count, b.low, b.high) for b in curve]


def _facts(record: Mapping[str, Any]) -> str:
    task, n = record["task"], record["n_samples"]
    limit = f" of {n['original']:,}" if n["effective"] != n["original"] else ""
    return facts(
        task["kind"].replace("_", " "),
        f"version {short_name(str(task['version']))}",
        f"{task['num_fewshot']}-shot",
        f"{n['effective']:,}{limit} samples",
        f"{n['unscored']:,} without a score" if n["unscored"] else "",
        record["identity"]["model"]["dtype"],
    )
