"""The arm that keeps predictions near those of the base."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from halueval.errors import UsageError
from halueval.finetune.arms.base import Arm, Encode
from halueval.finetune.arms.general import GeneralSettings, general_texts
from halueval.finetune.data import DataContext
from halueval.finetune.examples import Example, examples_sha256
from halueval.finetune.recipe import Recipe

if TYPE_CHECKING:
    import torch


class KLSettings(GeneralSettings):
    """Of the divergence from the base.

    Attributes:
        weight: of the divergence beside the loss.
        direction: which distribution is the first: `base-to-model` is KL(base ‖ model), which asks the model to keep
            probability wherever the base had it; `model-to-base` is KL(model ‖ base).
        over: `answers`, the target tokens of the batch, or `general`, texts that are not learnt.
        texts: how many general texts there are, where they are used.
        batch: how many of them a step takes.
    """

    weight: float = Field(0.5, gt=0)
    direction: Literal["base-to-model", "model-to-base"] = "base-to-model"
    over: Literal["answers", "general"] = "answers"
    texts: int = Field(64, ge=1)
    batch: int = Field(4, ge=1)


class KLToBase(Arm):
    """Adds the mean divergence from the base's predictions a token (Li & Hoiem 2016; Kalajdzievski 2024).

    The base is held beside the model without gradients; where adapters are trained, it is the same weights with the
    adapters switched off. Costs a second pass, and for full fine-tuning the base's weights once more.
    """

    name = "kl-to-base"
    about = "keeps predictions near the base's (Li & Hoiem 2016)"
    settings_type = KLSettings
    architectures = frozenset({"causal", "seq2seq", "classifier"})
    changes_loss = True

    def __init__(self, settings: KLSettings) -> None:
        super().__init__(settings)
        self.examples: list[Example] = []
        self.features: list[dict[str, Any]] = []
        self.base: Any = None
        self.pad = self.step = 0
        self.general_due = True

    def check(self, recipe: Recipe) -> None:
        """Refuse general text for models that do not continue text."""
        super().check(recipe)
        self.autocast = recipe.precision == "bfloat16-autocast"
        if self.settings.over == "general" and recipe.architecture != "causal":
            raise UsageError(
                f"recipe {recipe.name}: mitigation {self.name}: over: general needs a causal model; write over: answers"
            )

    def prepare_data(
        self, examples: Sequence[Example], recipe: Recipe, context: DataContext, draw: random.Random
    ) -> list[Example]:
        """Read the general texts; the examples stay as they are."""
        if self.settings.over == "general":
            self.examples = general_texts(self.settings, self.settings.texts, context, draw, self.name)
        return list(examples)

    def data_sha256(self) -> str | None:
        """Digest of the general texts."""
        return examples_sha256(self.examples) if self.examples else None

    def prepare_texts(self, encode: Encode, pad: int) -> None:
        """Encode the general texts."""
        self.features, self.pad = encode(self.examples) if self.examples else [], pad

    def prepare_model(self, model: Any) -> None:
        """Keep a copy of the base, unless the adapters can be switched off."""
        if hasattr(model, "disable_adapter"):
            return
        self.base = copy.deepcopy(model).eval().requires_grad_(False)

    def before_step(self, step: int, total: int) -> None:
        """Choose the general texts of the step; they go beside the first of its batches."""
        self.step, self.general_due = step, True

    def loss(
        self, model: Any, inputs: dict[str, Any], outputs: Any, loss: torch.Tensor, *, num_items: torch.Tensor | None
    ) -> torch.Tensor:
        """The loss and `weight` times the divergence."""
        from halueval.finetune.arms import targets

        if self.settings.over == "general":
            if not self.general_due:
                return loss
            self.general_due = False
            inputs, num_items = self._general(inputs["input_ids"].device), None
            outputs = model(**{key: value for key, value in inputs.items() if key != "labels"})
        shifted = targets.predicts_next(model)
        ours, _ = targets.target_logits(outputs.logits, inputs["labels"], shifted=shifted)
        theirs, _ = targets.target_logits(self._base_logits(model, inputs), inputs["labels"], shifted=shifted)
        pair = (theirs, ours) if self.settings.direction == "base-to-model" else (ours, theirs)
        weight: float = self.settings.weight
        return loss + weight * targets.per_target(targets.divergence(*pair), len(ours), num_items)

    def _base_logits(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        import torch

        fed = {key: value for key, value in inputs.items() if key != "labels"}
        device = inputs["input_ids"].device.type
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=self.autocast):
            if self.base is not None:
                found: torch.Tensor = self.base(**fed).logits
                return found
            training = model.training
            model.eval()
            try:
                with model.disable_adapter():
                    found = model(**fed).logits
            finally:
                model.train(training)
            return found

    def _general(self, device: torch.device) -> dict[str, Any]:
        from halueval.finetune.collate import Collator

        count = len(self.features)
        start = self.step * self.settings.batch
        chosen = [self.features[(start + i) % count] for i in range(min(self.settings.batch, count))]
        return {key: value.to(device) for key, value in Collator(self.pad)(chosen).items()}
