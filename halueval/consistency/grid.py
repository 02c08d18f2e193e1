"""Scorers that hold each sentence of a claim against each piece of its source.

What they share: texts are split, every piece of the source meets every sentence of the claim, a sentence's value
comes from its column, and the claim's from its sentences. They differ in how they split, what they ask of the
model, and how they put values together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, TypedDict

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.labels import Role
from halueval.consistency.local_model import Scored
from halueval.consistency.pair_classifier import PairClassifier
from halueval.schema import FailedResponse

GROUP = 64
"""Pairs whose items are sorted by length together."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A pair, split.

    Attributes:
        chunks: pieces of the source, in order.
        sentences: of the claim, in order.
        unseen: tokens of the source that are in no piece.
        reason: why there is nothing to score, where either side is empty.
        details: figures of the split that go into the verdict.
    """

    chunks: tuple[str, ...]
    sentences: tuple[str, ...]
    unseen: int = 0
    reason: str | None = None
    details: Mapping[str, float] = field(default_factory=dict)


class GridScorer(ConsistencyScorer):
    """Sentences against pieces; a claim has a value only where each of its sentences has one."""

    cost = "model"
    group = GROUP

    @abstractmethod
    def grid(self, pair: Pair) -> Grid:
        """Split a pair."""

    @abstractmethod
    def ask(self, items: Sequence[tuple[str, str]]) -> list[Scored | FailedResponse]:
        """What the model says of each piece and sentence, in order."""

    @abstractmethod
    def sentence_value(self, column: Sequence[tuple[float, ...]]) -> float:
        """A sentence's value from the class probabilities that each piece gave it."""

    @abstractmethod
    def claim_value(self, values: Sequence[float]) -> float:
        """A claim's value from its sentences'."""

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """Score pairs, a group of them at a time."""
        out: list[Verdict] = []
        for start in range(0, len(pairs), GROUP):
            grids = [self.grid(pair) for pair in pairs[start : start + GROUP]]
            items = [(chunk, sentence) for grid in grids for sentence in grid.sentences for chunk in grid.chunks]
            answers = iter(self.ask(items) if items else [])
            out += [self._verdict(grid, answers) for grid in grids]
            advance(len(grids))
        return out

    def _verdict(self, grid: Grid, answers: Iterator[Scored | FailedResponse]) -> Verdict:
        columns = [list(islice(answers, len(grid.chunks))) for _ in grid.sentences]
        if grid.reason is not None:
            return Verdict.unscored(grid.reason)
        cuts = [max(_cut(column[i]) for column in columns) for i in range(len(grid.chunks))]
        sentences = tuple(self._sentence(text, column) for text, column in zip(grid.sentences, columns, strict=True))
        values = [sentence.value for sentence in sentences if sentence.value is not None]
        truncated = grid.unseen + sum(cuts)
        if len(values) < len(sentences):
            reason = next(sentence.reason for sentence in sentences if sentence.value is None)
            return Verdict(None, reason, sentences, truncated, grid.details)
        return Verdict(self.claim_value(values), None, sentences, truncated, grid.details)

    def _sentence(self, text: str, column: Sequence[Scored | FailedResponse]) -> SentenceScore:
        failed = next((answer.reason for answer in column if isinstance(answer, FailedResponse)), None)
        if failed is not None:
            return SentenceScore(text, None, failed)
        return SentenceScore(
            text, self.sentence_value([answer.probabilities for answer in column if isinstance(answer, Scored)])
        )


def _cut(answer: Scored | FailedResponse) -> int:
    return answer.truncated if isinstance(answer, Scored) else 0


class ClassifierOptions(TypedDict, total=False):
    """Options of every `ClassifierScorer` but the model; see there."""

    device: str
    dtype: str
    batch_size: int | None
    labels: str | Sequence[str] | None
    max_length: int | None


class ClassifierScorer(GridScorer):
    """A grid whose model is a sequence-classification model over pairs.

    A subclass may set `longest_pair`, the published `max_length` where none is given (None is the model's window), and
    `needed`, the roles that it asks of the head. Where the model's configuration does not name these, no pair has a
    value.

    Args:
        model: directory with safetensors, hub id, or name of a model card.
        device: `auto`, `cpu`, `cuda`, `cuda:0` … or `mps`.
        dtype: `float32`, `bfloat16`, `float16` or `auto`.
        batch_size: pairs of a pass; None for as many as a budget of tokens holds.
        labels: what the head's outputs mean, in their order (`entailment,neutral,contradiction`), where the model's
            configuration does not say.
        max_length: tokens of a pair at most; None for `longest_pair`.
    """

    longest_pair: ClassVar[int | None] = None
    needed: ClassVar[tuple[Role, ...]] = ("entailment",)

    def __init__(
        self,
        model: str | None = None,
        *,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int | None = None,
        labels: str | Sequence[str] | None = None,
        max_length: int | None = None,
    ) -> None:
        self.classifier = PairClassifier(
            model,
            scorer=self.name,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            labels=labels,
            max_length=self.longest_pair if max_length is None else max_length,
        )

    def unusable(self) -> str | None:
        """Which of the needed outputs the head does not have by its configuration, and what to write."""
        return self.classifier.lacks(*self.needed)

    def ask(self, items: Sequence[tuple[str, str]]) -> list[Scored | FailedResponse]:
        """Class probabilities, in the order of the classifier's roles."""
        return self.classifier.probabilities(items)

    def entailment(self, probabilities: tuple[float, ...]) -> float:
        """P(entailment) of one pair."""
        return probabilities[self.classifier.roles.index("entailment")]

    def mean(self, values: Sequence[float]) -> float:
        """The arithmetic mean."""
        return sum(values) / len(values)

    @property
    def model_name(self) -> str:
        """Of the card, directory or hub id."""
        return self.classifier.local.spec().name

    def identity(self) -> dict[str, str | int]:
        """Name, version, the classifier's identity, and that its outputs are of no use, where they are."""
        unknown = {"outputs": "unknown"} if self.unusable() else {}
        return {**super().identity(), **self.classifier.identity(), **unknown}
