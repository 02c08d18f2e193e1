"""What goes together with induced hallucination: what `halueval explain` does, as a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from halueval.backends.base import Backend
from halueval.compare.figures import Engine
from halueval.compare.find import find_runs, match, of_one_model
from halueval.compare.table import Table, compare_all
from halueval.errors import SourceError
from halueval.explaining.adapter import adapter_changes
from halueval.explaining.behaviour import no_kl
from halueval.explaining.distribution import MAX_TEXTS, Encode, draw
from halueval.explaining.items import items_of
from halueval.explaining.likelihood import nll_measures, no_forgetting, no_nll, requests_for
from halueval.explaining.models import Found, find_model
from halueval.explaining.passes import Bar, answer_all, behaviour, neutral_texts, open_backend
from halueval.explaining.record import (
    ASSOCIATION,
    EXPLAIN_SCHEMA_VERSION,
    ExplainRecord,
    Measure,
    TaskExplanation,
    TrainingInfo,
    WeightChange,
)
from halueval.explaining.statements import model_statements, task_statements
from halueval.explaining.tasks import adjust, answer_of, task_explanation
from halueval.explaining.training import TrainingData, choose_training, read_training
from halueval.explaining.weights import no_weights, weight_changes
from halueval.job import Observer, SilentObserver
from halueval.registry import Registry
from halueval.report.explain_result import Explanation
from halueval.store import Run

__all__ = ["Explanation", "Settings", "explain"]

NLL_TEXTS = 200
"""Most texts a side whose likelihood is asked."""
NO_MODELS = "left out (--no-models)"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to explain; defaults as on the command line.

    Attributes:
        train_data: the candidate's training data; None for the file that `halueval finetune` left beside the weights.
        base_model, candidate_model: card, directory or hub id of the weights; None to find them by the runs' names.
        candidate_adapter: PEFT adapter of the candidate.
        neutral: general text; None for the packaged documents.
        neutral_texts: how many of them.
        models: whether to load models and read weights at all.
        device, dtype: as for a run; `auto` for the dtype is that of the runs.
        alpha: level of the tests.
        seed: of all draws.
        n_permutations: draws of each permutation null.
        allow_mismatch: as for `diff`.
        include_path: as for `run`.
        observer: is told of the progress.
    """

    train_data: Path | None = None
    base_model: str | None = None
    candidate_model: str | None = None
    candidate_adapter: Path | None = None
    neutral: Path | None = None
    neutral_texts: int = 40
    models: bool = True
    device: str = "auto"
    dtype: str = "auto"
    alpha: float = 0.05
    seed: int = 0
    n_permutations: int = 500
    allow_mismatch: Sequence[str] = ()
    include_path: Sequence[Path] = ()
    observer: Observer = field(default_factory=SilentObserver)


def explain(
    base: str | Path, candidate: str | Path, *, results: str | Path = "results", settings: Settings | None = None
) -> Explanation:
    """Put measures of each known cause beside the rates that they should explain.

    Args:
        base: a run directory, or a model's name under `results` (then every task that both have).
        candidate: the same, of the fine-tuned model.
        results: directory of results.
        settings: everything else.

    Raises:
        UsageError: names that mean no runs, runs that cannot be compared, or weights that are not the runs'.
        DataError: training data or general text that cannot be read; a run that is unfinished or was changed.
        ModelError: weights that cannot be read.
    """
    settings = settings or Settings()
    registry = Registry(settings.include_path)
    given = None if settings.train_data is None else read_training(settings.train_data)
    if settings.neutral is not None:
        neutral_texts(settings.neutral, settings.neutral_texts, registry)  # a bad file is told before any work
    table, runs, notes = _compare(base, candidate, Path(results), settings)
    found = _find(runs, registry, settings)
    training, info, remarks = choose_training(given, found[1].directory)
    notes += remarks
    work = _Work(table, runs, found, training, info, registry, settings, notes)
    return Explanation(work.record())


def _compare(
    base: str | Path, candidate: str | Path, results: Path, settings: Settings
) -> tuple[Table, tuple[Run, Run], list[str]]:
    choices, told = [], []
    for name in (base, candidate):
        runs, remarks = of_one_model(name, find_runs(name, results))
        choices.append(runs)
        told += remarks
    ours, theirs, notes = match(choices[0], choices[1:], [str(base), str(candidate)])
    engine = Engine(settings.alpha, settings.seed)
    table = compare_all(ours, theirs, engine=engine, allow_mismatch=settings.allow_mismatch)
    pair = next(iter(ours.values())), next(iter(theirs[0].values()))
    return table, pair, [*told, *notes[0]]


def _find(runs: tuple[Run, Run], registry: Registry, settings: Settings) -> tuple[Found, Found]:
    ours, theirs = (run.record["model"] for run in runs)
    if not settings.models:
        # The candidate's directory may still tell of its training data.
        if settings.candidate_model or settings.candidate_adapter:
            return Found(None, NO_MODELS), _candidate(theirs, registry, settings)
        return Found(None, NO_MODELS), Found(None, NO_MODELS)
    return find_model(ours, "base", registry, given=settings.base_model), _candidate(theirs, registry, settings)


def _candidate(model: dict[str, object], registry: Registry, settings: Settings) -> Found:
    return find_model(model, "candidate", registry, given=settings.candidate_model, adapter=settings.candidate_adapter)


