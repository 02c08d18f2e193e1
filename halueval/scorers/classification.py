"""Figures of choosing among classes or choices.

`accuracy` needs no classes: 1 where the chosen index is a right one. All others compare classes, so they
exist only where every sample has the same choices; a class *is* an index into them. With t_k, p_k and g_k
the numbers of samples of class k that are rightly predicted, predicted, and gold:

- `balanced_accuracy` = mean of t_k/g_k over classes with g_k > 0;
- `macro_precision`, `macro_recall`, `macro_f1` = mean over the classes that occur (g_k > 0 or p_k > 0) of
  t_k/p_k, t_k/g_k, 2 t_k/(p_k + g_k), an undefined quotient counting 0;
- `micro_f1` = 2 sum t / (sum p + sum g): with one prediction a sample it equals accuracy;
- `binary_f1` = 2 t_1/(p_1 + g_1), class 1 of two;
- `mcc` = Matthews' correlation for any number of classes (Gorodkin 2004).

All equal scikit-learn's figures of the same name with `zero_division=0`. They are taken from the sums over
samples, so a bootstrap replicate is a figure of the drawn samples, never a mean of figures.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halueval.config import TaskSpec
from halueval.schema import Judged, Outcome, OutputType, Sample, Score
from halueval.scorers.base import FloatArray, MeanScorer, Need, StatsScorer, divide
from halueval.scorers.likelihood import DIFFERENT_CHOICES


def _needs(task: TaskSpec | None) -> frozenset[Need]:
    """A class is read off the response where the task generates, and off the choices otherwise."""
    generates = task is not None and task.output_type is OutputType.GENERATE_UNTIL
    return frozenset({"response"}) if generates else frozenset({"choices"})


def _problem(sample: Sample, judged: Judged) -> str | None:
    if judged.prediction is None:
        return judged.reason or "no choice could be made"
    return None if sample.gold else "no right choice is marked"


class Accuracy(MeanScorer):
    """Share of samples whose chosen choice is right."""

    name = "accuracy"
    needs = frozenset({"choices"})
    binary = True
    summary = "the chosen class or choice is right, ties against it, 0-1"

    def __init__(self, *, task: TaskSpec | None = None) -> None:
        """What is needed depends on whether the task generates."""
        self.needs = _needs(task)

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where the prediction is among the right choices."""
        if problem := _problem(sample, judged):
            return Score.unscored(problem)
        return Score(float(judged.prediction in sample.gold))


class _ClassFigure(StatsScorer):
    """Base of the figures over a fixed set of classes; `stats` = one-hot of t, p and g, 3K numbers."""

    needs = frozenset({"choices"})

    def __init__(self, *, task: TaskSpec | None = None) -> None:
        """What is needed depends on whether the task generates."""
        self.needs = _needs(task)
        self._reason: str | None = None

    def prepare(self, samples: Sequence[Sample]) -> None:
        """Check that all samples have the same choices."""
        differ = len({sample.choices for sample in samples}) > 1
        self._reason = DIFFERENT_CHOICES if differ else None

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where the prediction is right; the figure of a set comes from `stats`."""
        problem = self._reason or self.refuse(sample) or _problem(sample, judged)
        if problem or judged.prediction is None:
            return Score.unscored(problem or "no choice could be made")
        if len(sample.gold) != 1:
            return Score.unscored("more than one right choice")
        k, gold, chosen = len(sample.choices), sample.gold[0], judged.prediction
        stats = [0.0] * (3 * k)
        stats[chosen] = float(chosen == gold)
        stats[k + chosen] = 1.0
        stats[2 * k + gold] = 1.0
        return Score(float(chosen == gold), None, tuple(stats))

    def refuse(self, sample: Sample) -> str | None:
        """Why the figure does not exist for the sample's choices, if it does not."""
        return None

    def finalize(self, sums: FloatArray) -> FloatArray:
        """Split the sums into t, p, g of shape (b, K) and hand them on."""
        hits, predicted, gold = np.split(sums, 3, axis=1)
        return self.figure(hits, predicted, gold)

    @abstractmethod
    def figure(self, hits: FloatArray, predicted: FloatArray, gold: FloatArray) -> FloatArray:
        """The figure of each row; NaN where no sample was drawn."""


