"""Calibration as figures of a run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import sample

from halueval.schema import Judged, Outcome, Score, State
from halueval.scorers.aggregate import summarise
from halueval.scorers.calibration import Brier, ExpectedCalibrationError
from halueval.stats.calibration import ece


def judged(confidence, state):
    return Judged(state=state, confidence=confidence)


def scored(scorer, pairs):
    states = {1: State.CORRECT, 0: State.HALLUCINATED}
    return [scorer.score(sample(), Outcome(), judged(c, states[y])) for c, y in pairs]


def figure(scorer, scores, clusters=None, **more):
    clusters = clusters or [str(i) for i in range(len(scores))]
    return summarise([scorer], {scorer.name: scores}, clusters, seed=0, **{"n_resamples": 500, **more})[scorer.name]


def test_brier_is_the_mean_squared_difference():
    made = figure(Brier(), scored(Brier(), [(0.8, 1), (0.6, 0), (0.5, 1)]))
    assert made.value == pytest.approx((0.2**2 + 0.6**2 + 0.5**2) / 3)
    assert made.ci_low < made.value < made.ci_high


def test_ece_of_a_few_answers_is_the_mean_gap():
    # Fewer answers than bins, all confidences different: each is a bin of its own.
    made = figure(ExpectedCalibrationError(), scored(ExpectedCalibrationError(), [(0.8, 1), (0.6, 0), (0.5, 1)]))
    assert made.value == pytest.approx((0.2 + 0.6 + 0.5) / 3)


def test_gaps_within_a_bin_cancel():
    # One confidence is one bin: 8 right of 10 at .8 leave no gap.
    scores = scored(ExpectedCalibrationError(), [(0.8, int(i < 8)) for i in range(10)])
    assert figure(ExpectedCalibrationError(), scores).value == pytest.approx(0, abs=1e-12)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=2, max_size=60), st.randoms())
@settings(max_examples=40, deadline=None)
def test_ece_is_that_of_the_statistics_whatever_the_order_and_the_gaps_in_scoring(pairs, random):
    scorer = ExpectedCalibrationError()
    expected = ece([c for c, _ in pairs], [y for _, y in pairs])
    scores = [*scored(scorer, pairs), Score.unscored("abstained")]
    assert figure(scorer, scores).value == pytest.approx(expected)
    random.shuffle(scores)
    assert figure(scorer, scores).value == pytest.approx(expected)


def test_the_interval_is_not_biased_upwards_as_a_bootstrap_is():
    # Calibrated confidences: the percentile bootstrap's interval lies wholly above the figure of most sets.
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 200)
    correct = (rng.uniform(size=200) < confidence).astype(int)
    scorer = ExpectedCalibrationError()
    made = figure(scorer, scored(scorer, list(zip(confidence.tolist(), correct.tolist(), strict=True))))
    assert made.ci_method == "normal-t"
    assert made.ci_low <= made.value <= made.ci_high
    assert (made.ci_low + made.ci_high) / 2 == pytest.approx(made.value, abs=0.02)


@pytest.mark.parametrize("scorer", [Brier(), ExpectedCalibrationError()])
@pytest.mark.parametrize(
    ("confidence", "state", "reason"),
    [
        (None, State.CORRECT, "no confidence"),
        (0.9, State.ABSTAINED, "abstained"),
        (None, State.UNSCORED, "unscored"),
    ],
)
def test_what_has_no_confidence_or_no_answer_is_left_out(scorer, confidence, state, reason):
    score = scorer.score(sample(), Outcome(), judged(confidence, state))
    assert (score.value, score.reason) == (None, reason)


@pytest.mark.parametrize("scorer", [Brier(), ExpectedCalibrationError()])
def test_nothing_answered_is_no_figure(scorer):
    made = figure(scorer, [Score.unscored("abstained")] * 3)
    assert (made.value, made.ci_low, made.n_unscored) == (None, None, 3)


def test_one_answer_has_no_interval():
    made = figure(ExpectedCalibrationError(), scored(ExpectedCalibrationError(), [(0.8, 1)]))
    assert made.value == pytest.approx(0.2)
    assert made.ci_low is None
    assert made.ci_reason
