"""The scorer protocol, and the three ways in which figures of samples become a figure of a set.

Every aggregate is written as a function of sample *weights*: the figure itself has all weights 1, and a
bootstrap replicate has the number of times that each sample was drawn. So the interval of every figure,
mean or not, comes from the same resamples, and all replicates are computed as one matrix product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from halueval.schema import Judged, Outcome, Sample, Score

FloatArray = NDArray[np.float64]

Need = Literal["response", "choices", "references", "reference", "rolling", "source"]
"""What a scorer reads: the generated text, the choices' log-likelihoods, gold texts, the conditional
log-likelihood of the first reference, the rolling log-likelihood, the source text."""


class Scorer(ABC):
    """One figure.

    Subclasses set the class variables and implement `score`; most derive from a class below, which
    implements `statistic`.

    Attributes:
        name: the figure's name in `metric_list`, `run.json` and tables.
        version: raised whenever a value could change; part of a run's identity.
        higher_is_better: None where neither direction is (lengths).
        needs: see `Need`. A task that cannot give a need cannot use the scorer.
        summary: one line for `halueval scorers ls`, with unit and source.
        binary: every value is 0 or 1, so that a Wilson interval can stand in for a degenerate bootstrap.
    """

    name: str
    version: int = 1
    higher_is_better: bool | None = True
    needs: frozenset[Need] = frozenset()
    summary: str = ""
    binary: bool = False

    @abstractmethod
    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Score one sample; a failure is `Score.unscored(reason)`, never a number.

        `outcome.failure` is None and everything in `needs` is present when this is called.
        """

    @abstractmethod
    def statistic(self, scores: Sequence[Score], weights: FloatArray) -> FloatArray:
        """The figure of a weighted set.

        Args:
            scores: n scores, of which at least one has a value.
            weights: shape (b, n), non-negative; one row a replicate.

        Returns:
            Shape (b,). NaN where a replicate holds nothing to score; such replicates are dropped.
        """


class MeanScorer(Scorer):
    """The figure of a set is the mean of the scored samples' values."""

    def statistic(self, scores: Sequence[Score], weights: FloatArray) -> FloatArray:
        """Weighted mean over the samples with a value; shape (b,)."""
        scored = np.array([s.value is not None for s in scores])
        values = np.array([0.0 if s.value is None else s.value for s in scores])
        return divide(weights @ values, weights @ scored.astype(np.float64))


class StatsScorer(Scorer):
    """The figure of a set is a function of the sum of its samples' `stats`."""

    num_stats: ClassVar[int]

    @abstractmethod
    def finalize(self, sums: FloatArray) -> FloatArray:
        """Turn sums of shape (b, num_stats) into figures of shape (b,); NaN where undefined."""

    def statistic(self, scores: Sequence[Score], weights: FloatArray) -> FloatArray:
        """`finalize` of the weighted sums of `stats`; shape (b,)."""
        width = next(len(s.stats) for s in scores if s.stats is not None)
        table = np.array([s.stats if s.stats is not None else (0.0,) * width for s in scores])
        return self.finalize(weights @ table)


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Elementwise quotient with NaN where the denominator is 0, without a warning."""
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out
