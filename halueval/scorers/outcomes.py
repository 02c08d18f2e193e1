"""Rates of states and of forms, lengths, SimpleQA's five figures, and confidence-target scores.

With C, I and A the numbers of correct, hallucinated and abstained samples (unscored ones are in none):

- `hallucination_rate` = I/(C+I): of the answered, as HalluLens counts it. Read it beside `answer_rate` =
  (C+I)/(C+I+A), or a model looks good by answering little.
- SimpleQA: `is_correct`, `is_incorrect`, `is_not_attempted` = C, I, A over C+I+A;
  `accuracy_given_attempted` = C/(C+I); `simpleqa_f1` = harmonic mean of C/(C+I) and C/(C+I+A), which is
  2C/(2C+2I+A), 0 where nothing is correct.
- `confidence_target_T` = mean of +1 correct, 0 abstained, -T/(1-T) hallucinated: at T answering pays off
  for whoever is right with a probability above T (Kalai et al. 2025).
- `refusal_rate`, `empty_rate`, `truncated_rate`, `unparsable_rate`: shares of all responses; they show
  drift of form, which must not be sold as drift of knowledge.
- `response_tokens` (the model's own tokens) and `response_words` (white space; CJK characters one by one):
  means over responses.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from halueval.schema import Judged, Outcome, Sample, Score, State
from halueval.scorers.base import FloatArray, MeanScorer, StatsScorer, divide
from halueval.text import segment


class _StateScorer(MeanScorer):
    """A value for each state; `None` leaves the sample out, with the state as the reason."""

    values: ClassVar[dict[State, float | None]]

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Value of the sample's state."""
        if judged.state is State.UNSCORED:
            return Score.unscored(judged.reason or "unscored")
        value = self.values[judged.state]
        return Score.unscored(judged.state.value) if value is None else Score(value)


def _by_state(correct: float | None, wrong: float | None, abstained: float | None) -> dict[State, float | None]:
    return {State.CORRECT: correct, State.HALLUCINATED: wrong, State.ABSTAINED: abstained}


class HallucinationRate(_StateScorer):
    """Share of the answered samples that are hallucinated."""

    name = "hallucination_rate"
    higher_is_better = False
    binary = True
    values = _by_state(0.0, 1.0, None)
    summary = "hallucinated / (correct + hallucinated), 0-1 (HalluLens)"


class AnswerRate(_StateScorer):
    """Share of samples that are answered."""

    name = "answer_rate"
    binary = True
    higher_is_better = None
    values = _by_state(1.0, 1.0, 0.0)
    summary = "(correct + hallucinated) / all but unscored, 0-1"


class IsCorrect(_StateScorer):
    """Share of correct samples."""

    name = "is_correct"
    binary = True
    values = _by_state(1.0, 0.0, 0.0)
    summary = "correct / all but unscored, 0-1 (SimpleQA)"


class IsIncorrect(_StateScorer):
    """Share of hallucinated samples."""

    name = "is_incorrect"
    higher_is_better = False
    binary = True
    values = _by_state(0.0, 1.0, 0.0)
    summary = "hallucinated / all but unscored, 0-1 (SimpleQA)"


class IsNotAttempted(_StateScorer):
    """Share of abstained samples."""

    name = "is_not_attempted"
    higher_is_better = None
    binary = True
    values = _by_state(0.0, 0.0, 1.0)
    summary = "abstained / all but unscored, 0-1 (SimpleQA)"


class AccuracyGivenAttempted(_StateScorer):
    """Share of the answered samples that are correct."""

    name = "accuracy_given_attempted"
    binary = True
    values = _by_state(1.0, 0.0, None)
    summary = "correct / (correct + hallucinated), 0-1 (SimpleQA)"


