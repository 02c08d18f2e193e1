"""Calibration of confidences: how far the probability that a model gives its answer can be taken at its word.

Over the answered samples (correct or hallucinated) that have a confidence, with c the confidence and y = 1 where the
answer is correct:

- `ece` = Σ over bins |Σ (y - c)| / n, fifteen bins of equal mass (Nguyen and O'Connor 2015);
  `ece_equal_width`: the same over bins of equal width (Naeini et al. 2015; Guo et al. 2017).
- `ece_floor`, `ece_equal_width_floor`: what either would be, on average, were the model perfectly calibrated.
- `brier` = mean of (c - y)²; `brier_reliability`, `brier_resolution`, `brier_uncertainty` and `brier_within_bins` are
  Murphy's parts of it (`stats.scoring_rules`).
- `nll` = mean of -log c where right, -log(1 - c) where wrong.

The confidence is the share that the chosen answer has of the probability of all choices, or the probability of the
whole generated text, of which longer ones have less (`docs/metrics.md`). All choices' probabilities are judged in
`class_calibration`; `halueval calibrate RUN` has the same figures of a half of the run, before and after repairs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from halueval.schema import Judged, Outcome, Sample, Score, State
from halueval.scorers.base import FloatArray, MeanScorer, Scorer, TableScorer
from halueval.stats.bootstrap import table_replicates
from halueval.stats.calibration import (
    Scheme,
    assign_bins,
    ece_difference,
    ece_floor_draws,
    ece_of_sums,
    ece_table,
    negative_log_likelihood_terms,
)
from halueval.stats.intervals import Interval
from halueval.stats.scoring_rules import murphy_of_sums, murphy_table

NO_CONFIDENCE = "no confidence"
BINS = 15
FLOOR_DRAWS, FLOOR_NUMBERS = 2000, 20_000_000
"""Draws of a floor, fewer (200 at least) where they would take more random numbers than this."""


def answer_of(judged: Judged) -> tuple[float, float] | Score:
    """Confidence and correctness of an answered sample, or why there is none."""
    if judged.state is State.UNSCORED:
        return Score.unscored(judged.reason or "unscored")
    if judged.state is State.ABSTAINED:
        return Score.unscored(judged.state.value)
    if judged.confidence is None:
        return Score.unscored(NO_CONFIDENCE)
    return judged.confidence, float(judged.state is State.CORRECT)


def pairs_of(scores: Sequence[Score]) -> FloatArray:
    """`stats` of the scored samples, shape (m, width)."""
    return np.array([s.stats for s in scores if s.value is not None and s.stats is not None], dtype=np.float64)


def spread(scores: Sequence[Score], rows: FloatArray) -> FloatArray:
    """Rows of the scored samples, shape (m, width), in their places among all, zeros elsewhere; shape (n, width)."""
    out = np.zeros((len(scores), rows.shape[1]))
    out[np.array([score.value is not None for score in scores])] = rows
    return out


def only_scored(scores: Sequence[Score], clusters: Sequence[str]) -> tuple[list[Score], list[str]]:
    """Samples with a value, and their clusters."""
    kept = [i for i, score in enumerate(scores) if score.value is not None]
    return [scores[i] for i in kept], [clusters[i] for i in kept]


def _alike(scores: Sequence[Score], method: str) -> Interval | None:
    """No interval where all answers are alike: resampling them cannot show how rare the others are."""
    correct = set(pairs_of(scores)[:, 1].tolist())
    if len(correct) > 1:
        return None
    return Interval(None, None, method, f"all answers are {'right' if 1.0 in correct else 'wrong'}")


class Brier(MeanScorer):
    """Mean squared difference of confidence and outcome."""

    name = "brier"
    higher_is_better = False
    summary = "mean of (confidence - correct)², answered samples, 0-1 (Brier 1950)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """The squared difference."""
        found = answer_of(judged)
        return found if isinstance(found, Score) else Score((found[0] - found[1]) ** 2)


class NegativeLogLikelihood(MeanScorer):
    """Mean log score of the confidence."""

    name = "nll"
    higher_is_better = False
    summary = "mean of -log of the confidence in what came true, answered samples, nats"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Minus the log of the confidence, or of what it leaves where the answer is wrong."""
        found = answer_of(judged)
        if isinstance(found, Score):
            return found
        return Score(float(negative_log_likelihood_terms(found[:1], found[1:])[0]))


