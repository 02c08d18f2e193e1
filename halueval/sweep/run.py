"""The sweep itself: a base, its arms and seeds, one after the other; what was done is not done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from halueval.api import check_writable
from halueval.errors import HaluevalError, TrainingError, UsageError
from halueval.finetune.prepare import Prepared
from halueval.finetune.progress import TrainingProgress
from halueval.finetune.train import finetune
from halueval.job import Observer, RunSettings
from halueval.registry import Registry
from halueval.source import Progress
from halueval.store import Run, load_run
from halueval.sweep.evaluate import Evaluator, load_tasks
from halueval.sweep.labels import StudyLabels
from halueval.sweep.learnt import ScoredFacts, write_learnt_task
from halueval.sweep.planning import SweepOptions, plan
from halueval.sweep.spec import Study
from halueval.sweep.unit import (
    Failure,
    Unit,
    drop_weights,
    evaluate_checkpoints,
    is_fatal,
    read_unit,
    refuse_other_training,
    unit_identity,
    unit_name,
    write_unit,
)


class SweepProgress(Protocol):
    """Told which unit is made; hands out who is told of its steps and requests."""

    def unit(self, name: str, number: int, total: int, remark: str) -> None:
        """Unit `number` of `total` begins, or was done before (`remark`)."""

    def training(self) -> TrainingProgress:
        """Who is told of the steps of the next training."""

    def observer(self) -> Observer:
        """Who is told of the requests."""


@dataclass(slots=True)
class Sweep:
    """What a sweep has made.

    Attributes:
        study: what was asked for.
        base: runs of the base by task.
        facts: what the in-task score is over.
        units: those that were made, in the order of arms and seeds.
        failures: those that were not, with reasons.
        loads: how often a model was loaded for evaluation by this command.
        home: directory of the sweep.
        labels: what the base knew, where the study names a file.
    """

    study: Study
    base: Mapping[str, Run]
    facts: ScoredFacts
    home: Path
    labels: StudyLabels | None = None
    units: list[Unit] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    loads: int = 0

    def runs(self, unit: Unit) -> list[dict[str, Run]]:
        """Runs of each checkpoint by task."""
        return [{task: load_run(self.home / path) for task, path in paths.items()} for paths in unit.runs]


def sweep(
    study: Study, options: SweepOptions, progress: SweepProgress, *, fetch_progress: Progress | None = None
) -> Sweep:
    """Train and evaluate all arms with all seeds, nobody else at work in the same directory.

    An arm that cannot be trained (a mitigation that leaves no data, a loss that is no number) is written down with the
    reason, and the others go on.

    Raises:
        UsageError, ConfigError, DataError: a study that cannot be right; nothing has been trained.
        IncompleteError: interrupted, or no space; what was finished is kept, and the same call goes on.
    """
    import filelock

    check_writable(options.output)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(options.output / ".lock", timeout=0):
            return _sweep(study, options, progress, fetch_progress)
    except filelock.Timeout as error:
        raise UsageError(f"--output {options.output}: another sweep is at work there") from error


def _sweep(study: Study, options: SweepOptions, progress: SweepProgress, fetch_progress: Progress | None) -> Sweep:
    planned = plan(study, options, fetch_progress)
    registry, home = Registry(options.include_path), options.output
    units = [(arm.name, seed) for arm in study.arms for seed in study.seeds]
    for arm, seed in units:
        if arm in planned.prepared:
            training, file = _places(home, arm, seed)
            refuse_other_training(training, replace(planned.prepared[arm], seed=seed), file)
    learnt = write_learnt_task(home / "tasks", planned.facts.facts, study.max_new_tokens)
    evaluator = Evaluator(
        planned.base,
        [*load_tasks([str(learnt)], registry), *planned.tasks],
        RunSettings(output=home / "results"),
        device=options.device,
        observer=progress.observer(),
        trust_remote_code=options.trust_remote_code,
    )
    works = {
        (arm, seed): _Work(planned.prepared[arm], seed, evaluator, registry, options, progress)
        for arm, seed in units
        if arm in planned.prepared
    }
    for (arm, _), work in works.items():
        _done_before(home, work, arm)
    made = Sweep(study, evaluator.run(planned.base), planned.facts, home, planned.labels)
    for number, (arm, seed) in enumerate(units, 1):
        if arm in planned.prepared:
            _one(made, works[arm, seed], arm, number, len(units))
        else:
            made.failures.append(Failure(arm, seed, planned.unusable[arm]))
            progress.unit(unit_name(arm, seed), number, len(units), f"cannot be trained: {planned.unusable[arm]}")
    made.loads = evaluator.loads
    return made


@dataclass(frozen=True, slots=True)
class _Work:
    """What one unit is made with."""

    prepared: Prepared
    seed: int
    evaluator: Evaluator
    registry: Registry
    options: SweepOptions
    progress: SweepProgress


def _one(made: Sweep, work: _Work, arm: str, number: int, total: int) -> None:
    """Make one unit, or read it where it is made already."""
    name = unit_name(arm, work.seed)
    training, file = _places(made.home, arm, work.seed)
    done = _done_before(made.home, work, arm)
    if done is None:
        work.progress.unit(name, number, total, "")
        try:
            done = _make(made, work, arm, training)
        except HaluevalError as error:
            if is_fatal(error, training):
                raise
            made.failures.append(Failure(arm, work.seed, str(error)))
            return
        write_unit(file, done)
    else:
        work.progress.unit(name, number, total, "done before")
    if not work.options.keep_weights:
        drop_weights(training)
    made.units.append(done)


def _places(home: Path, arm: str, seed: int) -> tuple[Path, Path]:
    """Directory of a unit's training, and its file."""
    name = unit_name(arm, seed)
    return home / "training" / name, home / "units" / f"{name}.json"


def _make(made: Sweep, work: _Work, arm: str, training: Path) -> Unit:
    record = finetune(
        work.prepared.recipe,
        made.study.model,
        training,
        seed=work.seed,
        device=work.options.device,
        allow_overlap=work.options.allow_overlap,
        registry=work.registry,
        progress=work.progress.training(),
        trust_remote_code=work.options.trust_remote_code,
    )
    if not record.checkpoints:
        raise TrainingError(f"{training}: the training left no checkpoint to evaluate")
    steps, runs = evaluate_checkpoints(record, work.registry, work.evaluator.run, made.home)
    return Unit(
        arm=arm,
        seed=work.seed,
        identity=_identity(work),
        steps=steps,
        runs=runs,
        weights_sha256=record.weights_sha256,
        best_step=record.best_step,
        stopped_early=record.stopped_early,
        seconds=float(record.document["seconds"]),
        examples=record.examples,
    )


def _done_before(home: Path, work: _Work, arm: str) -> Unit | None:
    """A unit that is made already; raises UsageError where it is one of other tasks or facts."""
    training, file = _places(home, arm, work.seed)
    done = read_unit(file)
    if done is not None and done.identity != _identity(work):
        raise UsageError(
            f"{file}: a unit that was evaluated on other tasks or facts; delete it and {training}, or choose another "
            "--output"
        )
    return done


def _identity(work: _Work) -> str:
    tasks = {one.task.task: [one.data.sha256, one.limit] for one in work.evaluator.tasks}
    evaluated = {"tasks": tasks, "checkpoint_every": work.prepared.recipe.checkpoint_every}
    return unit_identity(replace(work.prepared, seed=work.seed), evaluated)
