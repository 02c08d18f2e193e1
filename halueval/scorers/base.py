"""The scorer protocol, and the ways in which figures of samples become a figure of a set.

Every aggregate is written as a function of sample *weights*: the figure itself has all weights 1, and a
bootstrap replicate has the number of times that each sample was drawn. So the interval of every figure,
mean or not, comes from the same resamples, and all replicates are computed as one matrix product.

A scorer is built as `Class(language=…, task=…, **options)`: it takes by name what it uses and nothing
else, its options being its keyword parameters, so that an option unknown to it is noticed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from halueval.schema import Judged, Outcome, Sample, Score
from halueval.stats.intervals import Interval

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
        max_resamples: most bootstrap replicates to compute, None for all; for figures that are computed
            anew from the samples in each replicate.
    """

    name: str
    version: int = 1
    higher_is_better: bool | None = True
    needs: frozenset[Need] = frozenset()
    summary: str = ""
    binary: bool = False
    max_resamples: ClassVar[int | None] = None

    def prepare(self, samples: Sequence[Sample]) -> None:  # noqa: B027  # most scorers need no look ahead
        """See all samples of a run before the first is scored.

        For figures that exist only when the samples agree in something, such as their choices.
        """

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

    def own_interval(
        self, scores: Sequence[Score], clusters: Sequence[str], *, n_resamples: int, seed: int
    ) -> Interval | None:
        """A 95 % interval in place of the percentile bootstrap, for figures that it does not serve; None for others.

        Args:
            scores: n scores, of which at least one has a value.
            clusters: n names.
            n_resamples: draws.
            seed: of the draws.
        """
        return None


class TableScorer(Scorer):
    """The figure of a set is a function of the column sums of a table with a row for each sample."""

    @abstractmethod
    def table(self, scores: Sequence[Score]) -> FloatArray:
        """What is added up: shape (n, m), a row of zeros where there is no score."""

    @abstractmethod
    def finalize(self, sums: FloatArray) -> FloatArray:
        """Turn sums of shape (b, m) into figures of shape (b,); NaN where undefined."""

    def statistic(self, scores: Sequence[Score], weights: FloatArray) -> FloatArray:
        """`finalize` of the weighted sums of `table`; shape (b,)."""
        return self.finalize(weights @ self.table(scores))


class MeanScorer(TableScorer):
    """The figure of a set is the mean of the scored samples' values."""

    def table(self, scores: Sequence[Score]) -> FloatArray:
        """Value, and 1 for each sample with one; shape (n, 2)."""
        return np.array([(0.0, 0.0) if s.value is None else (s.value, 1.0) for s in scores])

    def finalize(self, sums: FloatArray) -> FloatArray:
        """Weighted mean; shape (b,)."""
        return divide(sums[:, 0], sums[:, 1])


class StatsScorer(TableScorer):
    """The figure of a set is a function of the sum of its samples' `stats`."""

    def table(self, scores: Sequence[Score]) -> FloatArray:
        """The samples' `stats`; shape (n, width)."""
        width = next(len(s.stats) for s in scores if s.value is not None and s.stats is not None)
        none = (0.0,) * width
        return np.array([none if s.value is None or s.stats is None else s.stats for s in scores])


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Elementwise quotient with NaN where the denominator is 0, without a warning."""
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out


def finite(value: float, stats: tuple[float, ...] | None = None) -> Score:
    """Make a score of a number, or an unscored one of what is none: NaN and infinity never leave here."""
    for number in (value, *(stats or ())):
        if not math.isfinite(number):
            return Score.unscored(f"not a finite number ({number})")
    return Score(float(value), None, stats)


def score_sample(scorer: Scorer, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
    """Score one sample with all guards: failures and missing needs first, and finite numbers only."""
    if outcome.failure is not None:
        return Score.unscored(outcome.failure)
    present: dict[Need, bool] = {
        "response": outcome.response is not None,
        "choices": outcome.loglikelihoods is not None,
        "references": bool(sample.references),
        "reference": outcome.reference is not None,
        "rolling": outcome.rolling is not None,
        "source": sample.source is not None,
    }
    missing = sorted(need for need in scorer.needs if not present[need])
    if missing:
        return Score.unscored(f"no {', '.join(missing)}")
    score = scorer.score(sample, outcome, judged)
    return score if score.value is None else finite(score.value, score.stats)


def is_unanswerable(sample: Sample) -> bool:
    """Whether abstaining is the right answer: the references are exactly one empty text (SQuAD 2)."""
    return sample.references == ("",)
