"""Calibration of the probabilities of all choices, not only of the one that is answered.

p_k is choice k's share of the probability of all choices, K their number (`stats.scoring_rules` has the formulas):

- `classwise_ece`: the mean over classes of the calibration error of p_k, fifteen bins of equal width (Nixon et al.
  2019; Kull et al. 2019); `adaptive_classwise_ece`: over bins of equal mass. Only where choices are classes.
- `brier_sum` = mean of Σ_k (p_k - [k is right])², 0 to 2 (Brier 1950). Only where one choice is right.
- `choice_nll` = mean of -log of the right choices' probability together, nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import FloatArray, MeanScorer
from halueval.scorers.calibration import BINS, BinnedGaps, answer_of, pairs_of, spread
from halueval.scorers.likelihood import DIFFERENT_CHOICES
from halueval.stats.calibration import Scheme
from halueval.stats.rescaling import softmax
from halueval.stats.scoring_rules import MAX_CLASSES, Gold, brier_sum_terms, choice_nll_terms, classwise_table

NO_RIGHT = "no right choice is marked"
MANY_RIGHT = "more than one right choice"


def _probabilities(sample: Sample, outcome: Outcome, judged: Judged, *, one_right: bool) -> FloatArray | Score:
    """Of the choices, shape (1, K); or why there is none."""
    found = answer_of(judged)
    if isinstance(found, Score):
        return found
    if not sample.gold:
        return Score.unscored(NO_RIGHT)
    if one_right and len(sample.gold) > 1:
        return Score.unscored(MANY_RIGHT)
    return softmax(np.array([outcome.loglikelihoods], dtype=np.float64))


class ScoringRule(MeanScorer):
    """Base of scoring rules: what the probabilities of a sample's choices cost, given which of them are right.

    Attributes:
        one_right: only where one choice is right.
        terms: the cost of samples, shape (n,), by the probabilities of their choices, shape (n, K), and the right ones.
    """

    needs = frozenset({"choices"})
    higher_is_better = False
    one_right: ClassVar[bool]
    terms: ClassVar[staticmethod[[FloatArray, Gold], FloatArray]]

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """The sample's cost."""
        p = _probabilities(sample, outcome, judged, one_right=self.one_right)
        return p if isinstance(p, Score) else Score(float(self.terms(p, [sample.gold])[0]))


class BrierSum(ScoringRule):
    """Mean squared error over all choices."""

    name = "brier_sum"
    one_right = True
    summary = "mean over samples of Σ (p(choice) - [it is right])², 0-2 (Brier 1950; harness brier_score)"
    terms = staticmethod(brier_sum_terms)


class ChoiceNLL(ScoringRule):
    """Mean log score of the right choices."""

    name = "choice_nll"
    one_right = False
    summary = "mean of -log of the right choices' share of the probability of all choices, nats"
    terms = staticmethod(choice_nll_terms)


class ClasswiseECE(BinnedGaps):
    """Calibration error of every class's probability, mean over classes."""

    name = "classwise_ece"
    needs = frozenset({"choices"})
    scheme: ClassVar[Scheme] = "equal_width"
    summary = "calibration error of each class's probability, 15 bins of equal width, 0-1 (Nixon et al. 2019)"

    def __init__(self) -> None:
        """Whether the choices are classes is found out from the samples."""
        self._reason: str | None = None

    def prepare(self, samples: Sequence[Sample]) -> None:
        """Check that all samples have the same choices, and not too many."""
        if len({sample.choices for sample in samples}) > 1:
            self._reason = DIFFERENT_CHOICES
        elif samples and len(samples[0].choices) > MAX_CLASSES:
            self._reason = f"{len(samples[0].choices)} choices; at most {MAX_CLASSES}"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Mean over classes of |[it is right] - p|; `stats` = p of each class, and the right one's index."""
        if self._reason:
            return Score.unscored(self._reason)
        p = _probabilities(sample, outcome, judged, one_right=True)
        if isinstance(p, Score):
            return p
        (right,) = sample.gold
        gaps = np.abs(np.eye(p.shape[1])[right] - p[0])
        return Score(float(gaps.mean()), None, (*p[0].tolist(), float(right)))

    def table(self, scores: Sequence[Score]) -> FloatArray:
        """See `classwise_table`; zeros where there is no score. Shape (n, 15 K + 1)."""
        known = pairs_of(scores)
        gold = [(int(right),) for right in known[:, -1]]
        return spread(scores, classwise_table(known[:, :-1], gold, n_bins=BINS, scheme=self.scheme))


class AdaptiveClasswiseECE(ClasswiseECE):
    """The same over bins of equal mass."""

    name = "adaptive_classwise_ece"
    scheme: ClassVar[Scheme] = "equal_mass"
    summary = "calibration error of each class's probability, 15 bins of equal mass, 0-1 (Nixon et al. 2019)"
