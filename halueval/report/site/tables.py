"""The tables of the site, from the entries of the board."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from halueval.leaderboard import board as data
from halueval.leaderboard.board import Board, TaskBoard
from halueval.report.site.addresses import Addresses
from halueval.report.site.boards import Cell, Column, Filter, Group, Row, Section
from halueval.report.site.drawings import Axis, shares_axis
from halueval.report.site.figures import Figure, facts, figure, listed, short_name
from halueval.report.site.runs import RunPage
from halueval.report.tables import HIGHER, LOWER

Pages = Mapping[tuple[str, str], RunPage]
"""The pages of the runs, by model and task."""

_SIZES = ("< 0.5B", "0.5B-2B", "2B-10B", "> 10B", "unknown")


class Tables:
    """Makes the tables of a board.

    Args:
        board: what is shown.
        addresses: of its pages.
        pages: of its runs.
    """

    def __init__(self, board: Board, addresses: Addresses, pages: Pages) -> None:
        self._board = board
        self._addresses = addresses
        self._pages = pages
        self._drawn: dict[tuple[int, tuple[float, float] | None], Figure] = {}
        self._columns = {column.key: column for column in board.columns}

    def overall(self) -> Section | None:
        """Means over the tasks that all models have; None where there are none, or they are of one task."""
        overall = self._board.overall
        if overall is None or not overall.columns:
            return None
        keys = overall.columns
        axes = self._axes(keys, overall.entries)
        by = self.order_of(keys)
        rows = [self._row(entry, keys, axes, rank=by) for entry in overall.entries]
        ranks = [_rank(entry, by) for entry in overall.entries]
        return Section(
            id="overall",
            title="All tasks together",
            caption="Models over the tasks that all of them have, with 95 % intervals",
            root="",
            columns=[_MODEL, _rank_column(self._columns.get(by)), *(self._heading(key) for key in keys)],
            groups=_ties(rows, ranks),
            note=self._over(overall),
        )

    def results(self) -> Section:
        """A row a run, tasks under one another."""
        keys = [c.key for c in self._board.columns if any(c.key in task.columns for task in self._board.tasks)]
        axes = self._axes(keys, [entry for task in self._board.tasks for entry in task.entries])
        groups = [
            Group(
                f"{short_name(task.task)} · {self._task_words(task)}",
                [self._row(entry, keys, axes, rank=task.order, task=task, told=True) for entry in task.entries],
            )
            for task in self._board.tasks
        ]
        by_task = Column("Task", by="words", first=True)
        rank = Column("Rank", "Within the task; models of one rank cannot be told apart")
        return Section(
            id="results",
            title="Task by task",
            caption="Every model on every task, with 95 % intervals",
            root="",
            columns=[_MODEL, by_task, rank, *(self._heading(key) for key in keys), _SAMPLES],
            groups=groups,
        )

    def task(self, task: TaskBoard) -> Section:
        """All models on one task."""
        axes = self._axes(task.columns, task.entries)
        rows = [self._row(entry, task.columns, axes, rank=task.order, task=task) for entry in task.entries]
        ranks = [_rank(entry, task.order) for entry in task.entries]
        heads = (self._heading(key) for key in task.columns)
        return Section(
            id="models",
            title="Models",
            caption="Models on this task, with 95 % intervals",
            root="../",
            columns=[_MODEL, _rank_column(self._columns.get(task.order)), *heads, _SAMPLES],
            groups=_ties(rows, ranks),
        )

    def model(self, key: str) -> Section:
        """One model on all its tasks."""
        mine = [(task, entry) for task in self._board.tasks for entry in task.entries if entry.model == key]
        keys = [c.key for c in self._board.columns if any(c.key in entry.cells for _, entry in mine)]
        axes = self._axes(keys, [entry for _, entry in mine])
        rows = []
        for task, entry in mine:
            link = self._addresses.task(task.task)
            cells = [self._place(entry, task), *self._cells(entry, keys, axes), self._samples(entry, task, "../")]
            rows.append(Row(link.label, link.href, self._task_words(task), [], cells))
        return Section(
            id="tasks",
            title="Tasks",
            caption="This model on its tasks, with 95 % intervals",
            root="../",
            columns=[
                Column("Task", by="words"),
                Column("Rank", "Among the models on the task"),
                *(self._heading(key) for key in keys),
                _SAMPLES,
            ],
            groups=[Group("", rows)],
        )

    def filters(self, *, kinds: bool = True) -> list[Filter]:
        """Boxes above a table of models, those that leave a choice."""
        at, models = self._addresses, self._board.models
        boxes = [
            Filter("family", "Family", [(at.families[f], short_name(f)) for f in sorted({m.family for m in models})]),
            Filter("size", "Size", [(at.sizes[s], s) for s in _SIZES if any(m.size == s for m in models)]),
        ]
        if kinds:
            tasks = self._board.tasks
            known = list(dict.fromkeys(task.kind for task in tasks))
            languages = sorted({task.language for task in tasks})
            boxes = [
                Filter("kind", "Kind of task", [(at.kinds[kind], _words(kind)) for kind in known]),
                Filter("language", "Language", [(at.languages[name], short_name(name)) for name in languages]),
                *boxes,
            ]
        return [box for box in boxes if len(box.options) > 1]

    def order_of(self, keys: Sequence[str]) -> str:
        """The column that a table of these is ordered by."""
        return next((key for key in keys if self._columns[key].higher_is_better is not None), keys[0])

    # ---- parts -----------------------------------------------------------------------------------

    def _row(
        self,
        entry: data.Entry,
        keys: Sequence[str],
        axes: Mapping[str, Axis],
        *,
        rank: str,
        task: TaskBoard | None = None,
        told: bool = False,
    ) -> Row:
        model, at = self._addresses.models[entry.model], self._addresses
        link = at.model(entry.model)
        kinds = [task.kind] if task else model.kinds
        languages = [task.language] if task else model.languages
        known = [
            ("family", at.families[model.family]),
            ("size", at.sizes[model.size]),
            ("kind", " ".join(at.kinds[kind] for kind in kinds)),
            ("language", " ".join(at.languages[language] for language in languages)),
        ]
        cells = [_rank_cell(entry.cells.get(rank), self._tied(entry, rank, task))]
        if task and told:
            name = at.task(task.task)
            cells.insert(
                0, Cell(name.label, text=Markup('<a href="{}"><bdi>{}</bdi></a>').format(name.href, name.label))
            )
        cells += self._cells(entry, keys, axes)
        if task:
            cells.append(self._samples(entry, task, "" if told else "../"))
        return Row(link.label, link.href, at.about(entry.model), known, cells)

    def _cells(self, entry: data.Entry, keys: Sequence[str], axes: Mapping[str, Axis]) -> list[Cell]:
        return [self._cell(key, entry.cells.get(key), axes.get(key)) for key in keys]

    def _cell(self, key: str, cell: data.Cell | None, axis: Axis | None) -> Cell:
        if cell is None:
            return Cell("", text="–")
        drawn = (id(cell), None if axis is None else (axis.low, axis.high))  # cells live as long as the board
        if (made := self._drawn.get(drawn)) is None:
            made = self._drawn[drawn] = _figure(self._columns[key], cell, axis)
        return Cell("" if cell.value is None else f"{cell.value:.6g}", made)

    def _samples(self, entry: data.Entry, task: TaskBoard, root: str) -> Cell:
        page = self._pages[entry.model, task.task]
        n = entry.n_samples or 0
        words = Markup('<a href="{}{}">{:,}</a>').format(root, page.href, n)
        return Cell(str(n), text=words)

    def _tied(self, entry: data.Entry, key: str, task: TaskBoard | None) -> bool:
        overall = self._board.overall
        entries = task.entries if task else overall.entries if overall else ()
        mine = _rank(entry, key)
        return mine is not None and sum(_rank(other, key) == mine for other in entries) > 1

    def _place(self, entry: data.Entry, task: TaskBoard) -> Cell:
        rank = _rank(entry, task.order)
        if rank is None:
            return Cell("", text="–")
        tied = "=" if self._tied(entry, task.order, task) else ""
        return Cell(str(rank), text=f"{rank}{tied} of {len(task.entries)}")

    def _axes(self, keys: Iterable[str], entries: Sequence[data.Entry]) -> dict[str, Axis]:
        out = {}
        for key in keys:
            cells = [cell for entry in entries if (cell := entry.cells.get(key)) and cell.value is not None]
            ends = [end for cell in cells for end in (cell.value, cell.ci_low, cell.ci_high) if end is not None]
            if self._columns[key].unit == "share":
                out[key] = shares_axis(key, ends)
            elif ends:
                out[key] = Axis(key, min(0.0, *ends), max(max(ends), 1e-9), (), str)
        return out

    def _heading(self, key: str) -> Column:
        column = self._columns[key]
        better = column.higher_is_better
        arrow = "" if better is None else f" {HIGHER if better else LOWER}"
        return Column(column.title + arrow, _sentence(column.about), "descending" if better else "ascending")

    def _task_words(self, task: TaskBoard) -> str:
        return facts(_words(task.kind), short_name(task.language))

    def _over(self, overall: data.Overall) -> str:
        per = {tasks: [key for key, mine in overall.tasks.items() if mine == tasks] for tasks in overall.tasks.values()}
        told = [
            f"{', '.join(self._columns[key].title for key in keys)}: "
            f"{'mean of ' if len(tasks) > 1 else ''}{listed(tasks)}"
            for tasks, keys in per.items()
        ]
        absent = [f"{short_name(key)} is not in it: it {short_name(reason)}" for key, reason in overall.absent.items()]
        return ". ".join([*told, *absent]) + "."


_MODEL = Column("Model", by="words")
_SAMPLES = Column("Samples", "How many, and a page with all of them", "descending")


def _figure(column: data.Column, cell: data.Cell, axis: Axis | None) -> Figure:
    metric = {
        "value": cell.value,
        "ci_low": cell.ci_low,
        "ci_high": cell.ci_high,
        "n_scored": cell.n_scored,
        "n_unscored": cell.n_unscored,
        "ci_reason": cell.reason,
        "unscored_reasons": {cell.reason: 1} if cell.reason else {},
    }
    return figure(metric, as_share=column.unit == "share", axis=axis, css=column.key)


def _rank(entry: data.Entry, key: str) -> int | None:
    cell = entry.cells.get(key)
    return cell.rank if cell else None


def _rank_cell(cell: data.Cell | None, tied: bool) -> Cell:
    if cell is None or cell.rank is None:
        return Cell("", text="–")
    return Cell(str(cell.rank), text=f"{cell.rank}{'=' if tied else ''}")


def _rank_column(column: data.Column | None) -> Column:
    what = f"by {column.title.lower()}" if column else ""
    return Column("Rank", _sentence(f"{what}: one more than the models that are surely better"), first=True)


def _ties(rows: Sequence[Row], ranks: Sequence[int | None]) -> list[Group]:
    """Rows of one rank under a heading, where several share it."""
    out = []
    for rank, mine in itertools.groupby(zip(ranks, rows, strict=True), key=lambda pair: pair[0]):
        group = [row for _, row in mine]
        tied = rank is not None and len(group) > 1
        out.append(Group(f"Rank {rank}: {len(group)} models whose intervals overlap" if tied else "", group, tied))
    return out


def _words(kind: str) -> str:
    return "question answering" if kind == "qa" else short_name(kind.replace("_", " "))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
