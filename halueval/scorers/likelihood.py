"""Figures from the summed log-likelihoods of a sample's choices (nats).

- `accuracy_norm`: argmax of log-likelihood / characters of the choice, lm-evaluation-harness's `acc_norm`;
  `accuracy_bytes`: the same by UTF-8 bytes, its `acc_bytes`. On ASCII the two agree.
- `mc1` (TruthfulQA): the choice with the highest summed log-likelihood is a right one.
- `mc2` (TruthfulQA): sum of p(right) / sum of p(all), p = exp(summed log-likelihood), computed with
  log-sum-exp, no length normalisation.
- `auroc`: for two fixed choices, area under the ROC curve of log p(choice 1) - log p(choice 0) as the score
  of class 1; ties count one half (Mann-Whitney).

Ties of an argmax are broken against the right choice. numpy's and lm-evaluation-harness's argmax takes the
first, which in TruthfulQA is the right one, so a model that gives all choices the same probability would
get 1 there.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import FloatArray, MeanScorer, Scorer, divide
from halueval.text import num_bytes

DIFFERENT_CHOICES = "choices differ between samples"


def argmax_against(values: Sequence[float], gold: Sequence[int]) -> int:
    """Index of the largest value; among equal ones the first that is not in `gold`."""
    best = max(values)
    tied = [i for i, value in enumerate(values) if value == best]
    return next((i for i in tied if i not in gold), tied[0])


def logsumexp(values: Sequence[float]) -> float:
    """Log of the sum of exponentials, without overflow or underflow of the sum."""
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values))


def _problem(sample: Sample, judged: Judged) -> str | None:
    if judged.prediction is None:
        return judged.reason or "no choice could be made"
    return None if sample.gold else "no right choice is marked"


class _LengthNormalized(MeanScorer):
    """Accuracy of the argmax of log-likelihood per unit of length."""

    needs = frozenset({"choices"})
    binary = True

    @abstractmethod
    def length(self, choice: str) -> int:
        """Length of a choice."""

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where the best choice is a right one."""
        if problem := _problem(sample, judged):
            return Score.unscored(problem)
        lengths = [self.length(choice) for choice in sample.choices]
        if 0 in lengths:
            return Score.unscored("a choice is empty: no length to divide by")
        # Of the text itself, whatever the run takes off for the choices' sake: only likelihoods grow with length.
        values = outcome.raw_loglikelihoods or outcome.loglikelihoods or ()
        per_unit = [v / n for v, n in zip(values, lengths, strict=True)]
        return Score(float(argmax_against(per_unit, sample.gold) in sample.gold))


class AccuracyNorm(_LengthNormalized):
    """Length-normalised accuracy, by characters."""

    name = "accuracy_norm"
    summary = "argmax of log-likelihood per character is right, 0-1 (lm-evaluation-harness acc_norm)"

    def length(self, choice: str) -> int:
        """Characters (code points)."""
        return len(choice)


class AccuracyBytes(_LengthNormalized):
    """Length-normalised accuracy, by bytes."""

    name = "accuracy_bytes"
    summary = "argmax of log-likelihood per UTF-8 byte is right, 0-1 (lm-evaluation-harness acc_bytes)"

    def length(self, choice: str) -> int:
        """UTF-8 bytes."""
        return num_bytes(choice)


class MC1(MeanScorer):
    """TruthfulQA's MC1."""

    name = "mc1"
    needs = frozenset({"choices"})
    binary = True
    summary = "the most likely choice is right, ties against it, 0-1 (TruthfulQA MC1)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where the argmax is a right choice."""
        if problem := _problem(sample, judged):
            return Score.unscored(problem)
        return Score(float(judged.prediction in sample.gold))


class MC2(MeanScorer):
    """TruthfulQA's MC2."""

    name = "mc2"
    needs = frozenset({"choices"})
    summary = "share of probability on the right choices, 0-1 (TruthfulQA MC2)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Normalised probability of the right choices."""
        if problem := _problem(sample, judged):
            return Score.unscored(problem)
        values = outcome.loglikelihoods or ()
        right = [values[i] for i in sample.gold]
        if len(right) == len(values):
            return Score.unscored("no wrong choice to compare with")
        return Score(math.exp(logsumexp(right) - logsumexp(values)))


class AUROC(Scorer):
    """Area under the ROC curve; the value of one sample is its margin in nats."""

    name = "auroc"
    needs = frozenset({"choices"})
    summary = "area under the ROC curve of log p(choice 1) - log p(choice 0), two fixed choices, 0-1"

    def __init__(self) -> None:
        self._reason: str | None = None

    def prepare(self, samples: Sequence[Sample]) -> None:
        """Check that all samples have the same two choices."""
        self._reason = None
        if len({sample.choices for sample in samples}) > 1:
            self._reason = DIFFERENT_CHOICES

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Margin of class 1 over class 0 in nats; `stats` = (margin, 1 where class 1 is right)."""
        if self._reason or len(sample.choices) != 2:
            return Score.unscored(self._reason or f"{len(sample.choices)} choices; auroc needs exactly 2")
        problem = _problem(sample, judged)
        if problem or len(sample.gold) != 1:
            return Score.unscored(problem or "more than one right choice")
        zero, one = outcome.loglikelihoods or (math.nan, math.nan)
        return Score(one - zero, None, (one - zero, float(sample.gold[0])))

    def statistic(self, scores: Sequence[Score], weights: FloatArray) -> FloatArray:
        """Weighted AUROC of each row of weights; NaN where one class is not drawn."""
        rows = [i for i, s in enumerate(scores) if s.value is not None and s.stats is not None]
        margins, labels = np.array([scores[i].stats for i in rows]).T
        every = np.array(rows)
        return weighted_auroc(margins, labels > 0, weights if len(rows) == len(scores) else weights[:, every])


def weighted_auroc(margins: FloatArray, labels: NDArray[np.bool_], weights: FloatArray) -> FloatArray:
    """Tie-correct weighted AUROC.

    For each positive, the weight of the negatives below it plus half that of the negatives level with it,
    read off a running sum over the sorted negatives.

    Args:
        margins: shape (n,).
        labels: shape (n,), true for the positive class.
        weights: shape (b, n).

    Returns:
        Shape (b,): chance that a random positive outranks a random negative, ties one half; NaN where
        either class has no weight.
    """
    positive, negative = np.flatnonzero(labels), np.flatnonzero(~labels)
    negative = negative[np.argsort(margins[negative], kind="stable")]
    below = np.searchsorted(margins[negative], margins[positive], side="left")
    not_above = np.searchsorted(margins[negative], margins[positive], side="right")
    # Samples along the first axis: whole rows are picked and added then, which is twice as fast.
    by_sample = np.ascontiguousarray(weights.T)
    running = np.zeros((len(negative) + 1, len(weights)))
    np.cumsum(by_sample[negative], axis=0, out=running[1:])
    drawn = by_sample[positive]
    won = np.einsum("ij,ij->j", drawn, running[below])
    if not np.array_equal(below, not_above):
        won = (won + np.einsum("ij,ij->j", drawn, running[not_above])) / 2
    return divide(won, drawn.sum(axis=0) * running[-1])
