"""What a sweep is to do, checked before a model is loaded or anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from halueval.backends.loading import LocatedModel
from halueval.errors import HaluevalError, UsageError
from halueval.finetune.prepare import Prepared, prepare
from halueval.finetune.recipe import Recipe
from halueval.registry import Registry
from halueval.source import Progress
from halueval.sweep.evaluate import EvalTask, load_tasks
from halueval.sweep.labels import StudyLabels, study_labels
from halueval.sweep.learnt import LEARNT, ScoredFacts, asked, shared_facts
from halueval.sweep.spec import Study, arm_recipe, refuse_other_data
from halueval.sweep.unit import is_fatal


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
