"""Every checkpoint on the same tasks, with one load of the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from halueval.api import scorers_for
from halueval.backends.base import Backend
from halueval.backends.devices import resolve_device, resolve_dtype
from halueval.backends.loading import LocatedModel
from halueval.config import TaskSpec
from halueval.dataset import LoadedData, load_data
from halueval.errors import IncompleteError
from halueval.job import ModelHandle, Observer, RunSettings
from halueval.registry import Registry
from halueval.runner import companions, prepare, run_tasks
from halueval.source import Progress
from halueval.store import Run


@dataclass(frozen=True, slots=True)
class EvalTask:
    """A task with its data, and how many of its first rows are used."""

    task: TaskSpec
    data: LoadedData
    limit: int | None


def load_tasks(names: Sequence[str], registry: Registry, progress: Progress | None = None) -> list[EvalTask]:
    """Tasks by name, each with the number of its first rows behind a colon where not all are meant (`facts_qa:300`).

    Raises:
        UsageError: an unknown task; DataError, SourceError: data that cannot be had.
    """
    found = []
    for name in names:
        # Only what is behind the last colon, and only digits: a path may hold a colon.
        head, colon, rows = name.rpartition(":")
        task_name, limit = (head, int(rows)) if colon and rows.isdecimal() else (name, None)
        for task, own in registry.expand([task_name]):
            data = load_data(task, base=task.directory or Path(), progress=progress)
            found.append(EvalTask(task, data, own if limit is None else limit))
    return found


class Evaluator:
    """Runs tasks by the base and its checkpoints.

    Args:
        base: the base, which is loaded at the first need and once.
        tasks: what is run.
        settings: where runs are stored, and how they are made.
        device: as on the command line.
        observer: is told of the progress.
        trust_remote_code: run Python code that comes with the model.
    """

    def __init__(
        self,
        base: LocatedModel,
        tasks: Sequence[EvalTask],
        settings: RunSettings,
        *,
        device: str,
        observer: Observer,
        trust_remote_code: bool = False,
    ) -> None:
        self.base, self.tasks, self.observer = base, list(tasks), observer
        self.settings = replace(settings, device=device)
        self.trust_remote_code = trust_remote_code
        self.device = resolve_device(device)
        self.dtype = resolve_dtype("auto", base.spec, self.device)
        self.loads = 0
        self._swapped: object = None

    def run(self, located: LocatedModel) -> dict[str, Run]:
        """Runs of one model by task; what is complete is read, not repeated.

        Raises:
            IncompleteError: a task that could not be finished; what was answered is kept.
        """
        handle = ModelHandle(located.identity(self.dtype), lambda: self._backend(located), located.spec.labels)
        ready = []
        for one in self.tasks:
            scorers = scorers_for(one.task, located.architecture, self.trust_remote_code)
            limited = replace(self.settings, limit=one.limit)
            ready.append(prepare(one.task, one.data, scorers, handle.identity, limited))
        runs: dict[str, Run] = {}
        for members in companions(ready):
            outcomes = run_tasks([ready[i] for i in members], handle, self.settings, self.observer)
            for i, outcome in zip(members, outcomes, strict=True):
                if isinstance(outcome, IncompleteError):
                    raise outcome
                if outcome is not None:
                    runs[self.tasks[i].task.task] = outcome
        return runs

    def _backend(self, located: LocatedModel) -> Backend:
        from halueval.backends.huggingface import HuggingFaceBackend
        from halueval.backends.swap import SwappedBackend

        if self._swapped is None:
            self.loads += 1
            loaded = HuggingFaceBackend(
                self.base, device=self.device, dtype=self.dtype, trust_remote_code=self.trust_remote_code
            )
            self._swapped = SwappedBackend(self.base, loaded)
        assert isinstance(self._swapped, SwappedBackend)
        if self._swapped.fits(located):
            return self._swapped.become(located)
        self.loads += 1
        return HuggingFaceBackend(
            located, device=self.device, dtype=self.dtype, trust_remote_code=self.trust_remote_code
        )
