"""Writes the site of a board: runs and pairs first, then the pages that tell of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from halueval.leaderboard.board import Board, Model, TaskBoard
from halueval.leaderboard.build import excluded_lines
from halueval.report.site.addresses import Addresses
from halueval.report.site.boards import Filter, Plot, Section
from halueval.report.site.charts import Charts
from halueval.report.site.directory import staged
from halueval.report.site.figures import Link, StatesView, facts, listed, short_name, states_view
from halueval.report.site.lineage import Step, lineage
from halueval.report.site.pages import render
from halueval.report.site.pairs import PairPage, write_pair_page
from halueval.report.site.runs import RunPage, write_run_page
from halueval.report.site.tables import Tables

Advance = Callable[[str], None]

READING = (
    "Each figure stands with its 95 % interval, as a bar and in brackets. Models whose intervals overlap cannot be "
    "told apart by these samples: a rank is one more than the number of models that are surely better, and an equals "
    "sign marks a rank that several share.",
    "Read the hallucination rate beside the answer rate: a model that declines often hallucinates little. Where a "
    "figure could not be computed for some samples, the number that it is of stands under it.",
    "For a fine-tuned model the page of its pair compares it with its base sample by sample; two intervals side by "
    "side say less than that.",
)


@dataclass(frozen=True, slots=True)
class TaskLink:
    """A task in the list of the overview."""

    label: str
    href: str
    facts: str


@dataclass(frozen=True, slots=True)
class IndexView:
    """What the overview shows."""

    title: str
    lead: str
    facts: str
    filters: list[Filter]
    sections: list[Section]
    pairs: list[PairPage]
    tasks: list[TaskLink]
    left_out: list[str]
    reading: tuple[str, ...]
    terms: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class TaskView:
    """What the page of a task shows."""

    name: str
    facts: str
    notes: list[str]
    filters: list[Filter]
    section: Section
    curves: list[Plot]


@dataclass(frozen=True, slots=True)
class RunStates:
    """The states of one run, on the page of its model."""

    task: str
    href: str
    states: StatesView


@dataclass(frozen=True, slots=True)
class ModelView:
    """What the page of a model shows."""

    name: str
    facts: str
    notes: list[str]
    lineage: list[Step]
    sections: list[Section]
    states: list[RunStates]


def count_pages(board: Board) -> int:
    """How many times `write_site` tells that it advances: for each run, pair, model and task, and the overview."""
    return sum(len(model.runs) for model in board.models) + len(board.pairs) + len(board.models) + len(board.tasks) + 1


def write_site(board: Board, directory: Path, advance: Advance = lambda _: None) -> None:
    """Write the site, in place of a former one.

    Args:
        board: what to show.
        directory: new, empty, or holding a site.
        advance: is told each page before it is made.

    Raises:
        UsageError: the directory holds something else, or cannot be written.
    """
    addresses = Addresses(board)
    with staged(directory) as site:
        pages: dict[tuple[str, str], RunPage] = {}
        for model in board.models:
            for task, run in model.runs.items():
                advance(f"{short_name(model.key)} on {short_name(task)}")
                links = addresses.model(model.key), addresses.task(task)
                pages[model.key, task] = write_run_page(run, *links, addresses.run(model.key, task), site)
        pairs: dict[tuple[str, str], PairPage] = {}
        for base, candidate in board.pairs:
            advance(f"{short_name(base)} → {short_name(candidate)}")
            names = addresses.model(base).label, addresses.model(candidate).label
            runs = addresses.models[base].runs, addresses.models[candidate].runs
            pairs[base, candidate] = write_pair_page(*runs, names, addresses.pair(base, candidate), site)
        _Site(board, addresses, pages, pairs, site).write(advance)


class _Site:
    """The pages that tell of several runs."""

    def __init__(
        self,
        board: Board,
        addresses: Addresses,
        pages: dict[tuple[str, str], RunPage],
        pairs: dict[tuple[str, str], PairPage],
        site: Path,
    ) -> None:
        self._board, self._addresses, self._pages, self._pairs, self._path = board, addresses, pages, pairs, site
        self._tables = Tables(board, addresses, pages)
        self._charts = Charts(board, addresses)

    def write(self, advance: Advance) -> None:
        """Write all of them."""
        for folder in ("models", "tasks"):
            (self._path / folder).mkdir(parents=True, exist_ok=True)
        for model in self._board.models:
            advance(short_name(model.key))
            self._put(self._addresses.model(model.key), "model.html.j2", self._model(model))
        for task in self._board.tasks:
            advance(short_name(task.task))
            self._put(self._addresses.task(task.task), "task.html.j2", self._task(task))
        advance("overview")
        (self._path / "index.html").write_bytes(render("index.html.j2", view=self._index()))

    def _put(self, link: Link, template: str, view: ModelView | TaskView) -> None:
        (self._path / link.href).write_bytes(render(template, root="../", view=view))

    def _index(self) -> IndexView:
        board = self._board
        sections = []
        if (overall := self._tables.overall()) is not None and board.overall is not None:
            by = self._tables.order_of(board.overall.columns)
            overall.plots.extend(self._charts.of("overall", board.overall.entries, board.overall.columns, by))
            sections.append(overall)
        sections.append(self._tables.results())
        n_runs = len(self._pages)
        return IndexView(
            title=short_name(board.title),
            lead=f"{_many(len(board.models), 'model')} on {_many(len(board.tasks), 'task')}, {_many(n_runs, 'run')}.",
            facts=f"Let through on request: runs that are {' or '.join(board.included)}." if board.included else "",
            filters=self._tables.filters(),
            sections=sections,
            pairs=list(self._pairs.values()),
            tasks=[self._task_link(task) for task in board.tasks],
            left_out=[short_name(line) for line in excluded_lines(board.excluded)],
            reading=READING,
            terms=[(column.title, f"{column.about}.") for column in board.columns],
        )

    def _task_link(self, task: TaskBoard) -> TaskLink:
        link = self._addresses.task(task.task)
        return TaskLink(link.label, link.href, f"{task.kind.replace('_', ' ')}, {_many(len(task.entries), 'model')}")

    def _task(self, task: TaskBoard) -> TaskView:
        section = self._tables.task(task)
        section.plots.extend(self._charts.of("task", task.entries, task.columns, task.order))
        limit = task.settings.get("limit")
        settings = [
            short_name(task.kind.replace("_", " ")),
            short_name(task.language),
            f"main figure {short_name(task.primary)}",
            f"{task.settings.get('num_fewshot')}-shot",
            "" if limit is None else f"the first {limit} samples",
        ]
        return TaskView(
            name=short_name(task.task),
            facts=facts(*settings),
            notes=[],
            filters=self._tables.filters(kinds=False),
            section=section,
            curves=self._charts.curves(
                {entry.model: self._pages[entry.model, task.task].bins for entry in task.entries}
            ),
        )

    def _model(self, model: Model) -> ModelView:
        states: list[RunStates] = []
        for task, run in model.runs.items():
            page = self._pages[model.key, task]
            shown = states_view(f"states-{len(states)}", run.record["states"], linked=page.has_samples)
            if shown is not None:
                states.append(RunStates(short_name(task), page.href, shown))
        known = [
            self._addresses.about(model.key),
            f"family {short_name(model.family)}",
            short_name(model.dtype),
            f"weights {model.weights_sha256[:12]}",
            f"adapter {model.adapter_sha256[:12]}" if model.adapter_sha256 else "",
            short_name(model.source) if model.source not in (model.name, ".") else "",
        ]
        missing = [task.task for task in self._board.tasks if task.task not in model.runs]
        return ModelView(
            name=short_name(model.key),
            facts=facts(*known),
            notes=[short_name(f"No run of {listed(missing)}")] if missing else [],
            lineage=lineage(model.key, self._addresses, self._pairs),
            sections=[self._tables.model(model.key)],
            states=states,
        )


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
