"""What `halueval sweep` does beside sweeping: say what would be done, and turn what was done into a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from halueval.sweep.learnt import learnt_over
from halueval.sweep.record import SweepRecord, build_record
from halueval.sweep.run import Sweep, SweepOptions, plan
from halueval.sweep.spec import Study, arm_recipe


def describe(study: Study, options: SweepOptions) -> Iterator[str]:
    """Lines that say what would be trained and evaluated.

    Raises:
        UsageError, ConfigError, DataError: a study that cannot be right.
    """
    planned = plan(study, options)
    yield f"{study.name}: {len(planned.prepared)} arms × {len(study.seeds)} seeds on {planned.base.spec.name}"
    for name, one in planned.prepared.items():
        every = one.recipe.checkpoint_every or one.num_steps
        yield (
            f"  {name}: {len(one.training)} examples, {one.num_steps} steps, a checkpoint every {every}, "
            f"{one.recipe.method}"
        )
    for name, reason in planned.unusable.items():
        yield f"  {name}: cannot be trained: {reason}"
    shown = ", ".join(one.task.task + ("" if one.limit is None else f":{one.limit}") for one in planned.tasks)
    facts = planned.facts
    yield f"  each checkpoint is asked {len(facts.facts)} trained facts, and {shown}"
    if facts.left_out:
        yield f"  {learnt_over(len(facts.facts), facts.of, facts.left_out)}"


def measure(made: Sweep, options: SweepOptions) -> SweepRecord:
    """The record of a sweep; raises DataError where nothing was finished."""
    about: dict[str, Mapping[str, Any]] = {}
    for arm in made.study.arms:
        recipe = arm_recipe(made.study, arm, options.include_path)
        about[arm.name] = {
            "recipe": recipe.name,
            "about": recipe.about,
            "mitigation": [mitigation.name for mitigation in recipe.mitigation],
            "method": recipe.method,
        }
    return build_record(made, about)