def _mean_where(values: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
    """Mean of each row over the classes in `mask`; NaN values count 0, no class gives NaN."""
    return divide(np.where(mask, np.nan_to_num(values), 0.0).sum(axis=1), mask.sum(axis=1).astype(np.float64))


class BalancedAccuracy(_ClassFigure):
    """Mean recall over the gold classes."""

    name = "balanced_accuracy"
    summary = "mean recall over the classes that are gold, 0-1 (scikit-learn)"

    def figure(self, hits: FloatArray, predicted: FloatArray, gold: FloatArray) -> FloatArray:
        """Mean of t/g over classes with g > 0."""
        return _mean_where(divide(hits, gold), gold > 0)


class MacroPrecision(_ClassFigure):
    """Mean precision over classes."""

    name = "macro_precision"
    summary = "mean precision over the classes that occur, 0-1 (scikit-learn, zero_division=0)"

    def figure(self, hits: FloatArray, predicted: FloatArray, gold: FloatArray) -> FloatArray:
        """Mean of t/p."""
        return _mean_where(divide(hits, predicted), predicted + gold > 0)


class MacroRecall(_ClassFigure):
    """Mean recall over classes."""

    name = "macro_recall"
    summary = "mean recall over the classes that occur, 0-1 (scikit-learn, zero_division=0)"

    def figure(self, hits: FloatArray, predicted: FloatArray, gold: FloatArray) -> FloatArray:
        """Mean of t/g."""
        return _mean_where(divide(hits, gold), predicted + gold > 0)


class MacroF1(_ClassFigure):
    """Mean F1 over classes."""

    name = "macro_f1"
    summary = "mean F1 over the classes that occur, 0-1 (scikit-learn, zero_division=0)"

    def figure(self, hits: FloatArray, predicted: FloatArray, gold: FloatArray) -> FloatArray:
        """Mean of 2t/(p+g)."""
        return _mean_where(divide(2 * hits, predicted + gold), predicted + gold > 0)


class MicroF1(_ClassFigure):
    """F1 of the pooled counts."""

    name = "micro_f1"
    summary = "F1 of counts pooled over classes, 0-1; equals accuracy with one prediction a sample"

    def figure(self, hits: FloatArray, predicted: FloatArray, gold: FloatArray) -> FloatArray:
        """2 sum t / (sum p + sum g)."""
        return divide(2 * hits.sum(axis=1), (predicted + gold).sum(axis=1))


class BinaryF1(_ClassFigure):
    """F1 of class 1 of two."""

    name = "binary_f1"
    summary = "F1 of class 1 of two, 0-1 (lm-evaluation-harness f1 for choices)"

    def refuse(self, sample: Sample) -> str | None:
        """There must be exactly two classes."""
        return None if len(sample.choices) == 2 else f"{len(sample.choices)} choices; binary_f1 needs exactly 2"

    def figure(self, hits: FloatArray, predicted: FloatArray, gold: FloatArray) -> FloatArray:
        """2 t_1/(p_1 + g_1), 0 where class 1 does not occur, NaN without samples."""
        total = (predicted + gold).sum(axis=1)
        f1 = np.nan_to_num(divide(2 * hits[:, 1], predicted[:, 1] + gold[:, 1]))
        return np.where(total > 0, f1, np.nan)


class MatthewsCorrelation(_ClassFigure):
    """Matthews' correlation coefficient."""

    name = "mcc"
    summary = "Matthews' correlation of gold and predicted classes, -1 to 1 (Gorodkin 2004)"

    def figure(self, hits: FloatArray, predicted: FloatArray, gold: FloatArray) -> FloatArray:
        """Covariance over the root of the variances, 0 where one side is constant, NaN without samples."""
        n = gold.sum(axis=1)
        covariance = hits.sum(axis=1) * n - (predicted * gold).sum(axis=1)
        variances = (n**2 - (predicted**2).sum(axis=1)) * (n**2 - (gold**2).sum(axis=1))
        return np.where(n > 0, np.nan_to_num(divide(covariance, np.sqrt(variances))), np.nan)
