"""Arms by depth: lower layers frozen, and layer-wise learning rates with gradual unfreezing."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from halueval.errors import ModelError
from halueval.finetune.arms.base import Arm, Settings
from halueval.finetune.recipe import Recipe

Parameters = list[tuple[str, Any]]
"""Names and tensors."""


def by_depth(model: Any) -> list[Parameters]:
    """Parameters from the input upwards: embeddings, each block, and what is above the blocks.

    Blocks are the entries of the outermost lists of modules (of an encoder-decoder both, the encoder's below). What is
    defined before the first list, and every embedding, belongs to the input: an output layer that shares its weight
    with the embedding too.

    Raises:
        ModelError: a model without blocks.
    """
    from torch import nn

    lists = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList) and len(module)]
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    # A list of a single projection, say, is no stack of layers.
    outer = [name for name in outer if len(model.get_submodule(name)) > 1] or outer
    if not outer:
        raise ModelError(f"{type(model).__name__} has no list of layers, so that none can be told lower from higher")
    blocks: dict[str, Parameters] = {
        f"{name}.{i}.": [] for name in outer for i in range(len(model.get_submodule(name)))
    }
    below: Parameters = []
    above: Parameters = []
    seen = False
    for name, parameter in model.named_parameters():
        block = next((prefix for prefix in blocks if name.startswith(prefix)), None)
        if block is not None:
            seen = True
            blocks[block].append((name, parameter))
        elif not seen or isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Embedding):
            below.append((name, parameter))
        else:
            above.append((name, parameter))
    return [below, *blocks.values(), above]


class FreezeSettings(Settings):
    """`share` of the blocks that are frozen, from below, rounded to whole blocks; the embeddings are frozen too."""

    share: float = Field(0.5, gt=0, lt=1)


class FreezeLower(Arm):
    """Keeps the lower layers as they are, where much of what a model knows is stored (Meng et al. 2022)."""

    name = "freeze-lower"
    about = "trains the upper layers alone"
    settings_type = FreezeSettings

    def prepare_model(self, model: Any) -> None:
        """Freeze the embeddings and the lower blocks."""
        depths = by_depth(model)
        count = round(self.settings.share * (len(depths) - 2))
        for parameters in depths[: 1 + count]:
            for _, parameter in parameters:
                parameter.requires_grad_(False)


class GradualSettings(Settings):
    """How learning rates fall with depth, and when layers begin to learn.

    Attributes:
        decay: learning rate of a group over that of the group below it.
        groups: into how many of like size the blocks are put. The method's authors had four groups of layers; with a
            group for each of 30 blocks the lowest would learn at a rate 10^12 times lower.
        unfreeze_share: share of the steps over which groups are unfrozen from above, one after the other in equal
            stretches; 0 trains all from the start.
    """

    decay: float = Field(2.6, ge=1)
    groups: int = Field(4, ge=1)
    unfreeze_share: float = Field(0.5, ge=0, le=1)


class GradualUnfreezing(Arm):
    """Discriminative learning rates with gradual unfreezing: ULMFiT (Howard & Ruder 2018), sections 3.2 and 3.3."""

    name = "ulmfit"
    about = "lower learning rates below, layers unfrozen from above (Howard & Ruder 2018)"
    settings_type = GradualSettings

    def prepare_model(self, model: Any) -> None:
        """Note what can be trained, from above: head and top blocks, lower blocks, embeddings."""
        below, *blocks, above = by_depth(model)
        size = -(-len(blocks) // self.settings.groups)
        # Counted from above, so that a group with fewer blocks is the lowest.
        from_above = blocks[::-1]
        stacks = [from_above[i : i + size] for i in range(0, len(from_above), size)]
        tiers = [[pair for block in stack for pair in block] for stack in stacks]
        tiers = [[*above, *tiers[0]], *tiers[1:], below]
        self.tiers = [[(name, p) for name, p in tier if p.requires_grad] for tier in tiers]
        self.tiers = [tier for tier in self.tiers if tier]

    def parameter_groups(self, model: Any, recipe: Recipe) -> list[dict[str, Any]]:
        """Two groups a tier, with and without weight decay: vectors (biases, norms) have none, as in transformers."""
        groups = []
        for depth, tier in enumerate(self.tiers):
            rate = recipe.learning_rate / self.settings.decay**depth
            for decay, members in (
                (recipe.weight_decay, [p for _, p in tier if p.ndim > 1]),
                (0.0, [p for _, p in tier if p.ndim <= 1]),
            ):
                if members:
                    groups.append({"params": members, "lr": rate, "weight_decay": decay})
        return groups

    def before_step(self, step: int, total: int) -> None:
        """Let as many tiers learn as are due."""
        due = tiers_due(step, total, len(self.tiers), self.settings.unfreeze_share)
        for depth, tier in enumerate(self.tiers):
            for _, parameter in tier:
                parameter.requires_grad_(depth < due)


def tiers_due(step: int, total: int, tiers: int, share: float) -> int:
    """How many tiers learn in the step after `step` of `total`: one at first, all from `share` of the steps on."""
    if share * total <= 0:
        return tiers
    return min(tiers, 1 + int((tiers - 1) * step / (share * total) + 1e-9))
