"""What is found out and checked before a model is loaded: base, examples, overlap, identity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halueval.backends.devices import resolve_device
from halueval.backends.loading import LocatedModel, locate
from halueval.config import ModelSpec
from halueval.errors import DataError, UsageError
from halueval.finetune.arms.base import Arm
from halueval.finetune.arms.catalog import build_arms, prepare_data
from halueval.finetune.data import DataContext, build_examples, split_development
from halueval.finetune.examples import Example, examples_sha256
from halueval.finetune.overlap import Protected, check_overlap, read_evaluations, refuse_overlap
from halueval.finetune.recipe import Recipe
from halueval.registry import Registry
from halueval.source import Progress


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known before a model is loaded.

    `facts` are the training examples before mitigations; `overlapping` counts examples for training and development
    that are evaluated too.
    """

    recipe: Recipe
    located: LocatedModel
    facts: Sequence[Example]
    training: Sequence[Example]
    development: Sequence[Example]
    overlapping: int
    arms: Sequence[Arm]
    device: str
    seed: int

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole training, where no example is dropped for its length and nothing stops it."""
        batches = math.ceil(len(self.training) / self.recipe.batch_size)
        return math.ceil(batches / self.recipe.gradient_accumulation) * self.recipe.epochs

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two fine-tunings the same."""
        base = self.located.identity("float32")
        fed = {arm.name: digest for arm in self.arms if (digest := arm.data_sha256()) is not None}
        return {
            "base": {
                "weights_sha256": base.weights_sha256,
                "config_sha256": base.config_sha256,
                "tokenizer_sha256": base.tokenizer_sha256,
                "adapter_sha256": base.adapter_sha256,
            },
            "recipe_hash": self.recipe.hash,
            "data_sha256": examples_sha256(self.training),
            "development_sha256": examples_sha256(self.development),
            **({"mitigation_data_sha256": fed} if fed else {}),
            "seed": self.seed,
            "device": self.device.partition(":")[0],
        }


def prepare(
    recipe: Recipe,
    model: str | ModelSpec | None,
    registry: Registry,
    seed: int | None,
    device: str,
    allow_overlap: bool,
    fetch_progress: Progress | None,
) -> Prepared:
    """Find the base, build the examples, and refuse what must not be trained on; arguments as of `finetune`.

    Raises:
        UsageError, DataError, ModelError, SourceError: as `finetune`; nothing has been written yet.
    """
    arms = build_arms(recipe)
    spec = _spec(recipe, model, registry)
    located = locate(spec, adapter=None, progress=fetch_progress)
    if located.architecture != recipe.architecture:
        raise UsageError(
            f"recipe {recipe.name} trains a {recipe.architecture} model, and {spec.name} is {located.architecture}"
        )
    protected = Protected(read_evaluations(recipe.evaluate, registry))
    directory = recipe.directory or Path()
    # Rows that are evaluated are left out of draws unless overlap is wanted.
    drawn_from = Protected([]) if allow_overlap else protected
    base = located.identity("float32")
    context = DataContext(
        registry, spec.name, base.weights_sha256, drawn_from, directory, base_adapter_sha256=base.adapter_sha256
    )
    examples = build_examples(recipe, context)
    facts, development = split_development(examples, recipe, directory)
    training = prepare_data(arms, facts, recipe, context)
    if not training:
        raise DataError(f"recipe {recipe.name}: its mitigations leave no training examples")
    overlapping, chosen_by = check_overlap(training, protected), check_overlap(development, protected)
    if not allow_overlap:
        refuse_overlap(overlapping, len(training))
        refuse_overlap(chosen_by, len(development), "development")
        refuse_overlap(check_overlap(training, _held_back(development)), len(training))
    return Prepared(
        recipe=recipe,
        located=located,
        facts=facts,
        training=training,
        development=development,
        overlapping=len(overlapping) + len(chosen_by),
        arms=arms,
        device=resolve_device(device),
        seed=recipe.seed if seed is None else seed,
    )


def _held_back(development: Sequence[Example]) -> Protected:
    return Protected([], [("the development part", example.question or example.prompt) for example in development])


def _spec(recipe: Recipe, model: str | ModelSpec | None, registry: Registry) -> ModelSpec:
    if isinstance(model, ModelSpec):
        return model
    name = model or recipe.model
    if name is None:
        raise UsageError(f"recipe {recipe.name} names no model; give one with --model")
    return registry.model(name)
