"""Mitigations by name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from halueval.errors import ConfigError, UsageError, nearest
from halueval.finetune.arms.adversarial import R3F, FreeLB
from halueval.finetune.arms.base import Arm
from halueval.finetune.arms.general import Replay
from halueval.finetune.arms.kl import KLToBase
from halueval.finetune.arms.known import DropUnknown, RelabelUnknown
from halueval.finetune.arms.layers import FreezeLower, GradualUnfreezing
from halueval.finetune.arms.neftune import Neftune
from halueval.finetune.arms.wording import Paraphrase
from halueval.finetune.data import DataContext
from halueval.finetune.examples import Example
from halueval.finetune.recipe import Recipe

ARMS: dict[str, type[Arm]] = {
    arm.name: arm
    for arm in (
        DropUnknown,
        RelabelUnknown,
        Paraphrase,
        Replay,
        FreeLB,
        KLToBase,
        FreezeLower,
        GradualUnfreezing,
        Neftune,
        R3F,
    )
}
"""In the order in which they are at work, whatever order a recipe names them in.

FreeLB takes the place of the loss that others add to. The base is copied before noise is put on the embeddings, and
what is unfrozen step by step is told after what stays frozen. Texts are added to the facts that are left.
"""


def build_arms(recipe: Recipe) -> list[Arm]:
    """The mitigations of a recipe, in the order of `ARMS`, checked against it.

    Raises:
        UsageError: no mitigation of that name, one twice, or one that does not fit the recipe or its neighbours.
        ConfigError: an unknown key of a mitigation (with the nearest valid one), or a value that does not fit.
    """
    arms: list[Arm] = []
    for wanted in recipe.mitigation:
        if wanted.name not in ARMS:
            raise UsageError(f"recipe {recipe.name}: unknown mitigation {wanted.name!r}{nearest(wanted.name, ARMS)}")
        if any(arm.name == wanted.name for arm in arms):
            raise UsageError(f"recipe {recipe.name}: mitigation {wanted.name} stands there twice; leave one out")
        arm = ARMS[wanted.name](_settings(ARMS[wanted.name], wanted.settings, recipe))
        arm.check(recipe)
        arms.append(arm)
    if sum(type(arm).parameter_groups is not Arm.parameter_groups for arm in arms) > 1:
        raise UsageError(f"recipe {recipe.name}: two mitigations set learning rates; leave one out")
    order = list(ARMS)
    return sorted(arms, key=lambda arm: order.index(arm.name))


def _settings(arm: type[Arm], given: dict[str, Any], recipe: Recipe) -> Any:
    try:
        return arm.settings_type.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = f"recipe {recipe.name}: mitigation {arm.name}"
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(key, arm.settings_type.model_fields)}") from error
        raise ConfigError(f"{where}: {key}: {first['msg']} (given {first['input']!r})") from error


def prepare_data(
    arms: Sequence[Arm], examples: Sequence[Example], recipe: Recipe, context: DataContext
) -> list[Example]:
    """Training examples as all mitigations leave them, one after the other."""
    changed = list(examples)
    for arm in arms:
        draw = random.Random(f"{arm.name}:{recipe.data_seed}")  # noqa: S311  (reproducible draw, no secret)
        changed = arm.prepare_data(changed, recipe, context, draw)
    return changed
