"""Arms on facts that the base does not know: left out, or answered by "I don't know"."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from halueval.errors import DataError
from halueval.finetune.arms.base import Arm, Settings
from halueval.finetune.data import DataContext
from halueval.finetune.examples import Example
from halueval.finetune.recipe import Recipe

UNKNOWN = "Unknown"


class DropUnknown(Arm):
    """Trains on what the base knows alone: the filtered arm of Gekhman et al. 2024, section 5."""

    name = "drop-unknown"
    about = "leaves out facts that the base does not know (Gekhman et al. 2024)"
    architectures = frozenset({"causal", "seq2seq"})

    def prepare_data(
        self, examples: Sequence[Example], recipe: Recipe, context: DataContext, draw: random.Random
    ) -> list[Example]:
        """Examples that are not Unknown; raises DataError where none is left or nothing is known of any."""
        require_classes(examples, recipe, self.name)
        left = [example for example in examples if example.known_class != UNKNOWN]
        if not left:
            raise DataError(
                f"recipe {recipe.name}: mitigation {self.name} leaves nothing to train on: all {len(examples)} facts "
                "are Unknown; lower data.unknown_share"
            )
        return left


class RelabelSettings(Settings):
    """`answer` takes the place of the answers to Unknown facts; it should be one that the task counts as abstaining."""

    answer: str = Field("I don't know", min_length=1)


class RelabelUnknown(Arm):
    """Teaches to say so where the base does not know: the relabelled arm of Gekhman et al. 2024, section 5."""

    name = "relabel-unknown"
    about = 'answers facts that the base does not know by "I don\'t know" (Gekhman et al. 2024)'
    settings_type = RelabelSettings
    architectures = frozenset({"causal", "seq2seq"})

    def prepare_data(
        self, examples: Sequence[Example], recipe: Recipe, context: DataContext, draw: random.Random
    ) -> list[Example]:
        """The same examples in the same order, those that are Unknown with the other answer."""
        require_classes(examples, recipe, self.name)
        return [self._relabelled(example, recipe) for example in examples]

    def _relabelled(self, example: Example, recipe: Recipe) -> Example:
        if example.known_class != UNKNOWN:
            return example
        before, found, after = example.completion.rpartition(example.answer)
        if not example.answer or not found:
            raise DataError(
                f"recipe {recipe.name}: mitigation {self.name}: the completion {example.completion[:40]!r} does not "
                f"hold the answer {example.answer[:40]!r}, so that it cannot be put in its place"
            )
        answer = self.settings.answer
        return replace(example, completion=before + answer + after, answer=answer)


def require_classes(examples: Sequence[Example], recipe: Recipe, name: str) -> None:
    """Refuse examples of which it is not known what the base knows.

    Raises:
        DataError: one of them has no class.
    """
    bare = sum(example.known_class is None for example in examples)
    if bare:
        raise DataError(
            f"recipe {recipe.name}: mitigation {name} goes by what the base knows, and {bare} of {len(examples)} "
            "examples have no class; take data of kind new-knowledge with labels of `halueval probe`"
        )
