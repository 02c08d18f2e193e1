"""The sweep itself: a base, its arms and seeds, one after the other; what was done is not done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from halueval.api import check_writable
from halueval.backends.loading import LocatedModel
from halueval.errors import HaluevalError, TrainingError, UsageError
from halueval.finetune.prepare import Prepared, prepare
from halueval.finetune.progress import TrainingProgress
from halueval.finetune.recipe import Recipe
from halueval.finetune.train import finetune
from halueval.job import Observer, RunSettings
from halueval.registry import Registry
from halueval.source import Progress
from halueval.store import Run, load_run
from halueval.sweep.evaluate import EvalTask, Evaluator, load_tasks
from halueval.sweep.labels import StudyLabels, study_labels
from halueval.sweep.learnt import LEARNT, ScoredFacts, asked, shared_facts, write_learnt_task
from halueval.sweep.spec import Study, arm_recipe, refuse_other_data
from halueval.sweep.unit import (
    Failure,
    Unit,
    drop_weights,
    evaluate_checkpoints,
    is_fatal,
    read_unit,
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


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """What a command line can say of a sweep beside its study.

    Attributes:
        output: directory of the sweep.
        device: auto, cpu, cuda or mps.
        keep_weights: keep the weights of units that were evaluated.
        allow_overlap: train although items are also evaluated.
        include_path: directories with further models, tasks and recipes.
        trust_remote_code: run Python code that comes with a model.
    """

    output: Path
    device: str = "auto"
    keep_weights: bool = False
    allow_overlap: bool = False
    include_path: tuple[Path, ...] = ()
    trust_remote_code: bool = False


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


@dataclass(frozen=True, slots=True)
class Plan:
    """A study that was checked.

    Attributes:
        prepared: what each arm is trained on; `seed` is not yet the right one.
        unusable: arms that cannot be trained, with reasons.
        facts: what the in-task score is over.
        tasks: what is evaluated, without the trained facts.
        base: the model.
        labels: what the base knew, where the study names a file.
    """

    prepared: Mapping[str, Prepared]
    unusable: Mapping[str, str]
    facts: ScoredFacts
    tasks: Sequence[EvalTask]
    base: LocatedModel
    labels: StudyLabels | None


def plan(study: Study, options: SweepOptions, fetch_progress: Progress | None = None) -> Plan:
    """Read everything that a sweep depends on, without loading a model or writing anything.

    Raises:
        UsageError, ConfigError, DataError: a study that cannot be right.
    """
    registry = Registry(options.include_path)
    recipes = {arm.name: arm_recipe(study, arm, options.include_path) for arm in study.arms}
    refuse_other_data(study, recipes)
    tasks = load_tasks(study.tasks, registry, fetch_progress)
    _refuse_tasks(study, tasks)
    prepared, unusable = _prepare_all(study, recipes, registry, options, fetch_progress)
    if not prepared:
        raise UsageError(f"study {study.name}: no arm can be trained: {next(iter(unusable.values()))}")
    base = next(iter(prepared.values())).located
    return Plan(prepared, unusable, shared_facts(prepared), tasks, base, study_labels(study, base, tasks))


def _sweep(study: Study, options: SweepOptions, progress: SweepProgress, fetch_progress: Progress | None) -> Sweep:
    planned = plan(study, options, fetch_progress)
    registry, home = Registry(options.include_path), options.output
    learnt = write_learnt_task(home / "tasks", planned.facts.facts, study.max_new_tokens)
    evaluator = Evaluator(
        planned.base,
        [*load_tasks([str(learnt)], registry), *planned.tasks],
        RunSettings(output=home / "results"),
        device=options.device,
        observer=progress.observer(),
        trust_remote_code=options.trust_remote_code,
    )
    made = Sweep(study, evaluator.run(planned.base), planned.facts, home, planned.labels)
    total = len(study.arms) * len(study.seeds)
    for number, (arm, seed) in enumerate(((a.name, s) for a in study.arms for s in study.seeds), 1):
        if arm in planned.prepared:
            work = _Work(planned.prepared[arm], seed, evaluator, registry, options, progress)
            _one(made, work, arm, number, total)
        else:
            made.failures.append(Failure(arm, seed, planned.unusable[arm]))
            progress.unit(unit_name(arm, seed), number, total, f"cannot be trained: {planned.unusable[arm]}")
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


def _prepare_all(
    study: Study,
    recipes: Mapping[str, Recipe],
    registry: Registry,
    options: SweepOptions,
    fetch_progress: Progress | None,
) -> tuple[dict[str, Prepared], dict[str, str]]:
    """What each arm is trained on, and the reasons of those that cannot be."""
    prepared: dict[str, Prepared] = {}
    unusable: dict[str, str] = {}
    for name, recipe in recipes.items():
        try:
            found = prepare(recipe, study.model, registry, 0, options.device, options.allow_overlap, fetch_progress)
        except HaluevalError as error:
            if is_fatal(error):
                raise
            unusable[name] = str(error)
            continue
        if not asked(found):
            unusable[name] = (
                f"recipe {recipe.name}: none of its {len(found.facts)} facts is left to be learnt as it is, so that it "
                "cannot be compared by what is learnt; lower data.unknown_share"
            )
            continue
        every = max(1, -(-found.num_steps // study.checkpoints))
        spaced = recipe.model_copy(update={"checkpoint_every": every, "keep_checkpoints": None})
        prepared[name] = replace(found, recipe=spaced)
    return prepared, unusable


def _one(made: Sweep, work: _Work, arm: str, number: int, total: int) -> None:
    """Make one unit, or read it where it is made already."""
    name = unit_name(arm, work.seed)
    file, training = made.home / "units" / f"{name}.json", made.home / "training" / name
    identity = unit_identity(replace(work.prepared, seed=work.seed), _evaluated(work))
    done = read_unit(file)
    if done is not None and done.identity != identity:
        raise UsageError(
            f"--output {made.home}: holds unit {name} of another study; choose another directory, or delete it there"
        )
    if done is None:
        work.progress.unit(name, number, total, "")
        try:
            done = _make(made, work, arm, identity, training)
        except HaluevalError as error:
            if is_fatal(error):
                raise
            made.failures.append(Failure(arm, work.seed, str(error)))
            return
        write_unit(file, done)
    else:
        work.progress.unit(name, number, total, "done before")
    if not work.options.keep_weights:
        drop_weights(training)
    made.units.append(done)


def _make(made: Sweep, work: _Work, arm: str, identity: str, training: Path) -> Unit:
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
        identity=identity,
        steps=steps,
        runs=runs,
        weights_sha256=record.weights_sha256,
        best_step=record.best_step,
        stopped_early=record.stopped_early,
        seconds=float(record.document["seconds"]),
        examples=record.examples,
    )


def _evaluated(work: _Work) -> dict[str, object]:
    tasks = {one.task.task: [one.data.sha256, one.limit] for one in work.evaluator.tasks}
    return {"tasks": tasks, "checkpoint_every": work.prepared.recipe.checkpoint_every}


def _refuse_tasks(study: Study, tasks: Sequence[EvalTask]) -> None:
    """A sweep needs answers that can be right or wrong, beside those of the trained facts.

    Raises:
        UsageError: names what would be right.
    """
    names = [LEARNT, *(one.task.task for one in tasks)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        also = f" ({LEARNT} is the trained facts' own)" if twice == LEARNT else ""
        raise UsageError(f"study {study.name}: tasks: {twice} stands there twice{also}")
    if not any(one.task.kind.value == "qa" for one in tasks):
        raise UsageError(
            f"study {study.name}: tasks holds none of kind qa, so that hallucination cannot be measured; add one, as "
            "facts_qa:200"
        )
