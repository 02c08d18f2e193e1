"""General text from a task's documents, for arms that keep a model at what it could do."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from halueval.dataset import load_data
from halueval.errors import DataError, UsageError
from halueval.finetune.arms.base import Arm, Settings
from halueval.finetune.data import DataContext
from halueval.finetune.examples import Example
from halueval.finetune.recipe import Recipe
from halueval.prompt import build_samples
from halueval.schema import OutputType


class GeneralSettings(Settings):
    """Where general text comes from.

    Attributes:
        task: a language modelling task; its documents that will be evaluated are left out.
        words: of each document, from its beginning; short texts keep batches as cheap as those of the facts.
    """

    task: str = "xsum_documents"
    words: int = Field(30, ge=1)


def general_texts(
    settings: GeneralSettings, count: int, context: DataContext, draw: random.Random, origin: str
) -> list[Example]:
    """So many texts, each learnt whole.

    Raises:
        UsageError: not a task of documents.
        DataError: there are not so many that will not be evaluated.
    """
    task = context.registry.task(settings.task)
    if task.output_type is not OutputType.LOGLIKELIHOOD_ROLLING:
        raise UsageError(
            f"task {task.task} is {task.output_type.value}; general text needs loglikelihood_rolling, as xsum_documents"
        )
    data = load_data(task, base=task.directory or Path())
    free = []
    for sample in build_samples(task, data, num_fewshot=0, seed=0, limit=None):
        whole = Example(prompt="", completion=sample.target, origin=origin, doc_hash=sample.doc_hash)
        if sample.target.strip() and context.protected.task_of(whole) is None:
            free.append(whole)
    if len(free) < count:
        raise DataError(
            f"task {task.task}: {count} documents are wanted as general text, and there are {len(free)} that will not "
            "be evaluated"
        )
    return [replace(text, completion=first_words(text.completion, settings.words)) for text in draw.sample(free, count)]


def first_words(text: str, count: int) -> str:
    """The beginning of a text up to so many words, its spacing as it is."""
    found = re.match(rf"\s*(?:\S+\s+){{0,{count - 1}}}\S+", text)
    return found.group().lstrip() if found else text.strip()


class ReplaySettings(GeneralSettings):
    """`share` of the examples that are general text, in (0, 1): 0.2 adds one text to four examples."""

    share: float = Field(0.2, gt=0, lt=1)


class Replay(Arm):
    """Mixes in general text, against forgetting (Robins 1995; for language models Scialom et al. 2022).

    The loss over a text is over all of its tokens. Where batches are by length, texts and facts stand in batches of
    their own, in random order.
    """

    name = "replay"
    about = "mixes general text into the training data (Scialom et al. 2022)"
    settings_type = ReplaySettings
    architectures = frozenset({"causal"})

    def prepare_data(
        self, examples: Sequence[Example], recipe: Recipe, context: DataContext, draw: random.Random
    ) -> list[Example]:
        """The examples and behind them the texts."""
        share = self.settings.share
        count = max(1, round(len(examples) * share / (1 - share)))
        return [*examples, *general_texts(self.settings, count, context, draw, f"{self.name}:{self.settings.task}")]
