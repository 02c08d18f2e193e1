"""The arm with wider data: each fact asked in several wordings."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from halueval.errors import DataError, UsageError
from halueval.finetune.arms.base import Arm, Settings
from halueval.finetune.data import DataContext
from halueval.finetune.examples import Example
from halueval.finetune.recipe import Recipe

FRAMES = (
    "Please answer this question. {question}",
    "Here is a question for you: {question}",
    "{question} Answer in a few words.",
    "Quiz: {question}",
    "Can you tell me this? {question}",
)
"""Hold any question."""

FORMS = (
    (
        re.compile(r"What is the (?P<what>.+?) of (?P<whom>.+)\?"),
        ("Name the {what} of {whom}.", "Do you know the {what} of {whom}?", "Tell me the {what} of {whom}."),
    ),
    (
        re.compile(r"Who (?P<did>wrote|painted|composed) (?P<what>.+)\?"),
        ("Name the person who {did} {what}.", "Tell me who {did} {what}.", "{what}: who {did} it?"),
    ),
)
"""Questions of a form that can be turned."""


class WordingSettings(Settings):
    """How facts are asked anew.

    Attributes:
        copies: further wordings of each fact, beside its own.
        frames: sentences of one's own that hold `{question}`; they take the place of the built-in ones.
    """

    copies: int = Field(2, ge=1)
    frames: list[str] = Field(default=[])


class Paraphrase(Arm):
    """Asks each fact in several wordings; a fact that is met in one alone is learnt by rote (Allen-Zhu & Li 2023)."""

    name = "paraphrase"
    about = "asks each fact in several wordings (Allen-Zhu & Li 2023)"
    settings_type = WordingSettings
    architectures = frozenset({"causal", "seq2seq"})

    def check(self, recipe: Recipe) -> None:
        """Refuse frames that do not hold the question, and more copies than there are frames."""
        super().check(recipe)
        for frame in self.settings.frames:
            if frame.count("{question}") != 1:
                raise UsageError(
                    f"recipe {recipe.name}: mitigation {self.name}: frame {frame!r} must hold {{question}} once"
                )
        if self.settings.copies > len(self._frames):
            raise UsageError(
                f"recipe {recipe.name}: mitigation {self.name}: {self.settings.copies} copies are wanted, and there "
                f"are {len(self._frames)} wordings; write further ones under frames"
            )

    @property
    def _frames(self) -> Sequence[str]:
        return self.settings.frames or FRAMES

    def prepare_data(
        self, examples: Sequence[Example], recipe: Recipe, context: DataContext, draw: random.Random
    ) -> list[Example]:
        """Each example, and behind it its other wordings."""
        out = []
        for example in examples:
            if not example.question or example.question not in example.prompt:
                raise DataError(
                    f"recipe {recipe.name}: mitigation {self.name} rewords questions, and the prompt "
                    f"{example.prompt[:40]!r} does not hold a question that it knows of (data.question names it)"
                )
            wordings = draw.sample(self._wordings(example.question), self.settings.copies)
            out.append(example)
            for wording in wordings:
                before, _, after = example.prompt.rpartition(example.question)
                out.append(replace(example, prompt=before + wording + after, question=wording))
        return out

    def _wordings(self, question: str) -> list[str]:
        own = [frame.replace("{question}", question) for frame in self._frames]
        return own if self.settings.frames else [*own, *turned(question)]


def turned(question: str) -> list[str]:
    """A question in other words; none where it is of no form that can be turned."""
    for form, wordings in FORMS:
        found = form.fullmatch(question)
        if found:
            return [_capital(wording.format(**found.groupdict())) for wording in wordings]
    return []


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
