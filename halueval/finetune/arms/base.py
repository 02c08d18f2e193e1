"""What a mitigation can do to a fine-tuning: a class with hooks, of which each overrides the few that it needs.

The order of the hooks in one fine-tuning:

    check → prepare_data → prepare_texts → prepare_model → parameter_groups → (before_step → loss)* → after_epoch*

What an arm decides during training may depend on the step, the weights, and torch's own random numbers alone: these
are in every checkpoint, so that a training that was killed goes on to the same weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from halueval.errors import UsageError
from halueval.finetune.data import DataContext
from halueval.finetune.encode import Features
from halueval.finetune.examples import Example
from halueval.finetune.recipe import Recipe

if TYPE_CHECKING:
    import torch

Encode = Callable[[Sequence[Example]], list[Features]]
"""Examples to token ids, as the training examples are encoded."""


class Settings(BaseModel):
    """Keys of a mitigation in a recipe, beside its name. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Arm:
    """One mitigation; the hooks of this class do nothing.

    Attributes:
        name: as recipes write it.
        about: one line, with the source of the method.
        settings_type: its keys.
        architectures: of the models that it is for.
        changes_loss: whether `loss` is to be called; the loss is then computed from whole logits.
        settings: values of its keys.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    settings_type: ClassVar[type[Settings]] = Settings
    architectures: ClassVar[frozenset[str]] = frozenset({"causal", "seq2seq", "classifier"})
    changes_loss: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings: Any = settings

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe that this mitigation cannot be part of, before anything is read.

        Raises:
            UsageError: it is for models of another architecture.
        """
        if recipe.architecture not in self.architectures:
            raise UsageError(
                f"recipe {recipe.name}: mitigation {self.name} is for {' and '.join(sorted(self.architectures))} "
                f"models, not for a {recipe.architecture}"
            )

    def prepare_data(
        self, examples: Sequence[Example], recipe: Recipe, context: DataContext, draw: random.Random
    ) -> list[Example]:
        """The training examples, changed; the development part is never handed to a mitigation.

        Args:
            examples: in order.
            recipe: the recipe, whose prompt and completion new examples keep to.
            context: where tasks are looked up, and what must not be trained on.
            draw: seeded by the recipe's `data_seed` and this arm's name, the same for every seed of the training.

        Raises:
            DataError: nothing is left, or what the arm needs to know of the examples is not known.
        """
        return list(examples)

    def prepare_texts(self, encode: Encode, pad: int) -> None:
        """Encode what the arm itself feeds the model; `pad` is the id that fills batches."""

    def prepare_model(self, model: Any) -> None:
        """Change the model before the optimizer is made: freeze, hook, copy."""

    def parameter_groups(self, model: Any, recipe: Recipe) -> list[dict[str, Any]] | None:
        """Groups for the optimizer, each with `params` and the settings that differ; None leaves them as they are."""
        return None

    def before_step(self, step: int, total: int) -> None:
        """Called before every optimizer step: `step` steps of `total` are done."""

    def loss(
        self, model: Any, inputs: dict[str, Any], outputs: Any, loss: torch.Tensor, *, num_items: torch.Tensor | None
    ) -> torch.Tensor:
        """The loss to go down on.

        Args:
            model: in training mode.
            inputs: the batch: ids of shape (batch, length), mask, labels.
            outputs: of the model for the batch, with logits.
            loss: of the batch, the other arms' part included.
            num_items: target tokens of all batches of this optimizer step; what is added is to be a sum over target
                tokens divided by it, so that accumulating gradients changes nothing. None where the loss is a mean
                over the batch.
        """
        return loss

    def after_epoch(self, epoch: int) -> None:
        """Called when so many epochs are done."""

    def data_sha256(self) -> str | None:
        """Digest of what the arm itself feeds the model, part of the fine-tuning's identity; None for nothing."""
        return None