class BinnedGaps(TableScorer):
    """Base of figures that add up the sizes of bins' gaps; `table` is one of `ece_table` or `classwise_table`."""

    higher_is_better = False
    scheme: ClassVar[Scheme]

    def finalize(self, sums: FloatArray) -> FloatArray:
        """Sum of the bins' gaps over the number of samples; shape (b,)."""
        return ece_of_sums(sums)

    def own_interval(
        self, scores: Sequence[Score], clusters: Sequence[str], *, n_resamples: int, seed: int
    ) -> Interval | None:
        """A bootstrap of ECE is biased upwards; this is the interval of its change from no gaps at all."""
        kept, names = only_scored(scores, clusters)
        table = self.table(kept)
        nothing = np.zeros_like(table)
        nothing[:, -1] = 1.0
        made, _ = ece_difference(nothing, table, names, n_resamples=max(n_resamples, 2), seed=seed)
        return made.interval((0.0, 1.0))


class _AnswerGaps(BinnedGaps):
    """Base of calibration errors of the confidence in the answer."""

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Correct minus confidence, -1 to 1; `stats` = (confidence, correct)."""
        found = answer_of(judged)
        return found if isinstance(found, Score) else Score(found[1] - found[0], None, found)

    def table(self, scores: Sequence[Score]) -> FloatArray:
        """Gap in the column of the sample's bin, and 1; zeros where there is no score. Shape (n, 16)."""
        pairs = pairs_of(scores)
        if not len(pairs):
            return np.zeros((len(scores), BINS + 1))
        bins = assign_bins(pairs[:, 0], n_bins=BINS, scheme=self.scheme)
        return spread(scores, ece_table(pairs[:, 0], pairs[:, 1], bins, n_bins=BINS))


class ExpectedCalibrationError(_AnswerGaps):
    """Mean gap between confidence and accuracy over bins of equal mass."""

    name = "ece"
    scheme: ClassVar[Scheme] = "equal_mass"
    summary = "expected calibration error, 15 bins of equal mass, answered samples, 0-1 (Nguyen and O'Connor 2015)"


class EceEqualWidth(_AnswerGaps):
    """Mean gap between confidence and accuracy over bins of equal width."""

    name = "ece_equal_width"
    scheme: ClassVar[Scheme] = "equal_width"
    summary = "expected calibration error, 15 bins of equal width, answered samples, 0-1 (Naeini et al. 2015)"

    def own_interval(
        self, scores: Sequence[Score], clusters: Sequence[str], *, n_resamples: int, seed: int
    ) -> Interval | None:
        """As of `ece`; none where all answers are alike."""
        return _alike(scores, "normal-t") or super().own_interval(scores, clusters, n_resamples=n_resamples, seed=seed)


