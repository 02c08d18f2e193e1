"""Calibration as figures of a run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import sample

from halueval.schema import Judged, Outcome, Score, State
from halueval.scorers.aggregate import summarise
from halueval.scorers.calibration import (
    Brier,
    BrierReliability,
    BrierResolution,
    BrierUncertainty,
    BrierWithinBins,
    EceEqualWidth,
    EceEqualWidthFloor,
    EceFloor,
    ExpectedCalibrationError,
    NegativeLogLikelihood,
)
from halueval.scorers.class_calibration import AdaptiveClasswiseECE, BrierSum, ChoiceNLL, ClasswiseECE
from halueval.stats.calibration import ece, ece_floor
from halueval.stats.scoring_rules import classwise_ece, murphy


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


# Both kinds of bins, floors, Murphy's parts, NLL: against the statistics behind `halueval calibrate`.

PAIRS = [(0.05, 0), (0.1, 0), (0.35, 1), (0.36, 0), (0.6, 1), (0.62, 1), (0.63, 0), (0.9, 1), (0.95, 1), (1.0, 1)]
CONFIDENCE, CORRECT = ([pair[i] for pair in PAIRS] for i in (0, 1))
ANSWER_FIGURES = (
    EceEqualWidth,
    EceFloor,
    EceEqualWidthFloor,
    BrierReliability,
    BrierResolution,
    BrierUncertainty,
    BrierWithinBins,
    NegativeLogLikelihood,
)


def test_equal_width_by_hand():
    # Bins of a fifteenth: .35 and .36 share the sixth, .62 and .63 the tenth with .6 alone in the ninth.
    gaps = [0.05, 0.1, abs(1 - 0.35 - 0.36), 0.4, abs(1 - 0.62 - 0.63), 0.1, 0.05, 0.0]
    scorer = EceEqualWidth()
    made = figure(scorer, scored(scorer, PAIRS))
    assert made.value == pytest.approx(sum(gaps) / 10)
    assert made.value == pytest.approx(ece(CONFIDENCE, CORRECT, scheme="equal_width"))
    assert made.ci_low <= made.value <= made.ci_high


def test_the_floor_is_what_calibrated_answers_would_have():
    # One confidence of .5 for four answers: the gap is |2 - right|/4; right is binomial: 3/16 on average.
    scorer = EceFloor()
    made = figure(scorer, scored(scorer, [(0.5, 1)] * 4))
    assert made.value == pytest.approx(3 / 16, abs=0.01)
    assert (made.ci_low, made.ci_high) == (0.0, 0.5)
    assert made.ci_method == "calibrated-draws"
    wide, mass = (figure(s, scored(s, PAIRS)).value for s in (EceEqualWidthFloor(), EceFloor()))
    assert wide == pytest.approx(ece_floor(CONFIDENCE, scheme="equal_width", n_resamples=2000))
    assert mass == pytest.approx(ece_floor(CONFIDENCE, n_resamples=2000))


def test_murphys_parts_add_up_to_brier():
    parts = {s.name: figure(s, scored(s, PAIRS)) for s in (cls() for cls in ANSWER_FIGURES if "Brier" in cls.__name__)}
    expected = murphy(CONFIDENCE, CORRECT)
    assert parts["brier_reliability"].value == pytest.approx(expected.reliability)
    assert parts["brier_resolution"].value == pytest.approx(expected.resolution)
    assert parts["brier_uncertainty"].value == pytest.approx(0.6 * 0.4)
    signs = {"brier_reliability": 1, "brier_resolution": -1, "brier_uncertainty": 1, "brier_within_bins": 1}
    total = sum(sign * parts[name].value for name, sign in signs.items())
    assert total == pytest.approx(figure(Brier(), scored(Brier(), PAIRS)).value)
    for made in parts.values():
        assert made.ci_low <= made.value <= made.ci_high
        assert made.ci_method == "bootstrap-standard"


def test_nll_of_answers_by_hand():
    scorer = NegativeLogLikelihood()
    made = figure(scorer, scored(scorer, [(0.5, 1), (0.25, 0), (0.0, 1)]))
    assert made.value == pytest.approx((np.log(2) - np.log(0.75) + 12 * np.log(10)) / 3)


@pytest.mark.parametrize("cls", ANSWER_FIGURES, ids=lambda cls: cls.name)
def test_figures_do_not_heed_order_nor_what_is_left_out(cls):
    scorer = cls()
    plain = figure(scorer, scored(scorer, PAIRS))
    assert plain.ci_low is not None
    mixed = [*scored(scorer, PAIRS[::-1]), Score.unscored("abstained")]
    names = [str(i) for i in reversed(range(10))] + ["left out"]
    again = figure(scorer, mixed, names)
    assert again.value == pytest.approx(plain.value)
    if cls is not NegativeLogLikelihood:  # whose bootstrap draws the empty cluster too
        assert (again.ci_low, again.ci_high) == pytest.approx((plain.ci_low, plain.ci_high))
    assert scorer.score(sample(), Outcome(), judged(None, State.CORRECT)).reason == "no confidence"
    assert scorer.score(sample(), Outcome(), judged(0.5, State.ABSTAINED)).reason == "abstained"


@pytest.mark.parametrize("cls", [EceEqualWidth, BrierReliability, BrierUncertainty])
def test_where_all_answers_are_alike_there_is_no_interval(cls):
    made = figure(cls(), scored(cls(), [(0.9, 1), (0.8, 1), (0.7, 1)]))
    assert made.value is not None
    assert (made.ci_low, made.ci_reason) == (None, "all answers are right")


# All choices


def choose(scorer, rows, choices=("no", "yes")):
    """Scores of samples with these probabilities and right classes."""
    samples = [sample(choices=choices, gold=gold) for _, gold in rows]
    scorer.prepare(samples)
    out = []
    for one, (p, gold) in zip(samples, rows, strict=True):
        chosen = int(np.argmax(p))
        state = State.CORRECT if chosen in gold else State.HALLUCINATED
        # Log-likelihoods are probabilities up to a factor, which a softmax takes away.
        outcome = Outcome(loglikelihoods=tuple(float(np.log(value)) - 3.0 for value in p))
        out.append(scorer.score(one, outcome, judged(max(p), state)))
    return out


# None of them a multiple of a fifteenth, an edge that rounding could pass.
ROWS = [((0.81, 0.19), (0,)), ((0.62, 0.38), (1,)), ((0.3, 0.7), (1,)), ((0.1, 0.9), (1,)), ((0.55, 0.45), (0,))]
GOLD = [gold for _, gold in ROWS]
P = np.array([p for p, _ in ROWS])


def test_all_choices_against_the_statistics():
    for cls, scheme in ((ClasswiseECE, "equal_width"), (AdaptiveClasswiseECE, "equal_mass")):
        made = figure(cls(), choose(cls(), ROWS))
        assert made.value == pytest.approx(classwise_ece(P, GOLD, scheme=scheme))
        assert made.ci_low <= made.value <= made.ci_high
    # Of two classes twice the scalar score: .19, .62, .3, .1 and .45 are given to what was wrong.
    expected = 2 * np.mean([0.19**2, 0.62**2, 0.3**2, 0.1**2, 0.45**2])
    assert figure(BrierSum(), choose(BrierSum(), ROWS)).value == pytest.approx(expected)
    expected = -np.mean(np.log([0.81, 0.38, 0.7, 0.9, 0.55]))
    assert figure(ChoiceNLL(), choose(ChoiceNLL(), ROWS)).value == pytest.approx(expected)


def test_several_right_choices_count_together_or_not_at_all():
    rows = [((0.5, 0.3, 0.2), (0, 2))]
    (score,) = choose(ChoiceNLL(), rows, "abc")
    assert score.value == pytest.approx(-np.log(0.7))
    for scorer in (BrierSum(), ClasswiseECE()):
        assert choose(scorer, rows, "abc")[0].reason == "more than one right choice"


def test_choices_that_are_no_classes_have_no_classwise_error():
    scorer = ClasswiseECE()
    scorer.prepare([sample(choices=("a", "b")), sample(choices=("c", "d"))])
    assert scorer.score(sample(), Outcome(), judged(0.5, State.CORRECT)).reason == "choices differ between samples"
    many = AdaptiveClasswiseECE()
    many.prepare([sample(choices=tuple(map(str, range(41))))])
    assert many.score(sample(), Outcome(), judged(0.5, State.CORRECT)).reason == "41 choices; at most 40"


def test_a_left_out_row_leaves_the_classwise_error_as_it_is():
    scorer = ClasswiseECE()
    scores = choose(scorer, ROWS)
    scores.insert(2, Score.unscored("a log-likelihood is missing"))
    made = figure(scorer, scores)
    assert (made.value, made.n_unscored) == (pytest.approx(classwise_ece(P, GOLD)), 1)


def test_bins_of_equal_mass_are_not_ascribed_to_those_who_took_equal_width():
    assert "equal mass" in ExpectedCalibrationError.summary
    assert "Nguyen and O'Connor 2015" in ExpectedCalibrationError.summary
    assert "Guo" not in ExpectedCalibrationError.summary
