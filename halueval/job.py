"""The nouns of one run: settings, the model, the prepared task, and what is known of each sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from halueval.backends.base import Backend, ChatSettings, ModelIdentity
from halueval.config import TaskSpec
from halueval.dataset import LoadedData
from halueval.schema import Check, Judged, Outcome, Request, Sample, Score
from halueval.scorers.base import Scorer
from halueval.uncertainty.settings import UncertaintySettings


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a user chooses for a run; defaults as on the command line.

    `known_class` names labels of a probe; with `find_known_class` those under the output are taken where none are named
    (the command line does so, unless it is told `--no-known-class`).
    """

    output: Path = Path("results")
    device: str = "auto"
    """Of the models that check responses; no part of a run's identity."""
    limit: int | None = None
    num_fewshot: int | None = None
    seed: int = 0
    batch_size: int | None = None
    max_tokens_per_batch: int | None = None
    chat: ChatSettings = field(default_factory=ChatSettings)
    predict_only: bool = False
    fresh: bool = False
    n_resamples: int = 10_000
    uncertainty: UncertaintySettings | None = None
    calibration: str = "none"
    baselines: tuple[str, ...] = ()
    """Further methods of calibration whose baselines are asked and stored; they change no answer."""
    known_class: Path | None = None
    find_known_class: bool = False


class Observer(Protocol):
    """Told what a run is doing, one piece of work after another; the command line draws a progress bar from it."""

    def begin(self, title: str, total: int, done: int) -> None:
        """`total` requests (or responses to be checked) in all, of which `done` were answered before."""

    def advance(self, requests: int) -> None:
        """So many more were answered."""

    def end(self) -> None:
        """This piece of work is over, or was interrupted."""


class SilentObserver:
    """Says nothing."""

    def begin(self, title: str, total: int, done: int) -> None:
        """Nothing."""

    def advance(self, requests: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


@contextmanager
def watched(observer: Observer, title: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Tell an observer of a piece of work from its beginning to its end, also where it fails; gives its `advance`."""
    observer.begin(title, total, done)
    try:
        yield observer.advance
    finally:
        observer.end()


@dataclass(slots=True)
class ModelHandle:
    """A model that is loaded at the first need and then kept for the command's other tasks.

    `labels` maps a head's label names to words; `open_backend` loads the model.
    """

    identity: ModelIdentity
    open_backend: Callable[[], Backend]
    labels: Mapping[str, str] = field(default_factory=dict)
    backend: Backend | None = None
    load_seconds: float = 0.0

    def ready(self) -> Backend:
        """The loaded backend."""
        if self.backend is None:
            started = time.perf_counter()
            self.backend = self.open_backend()
            self.load_seconds = time.perf_counter() - started
        return self.backend


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task made ready for one model: samples, scorers, distinct requests, and who asked for which.

    `lacking` are figures of consistency that do without their scorer (`halueval.checking.available`).
    """

    task: TaskSpec
    data: LoadedData
    samples: Sequence[Sample]
    scorers: Sequence[Scorer]
    requests: Sequence[Request]
    keys: Sequence[str]
    roles: Sequence[Mapping[str, str]]
    identity: dict[str, Any]
    directory: Path
    journal: Path
    num_fewshot: int
    prepare_seconds: float
    calibration: str = "none"
    lacking: Mapping[str, Check] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scored:
    """Everything known about one sample after scoring; `uncertainty` by figure, where the run was asked for it."""

    sample: Sample
    outcome: Outcome
    judged: Judged
    scores: Mapping[str, Score]
    uncertainty: Mapping[str, Score] = field(default_factory=dict)