class SimpleQAF1(StatsScorer):
    """Harmonic mean of accuracy given attempted and share correct."""

    name = "simpleqa_f1"
    summary = "harmonic mean of C/(C+I) and C/N, 0-1 (SimpleQA)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where correct; `stats` = (correct, hallucinated, abstained)."""
        if judged.state is State.UNSCORED:
            return Score.unscored(judged.reason or "unscored")
        order = (State.CORRECT, State.HALLUCINATED, State.ABSTAINED)
        stats = tuple(float(judged.state is state) for state in order)
        return Score(stats[0], None, stats)

    def finalize(self, sums: FloatArray) -> FloatArray:
        """2C/(2C+2I+A)."""
        return divide(2 * sums[:, 0], sums @ np.array([2.0, 2.0, 1.0]))


class _ConfidenceTarget(_StateScorer):
    """Score under the penalty that belongs to a confidence target."""


class ConfidenceTarget0(_ConfidenceTarget):
    """Target 0: a wrong answer costs nothing."""

    name = "confidence_target_0"
    values = _by_state(1.0, 0.0, 0.0)
    summary = "mean of +1 correct, 0 abstained, 0 wrong"


class ConfidenceTarget50(_ConfidenceTarget):
    """Target 0.5: a wrong answer costs 1."""

    name = "confidence_target_0.5"
    values = _by_state(1.0, -1.0, 0.0)
    summary = "mean of +1 correct, 0 abstained, -1 wrong, -1 to 1"


class ConfidenceTarget75(_ConfidenceTarget):
    """Target 0.75: a wrong answer costs 3."""

    name = "confidence_target_0.75"
    values = _by_state(1.0, -3.0, 0.0)
    summary = "mean of +1 correct, 0 abstained, -3 wrong, -3 to 1"


class ConfidenceTarget90(_ConfidenceTarget):
    """Target 0.9: a wrong answer costs 9."""

    name = "confidence_target_0.9"
    values = _by_state(1.0, -9.0, 0.0)
    summary = "mean of +1 correct, 0 abstained, -9 wrong, -9 to 1"


class _FormRate(MeanScorer):
    """Share of all responses with a fact about their form; unscored states count here too."""

    needs = frozenset({"response"})
    higher_is_better: bool | None = False
    binary = True
    fact: ClassVar[str]

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where the response has the form."""
        return Score(float(getattr(judged, self.fact)))


class RefusalRate(_FormRate):
    """Share of refusals."""

    name = "refusal_rate"
    fact = "refused"
    higher_is_better = None
    summary = "responses that decline to answer, 0-1 (patterns in halueval.text.is_refusal)"


class EmptyRate(_FormRate):
    """Share of empty responses."""

    name = "empty_rate"
    fact = "empty"
    summary = "responses of nothing but white space, 0-1"


class TruncatedRate(_FormRate):
    """Share of responses cut off."""

    name = "truncated_rate"
    fact = "truncated"
    summary = "responses cut off at the token limit, 0-1"


class UnparsableRate(_FormRate):
    """Share of responses from which no label could be read."""

    name = "unparsable_rate"
    needs = frozenset()  # a response in which the task's filter found nothing is unparsable too
    fact = "unparsable"
    summary = "responses that name none of the labels, 0-1"


class ResponseTokens(MeanScorer):
    """Mean length in tokens."""

    name = "response_tokens"
    needs = frozenset({"response"})
    higher_is_better = None
    summary = "mean length of the response in the model's own tokens"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Number of generated tokens, the stop string's not counted."""
        if outcome.num_response_tokens is None:
            return Score.unscored("number of tokens unknown")
        return Score(float(outcome.num_response_tokens))


class ResponseWords(MeanScorer):
    """Mean length in words."""

    name = "response_words"
    needs = frozenset({"response"})
    higher_is_better = None
    summary = "mean length of the response in words (CJK: characters)"

    def __init__(self, *, language: str = "en") -> None:
        """Words follow the language."""
        self._language = language

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Number of words."""
        return Score(float(len(segment(outcome.response or "", self._language))))