class EceFloor(Scorer):
    """What the ECE of a perfectly calibrated model with these confidences would be, by chance alone."""

    name = "ece_floor"
    higher_is_better = None
    scheme: ClassVar[Scheme] = "equal_mass"
    max_resamples: ClassVar[int | None] = 1
    summary = "the ece that perfect calibration would have with these confidences, 0-1 (Bröcker and Smith 2007)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """2c(1 - c), the expected gap of the sample by itself; `stats` = (confidence, correct)."""
        found = answer_of(judged)
        return found if isinstance(found, Score) else Score(2 * found[0] * (1 - found[0]), None, found)

    def _draws(self, confidence: FloatArray) -> FloatArray:
        draws = max(200, min(FLOOR_DRAWS, FLOOR_NUMBERS // confidence.size))
        return ece_floor_draws(confidence, n_bins=BINS, scheme=self.scheme, n_resamples=draws)

    def statistic(self, scores: Sequence[Score], weights: FloatArray) -> FloatArray:
        """Mean of the draws for the confidences, each as often as its weight says; shape (b,)."""
        scored = np.array([score.value is not None for score in scores])
        confidence = pairs_of(scores)[:, 0]
        drawn = [np.repeat(confidence, row.astype(np.int64)) for row in weights[:, scored]]
        return np.array([self._draws(c).mean() if c.size else np.nan for c in drawn])

    def own_interval(
        self, scores: Sequence[Score], clusters: Sequence[str], *, n_resamples: int, seed: int
    ) -> Interval | None:
        """Where 95 % of perfectly calibrated models' ECEs lie: one inside is no sign of miscalibration."""
        draws = self._draws(pairs_of(scores)[:, 0])
        low, high = np.quantile(draws, (0.025, 0.975))
        # A mean of very skewed draws may lie beyond them.
        return Interval(min(float(low), float(draws.mean())), max(float(high), float(draws.mean())), "calibrated-draws")


class EceEqualWidthFloor(EceFloor):
    """The same over bins of equal width."""

    name = "ece_equal_width_floor"
    scheme: ClassVar[Scheme] = "equal_width"
    summary = "the ece_equal_width that perfect calibration would have with these confidences, 0-1"


class BrierPart(TableScorer):
    """Base of Murphy's parts of the Brier score, over fifteen bins of equal mass."""

    least: ClassVar[float | None] = 0.0

    @property
    @abstractmethod
    def column(self) -> int:
        """Of `murphy_of_sums`."""

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """The sample's term of the score that is taken apart; `stats` = (confidence, correct)."""
        found = answer_of(judged)
        return found if isinstance(found, Score) else Score((found[0] - found[1]) ** 2, None, found)

    def table(self, scores: Sequence[Score]) -> FloatArray:
        """See `murphy_table`; zeros where there is no score. Shape (n, 46)."""
        pairs = pairs_of(scores)
        if not len(pairs):
            return np.zeros((len(scores), 3 * BINS + 1))
        return spread(scores, murphy_table(pairs[:, 0], pairs[:, 1], n_bins=BINS))

    def finalize(self, sums: FloatArray) -> FloatArray:
        """The part of each row; shape (b,)."""
        return murphy_of_sums(sums)[:, self.column]

    def own_interval(
        self, scores: Sequence[Score], clusters: Sequence[str], *, n_resamples: int, seed: int
    ) -> Interval | None:
        """Figure ± t standard errors of the bootstrap: resamples are biased upwards, an interval around it is not."""
        kept, names = only_scored(scores, clusters)
        made = table_replicates(self.table(kept), self.finalize, names, n_resamples=n_resamples, seed=seed)
        interval = _alike(kept, "bootstrap-standard") or made.interval("standard")
        if interval.low is None or self.least is None:
            return interval
        return Interval(max(self.least, interval.low), interval.high, interval.method)


class BrierReliability(BrierPart):
    """How far accuracies of bins are from their confidences."""

    name = "brier_reliability"
    higher_is_better = False
    column = 1
    summary = "Brier's reliability: mean squared gap of bins, 15 of equal mass, 0-1 (Murphy 1973)"


class BrierResolution(BrierPart):
    """How far accuracies of bins are from that of all."""

    name = "brier_resolution"
    column = 2
    summary = "Brier's resolution: variance of bins' accuracies, 15 of equal mass, 0-1 (Murphy 1973)"


class BrierUncertainty(BrierPart):
    """The score of a model that always states its accuracy."""

    name = "brier_uncertainty"
    higher_is_better = None
    column = 3
    summary = "Brier's uncertainty: accuracy · (1 - accuracy) of the answered, 0-0.25 (Murphy 1973)"


class BrierWithinBins(BrierPart):
    """What confidences' differences inside bins add."""

    name = "brier_within_bins"
    higher_is_better = None
    least = None
    column = 4
    summary = "what is left of the Brier score: differences inside bins (Stephenson, Coelho and Jolliffe 2008)"
