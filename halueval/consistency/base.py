"""The protocol of consistency scorers: pairs of a source and a claim in, verdicts out.

A scorer sees all pairs at once, so that one with a model can batch them as it likes; a verdict never depends on
the other pairs. Higher is more consistent, whatever the paper's own direction was. What cannot be scored has a
reason and no value: an empty claim or source, a summary beyond the window, a judge that answers nonsense.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from halueval.text import primary_language, unicode_words

Advance = Callable[[int], None]
"""Is told how many more pairs have been scored."""

NO_SOURCE = "no source to check against"
NO_CLAIM = "empty claim"
NO_WORD = "the claim has no word"


@dataclass(frozen=True, slots=True)
class Pair:
    """What is checked, and against what.

    Attributes:
        source: the text that the claim should follow from.
        claim: a summary, an answer or a sentence.
        question: that the claim answers, where it does; scorers of summaries pay it no heed.
        language: tag of both texts.
    """

    source: str
    claim: str
    question: str | None = None
    language: str = "en"


@dataclass(frozen=True, slots=True)
class SentenceScore:
    """One sentence (or atomic fact) of a claim: its text, its value, and why it has none."""

    text: str
    value: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scorer says of a pair.

    Attributes:
        value: finite, higher is more consistent; None where there is none.
        reason: why there is none, or what decided (an entity that the source lacks, say).
        sentences: of the claim, where the scorer looks at each.
        truncated: tokens (words, where the scorer counts these) of the source that it did not see.
        details: further figures of the pair, by name.
    """

    value: float | None
    reason: str | None = None
    sentences: tuple[SentenceScore, ...] = ()
    truncated: int = 0
    details: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def unscored(cls, reason: str) -> Verdict:
        """No value, with the reason."""
        return cls(None, reason)


class ConsistencyScorer(ABC):
    """One way to score consistency.

    Subclasses set the class variables and implement `verdicts`; callers use `score`. Options are keyword
    parameters of the constructor; models are loaded when the first pair is scored, never by the constructor.

    Attributes:
        name: in `validate-scorer`, in a task's `consistency` figure, and in tables.
        version: raised whenever a value could change; part of a run's identity.
        summary: one line for `halueval scorers ls`, with the unit and the source.
        cost: `rules` needs nothing but the text; `model` runs a model that PyPI or a local path gives;
            `endpoint` asks one over the network.
        threshold: at and above it a claim counts as consistent, None where none was validated.
        threshold_from: where it was chosen.
        languages: primary tags of the languages in which the threshold holds; None for all.
        needs_words: a claim of marks alone ("...") has no value.
        group: so many pairs are worked at together, and no value depends on pairs of another group; None: all of them.
    """

    name: str
    version: int = 1
    summary: str = ""
    cost: Literal["rules", "model", "endpoint"] = "rules"
    threshold: float | None = None
    threshold_from: str | None = None
    languages: frozenset[str] | None = None
    needs_words: bool = False
    group: int | None = None

    def threshold_in(self, language: str) -> float | None:
        """The threshold for texts of a language; None where none was validated."""
        return self.threshold if self.languages is None or primary_language(language) in self.languages else None

    def decide_at(self, threshold: float, threshold_from: str) -> None:
        """Take a line that was drawn elsewhere in place of the scorer's own, for texts in any language.

        Args:
            threshold: at and above it a claim counts as consistent; no score depends on it.
            threshold_from: where it was chosen.
        """
        self.threshold, self.threshold_from, self.languages = threshold, threshold_from, None

    def score(self, pairs: Sequence[Pair], advance: Advance = lambda _: None) -> list[Verdict]:
        """A verdict for each pair, in order.

        Args:
            pairs: what to score.
            advance: is told of the progress.

        Raises:
            ModelError: the scorer's model cannot be had or loaded.
        """
        out: list[Verdict | None] = [self.refused(pair) for pair in pairs]
        todo = [i for i, verdict in enumerate(out) if verdict is None]
        if todo and (why := self.unusable()):
            advance(len(pairs))
            return [verdict or Verdict.unscored(why) for verdict in out]
        if len(todo) < len(pairs):
            advance(len(pairs) - len(todo))
        found = self.verdicts([pairs[i] for i in todo], advance) if todo else []
        for i, verdict in zip(todo, found, strict=True):
            out[i] = (
                verdict if _is_number(verdict.value) else Verdict.unscored(f"not a finite number ({verdict.value})")
            )
        return [verdict for verdict in out if verdict is not None]

    def refused(self, pair: Pair) -> Verdict | None:
        """The verdict of a pair that is not looked at at all: it lacks a source, a claim, or words; None of others."""
        if not pair.source.strip():
            return Verdict.unscored(NO_SOURCE)
        if not pair.claim.strip():
            return Verdict.unscored(NO_CLAIM)
        wordless = self.needs_words and not unicode_words(pair.claim, pair.language)
        return Verdict.unscored(NO_WORD) if wordless else None

    @abstractmethod
    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """Score pairs whose source and claim hold something.

        `advance` must be told of each pair once.
        """

    def unusable(self) -> str | None:
        """Why no pair can have a value, in a line, where nothing that the user wrote is wrong; None where they can.

        It is asked before any model is run, and no model is loaded for it.

        Raises:
            ModelError, SourceError, UsageError: see `identity`.
        """
        return None

    @property
    def model_name(self) -> str | None:
        """Of the model that was named for it, for records; what determines values is its digest, in `identity`."""
        return None

    def identity(self) -> dict[str, str | int]:
        """What determines its values: name, version, and whatever a subclass adds (its model's digest, options).

        Files of a model are found for it, but no weights are loaded.

        Raises:
            ModelError, SourceError, UsageError: a model is needed that was not named or cannot be had.
        """
        return {"name": self.name, "version": self.version}


def _is_number(value: float | None) -> bool:
    return value is None or math.isfinite(value)
