"""Calibration of confidences: how far the probability that a model gives its answer can be taken at its word.

Over the answered samples (correct or hallucinated) that have a confidence, with c the confidence and y = 1 where the
answer is correct:

- `ece` = Σ over bins |Σ (y - c)| / n, fifteen bins of equal mass (Guo et al. 2017; equal mass: Nguyen & O'Connor 2015);
- `brier` = mean of (c - y)².

The confidence is the share that the chosen answer has of the probability of all choices, or the probability of the
whole generated text, of which longer ones have less (`docs/metrics.md`). ECE of few samples is above that of the model,
since noise in a bin's gap counts as error: `halueval calibrate RUN` shows what chance alone would give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halueval.schema import Judged, Outcome, Sample, Score, State
from halueval.scorers.base import FloatArray, MeanScorer, TableScorer
from halueval.stats.calibration import assign_bins, ece_difference, ece_of_sums, ece_table
from halueval.stats.intervals import Interval

NO_CONFIDENCE = "no confidence"
BINS = 15


def _answer(judged: Judged) -> tuple[float, float] | Score:
    """Confidence and correctness of an answered sample, or why there is none."""
    if judged.state is State.UNSCORED:
        return Score.unscored(judged.reason or "unscored")
    if judged.state is State.ABSTAINED:
        return Score.unscored(judged.state.value)
    if judged.confidence is None:
        return Score.unscored(NO_CONFIDENCE)
    return judged.confidence, float(judged.state is State.CORRECT)


class Brier(MeanScorer):
    """Mean squared difference of confidence and outcome."""

    name = "brier"
    higher_is_better = False
    summary = "mean of (confidence - correct)², answered samples, 0-1 (Brier 1950)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """The squared difference."""
        found = _answer(judged)
        return found if isinstance(found, Score) else Score((found[0] - found[1]) ** 2)


class ExpectedCalibrationError(TableScorer):
    """Mean gap between confidence and accuracy over bins of equal mass."""

    name = "ece"
    higher_is_better = False
    summary = "expected calibration error, 15 bins of equal mass, answered samples, 0-1 (Guo et al. 2017)"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Correct minus confidence, -1 to 1; `stats` = (confidence, correct)."""
        found = _answer(judged)
        return found if isinstance(found, Score) else Score(found[1] - found[0], None, found)

    def table(self, scores: Sequence[Score]) -> FloatArray:
        """Gap in the column of the sample's bin, and 1; zeros where there is no score. Shape (n, 16)."""
        pairs = [score.stats for score in scores if score.value is not None and score.stats is not None]
        out = np.zeros((len(scores), BINS + 1))
        if pairs:
            confidence, correct = np.array(pairs, dtype=np.float64).T
            bins = assign_bins(confidence, n_bins=BINS)
            scored = [score.value is not None for score in scores]
            out[np.array(scored)] = ece_table(confidence, correct, bins, n_bins=BINS)
        return out

    def finalize(self, sums: FloatArray) -> FloatArray:
        """Sum of the bins' gaps over the number of samples; shape (b,)."""
        return ece_of_sums(sums)

    def own_interval(
        self, scores: Sequence[Score], clusters: Sequence[str], *, n_resamples: int, seed: int
    ) -> Interval | None:
        """A bootstrap of ECE is biased upwards; this is the interval of its change from no gaps at all."""
        scored = [i for i, score in enumerate(scores) if score.value is not None]
        table = self.table([scores[i] for i in scored])
        nothing = np.zeros_like(table)
        nothing[:, -1] = 1.0
        made, _ = ece_difference(
            nothing, table, [clusters[i] for i in scored], n_resamples=max(n_resamples, 2), seed=seed
        )
        return made.interval((0.0, 1.0))