@dataclass(slots=True)
class _Work:
    """What is at hand, and the steps from it to the record."""

    table: Table
    runs: tuple[Run, Run]
    found: tuple[Found, Found]
    training: TrainingData | None
    info: TrainingInfo
    registry: Registry
    settings: Settings
    notes: list[str]

    def record(self) -> ExplainRecord:
        """Everything."""
        diff, settings = self.table.record, self.settings
        tasks = self._tasks()
        weights = self._weights()
        moved, neutral = self._passes(tasks)
        n_tests = adjust(tasks, moved)
        for name, task in tasks.items():
            task["statements"] = task_statements(name, task, settings.alpha)
        return {
            "schema_version": EXPLAIN_SCHEMA_VERSION,
            "halueval_version": version("halueval"),
            "settings": {
                "alpha": settings.alpha,
                "seed": settings.seed,
                "n_permutations": settings.n_permutations,
                "max_texts": MAX_TEXTS,
                "n_tests": n_tests,
            },
            "base": diff["base"],
            "candidate": diff["candidate"],
            "headline": diff["headline"],
            "caution": ASSOCIATION,
            "notes": [*self.notes, *diff["notes"]],
            "training": self.info,
            "tasks": tasks,
            "weights": weights,
            "neutral": neutral,
            "behaviour": moved,
            "statements": model_statements(weights, moved, settings.alpha),
        }

    def _tasks(self) -> dict[str, TaskExplanation]:
        encode = self._encoder()
        samples = self.table.samples_by_task()
        out: dict[str, TaskExplanation] = {}
        self.settings.observer.begin("distances and overlap", len(samples), 0)
        try:
            for name, diff in self.table.record["tasks"].items():
                out[name] = task_explanation(
                    diff,
                    items_of(samples[name], diff["task"]["num_fewshot"]),
                    self.training,
                    encode,
                    reason=self.info["reason"] or "",
                    n_permutations=self.settings.n_permutations,
                    seed=self.settings.seed,
                )
                self.settings.observer.advance(1)
        finally:
            self.settings.observer.end()
        return out

    def _encoder(self) -> Encode | str:
        if not self.settings.models:
            return NO_MODELS
        if self.training is None:
            return self.info["reason"] or ""
        from halueval.consistency.encoder import SentenceEncoder

        encoder = SentenceEncoder(device=self.settings.device)
        try:
            encoder.encode(["probe"])
        except SourceError as error:
            return f"the sentence encoder cannot be had: {error}"
        return encoder.encode

    def _weights(self) -> WeightChange:
        base, candidate = (found.located for found in self.found)
        if not self.settings.models:
            return no_weights(NO_MODELS)
        if base is None or candidate is None:
            return no_weights(self._not_found())
        if base.adapter is not None:
            return no_weights("the base has an adapter of its own")
        bar = Bar(self.settings.observer)
        try:
            if candidate.adapter is None:
                return weight_changes(base.directory, candidate.directory, bar)
            if candidate.weights_sha256 != base.weights_sha256:
                return no_weights("the candidate's adapter is on other weights than the base's")
            return adapter_changes(base.directory, candidate.adapter, bar)
        finally:
            bar.end()

    def _passes(self, tasks: dict[str, TaskExplanation]) -> tuple[dict[str, Measure], str]:
        """Likelihoods into the tasks; forgetting and KL returned, with the name of the general text."""
        base, candidate = (found.located for found in self.found)
        if base is None:
            for task in tasks.values():
                if self.training is not None:
                    task["distribution"].update(no_nll(self.found[0].reason))
            return self._no_behaviour(self._not_found()), ""
        if candidate is None and self.training is None:
            return self._no_behaviour(self._not_found()), ""
        kinds = {located.architecture for located in (base, candidate) if located is not None}
        dtype = [
            run.record["model"]["dtype"] if self.settings.dtype == "auto" else self.settings.dtype for run in self.runs
        ]
        ours = open_backend(base, device=self.settings.device, dtype=dtype[0])
        self._likelihoods(ours, tasks)
        if candidate is None:
            return self._no_behaviour(self.found[1].reason), ""
        if kinds != {"causal"}:
            return self._no_behaviour(f"a {sorted(kinds)[-1]} model gives no likelihood of a text by itself"), ""
        try:
            texts, neutral = neutral_texts(self.settings.neutral, self.settings.neutral_texts, self.registry)
        except SourceError as error:
            return self._no_behaviour(f"no general text: {error}"), ""
        theirs = open_backend(candidate, device=self.settings.device, dtype=dtype[1])
        self.notes += [*ours.warnings, *theirs.warnings]
        return behaviour(ours, theirs, texts, self.settings.observer), neutral

    def _not_found(self) -> str:
        return "; ".join(dict.fromkeys(found.reason for found in self.found if found.reason))

    def _no_behaviour(self, reason: str) -> dict[str, Measure]:
        return {**no_forgetting(reason), **no_kl(reason)}

    def _likelihoods(self, backend: Backend, tasks: dict[str, TaskExplanation]) -> None:
        if self.training is None:
            return
        texts = draw(self.training.texts, self.settings.seed, NLL_TEXTS)
        training = [(text.prompt, text.completion) for text in texts]
        samples = self.table.samples_by_task()
        parts = {}
        for name, diff in self.table.record["tasks"].items():
            items = items_of(samples[name], diff["task"]["num_fewshot"])
            language = diff["task"]["language"]
            parts[name] = [answer_of(item, language) for item in draw(items, self.settings.seed, NLL_TEXTS)]
        kind = backend.architecture
        wanted = [r for some in (training, *parts.values()) for rs in requests_for(some, kind).values() for r in rs]
        answers = answer_all(backend, wanted, "base · training data and tasks", self.settings.observer)
        for name, task in tasks.items():
            task["distribution"].update(nll_measures(training, parts[name], answers.__getitem__, kind))
