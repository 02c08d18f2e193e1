"""Calibration error, its floor, Brier and log score."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from halueval.stats.bootstrap import table_difference
from halueval.stats.calibration import (
    assign_bins,
    brier,
    brier_terms,
    ece,
    ece_difference,
    ece_floor,
    ece_of_sums,
    ece_table,
    negative_log_likelihood,
    negative_log_likelihood_terms,
    reliability_curve,
)

ANSWERS = st.lists(st.tuples(st.integers(0, 20).map(lambda i: i / 20), st.integers(0, 1)), min_size=1, max_size=60)


def test_ece_by_hand():
    # Two bins of two: |0.5 - 0.3| and |1 - 0.8|, half of the samples each: .2.
    confidence, correct = [0.2, 0.4, 0.7, 0.9], [0, 1, 1, 1]
    assert ece(confidence, correct, n_bins=2) == pytest.approx(0.2)
    # Equal width, five bins (0, .2], (.2, .4], (.6, .8], (.8, 1]: (.2 + .6 + .3 + .1) / 4.
    assert ece(confidence, correct, n_bins=5, scheme="equal_width") == pytest.approx(0.3)
    # One bin: |.75 - .55|.
    assert ece(confidence, correct, n_bins=1) == pytest.approx(0.2)


def test_an_edge_belongs_to_the_bin_below():
    confidences = [0.0, 0.2, 0.2000001, 0.6, 1.0]
    assert assign_bins(confidences, n_bins=5, scheme="equal_width").tolist() == [0, 0, 1, 2, 4]


def test_bins_of_equal_mass_hold_as_many():
    confidence = np.random.default_rng(0).random(150)
    assert np.bincount(assign_bins(confidence)).tolist() == [10] * 15


def test_ties_share_a_bin():
    # Eight equal confidences in the middle of ten are one bin, however many bins there are; were they cut by
    # order, ECE would change with the order of the answers: |.25 - .5| would be |0 - .5| and |.5 - .5|.
    confidence = [0.1] + [0.5] * 8 + [0.9]
    bins = assign_bins(confidence, n_bins=4)
    assert len(set(bins[1:9])) == 1
    correct = [0, 1, 1, 0, 0, 0, 0, 0, 0, 1]
    assert ece(confidence, correct, n_bins=4) == pytest.approx((0.1 + 8 * 0.25 + 0.1) / 10)


@given(ANSWERS, st.randoms(), st.sampled_from(["equal_mass", "equal_width"]))
def test_the_order_changes_nothing(answers, random, scheme):
    confidence, correct = zip(*answers, strict=True)
    random.shuffle(answers)
    shuffled, right = zip(*answers, strict=True)
    assert ece(confidence, correct, scheme=scheme) == pytest.approx(ece(shuffled, right, scheme=scheme))
    assert 0 <= ece(confidence, correct, scheme=scheme) <= 1
    assert ece_floor(confidence, n_resamples=3) == ece_floor(shuffled, n_resamples=3)


@given(ANSWERS, st.sampled_from(["equal_mass", "equal_width"]))
def test_the_curve_sums_to_the_ece(answers, scheme):
    confidence, correct = zip(*answers, strict=True)
    curve = reliability_curve(confidence, correct, scheme=scheme)
    from_curve = sum(b.count * abs(b.accuracy - b.confidence) for b in curve) / len(answers)
    assert from_curve == pytest.approx(ece(confidence, correct, scheme=scheme))
    assert sum(b.count for b in curve) == len(answers)
    assert all(b.low <= b.accuracy <= b.high for b in curve)
    assert [b.confidence for b in curve] == sorted(b.confidence for b in curve)


def test_the_curve_is_sklearns():
    rng = np.random.default_rng(1)
    confidence = rng.random(500)
    correct = (rng.random(500) < confidence).astype(int)
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=10, strategy="uniform")
    curve = reliability_curve(confidence, correct, n_bins=10, scheme="equal_width")
    assert [b.accuracy for b in curve] == pytest.approx(accuracy)
    assert [b.confidence for b in curve] == pytest.approx(mean_confidence)


def test_the_table_gives_the_ece():
    rng = np.random.default_rng(2)
    confidence, correct = rng.random(80), rng.integers(0, 2, 80)
    table = ece_table(confidence, correct, assign_bins(confidence))
    assert table.shape == (80, 16)
    assert ece_of_sums(table.sum(axis=0)[None])[0] == pytest.approx(ece(confidence, correct))
    assert math.isnan(ece_of_sums(np.zeros((1, 16)))[0])


def test_the_change_of_the_ece_has_an_interval():
    # The candidate is sure of everything and as often right: ECE rises from about 0 to about .3.
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 0.9, size=2000)
    correct = (rng.random(2000) < confidence).astype(float)
    sure = np.full(2000, 0.999)
    tables = [ece_table(c, correct, assign_bins(c)) for c in (confidence, sure)]
    interval = table_difference(tables[0], tables[1], ece_of_sums, n_resamples=1000)
    assert 0.2 < interval.low < ece(sure, correct) - ece(confidence, correct) < interval.high < 0.35


def test_the_floor_of_one_bin_by_hand():
    # Two coins of confidence .5 in one bin: |k/2 - .5| is .5, 0, .5 with 1/4, 1/2, 1/4: .25.
    assert ece_floor([0.5, 0.5], n_resamples=20_000) == pytest.approx(0.25, abs=0.01)
    assert ece_floor([0.0, 1.0, 1.0]) == 0.0


def test_a_calibrated_model_scores_the_floor_and_not_zero():
    rng = np.random.default_rng(4)
    confidence = rng.uniform(0.2, 1, size=300)
    floor = ece_floor(confidence)
    scores = [ece(confidence, (rng.random(300) < confidence).astype(int)) for _ in range(200)]
    assert floor == pytest.approx(np.mean(scores), rel=0.05)
    assert floor > 0.05
    # Four times the samples halve it.
    assert ece_floor(np.tile(confidence, 4)) == pytest.approx(floor / 2, rel=0.08)
    assert ece_floor(confidence, seed=1) != floor == ece_floor(confidence)


@given(ANSWERS)
def test_brier_and_log_score_are_sklearns(answers):
    confidence, correct = (np.array(side) for side in zip(*answers, strict=True))
    assert brier(confidence, correct) == pytest.approx(
        brier_score_loss(correct, confidence, labels=[0, 1], pos_label=1), abs=1e-12
    )
    inside = np.clip(confidence, 0.01, 0.99)
    assert negative_log_likelihood(inside, correct) == pytest.approx(log_loss(correct, inside, labels=[0, 1]))
    assert brier_terms(confidence, correct).mean() == pytest.approx(brier(confidence, correct), abs=1e-12)


def test_scores_by_hand():
    # (.8 - 1)² and (.6 - 0)²: .04 and .36; -ln .8 and -ln .4.
    assert brier([0.8, 0.6], [1, 0]) == pytest.approx(0.2)
    assert negative_log_likelihood_terms([0.8, 0.6], [1, 0]) == pytest.approx([0.22314, 0.91629], abs=1e-5)


def test_a_rounded_certainty_is_not_infinitely_wrong():
    # -ln 1e-12 = 27.631.
    assert negative_log_likelihood([1.0], [0]) == pytest.approx(27.631, abs=1e-3)
    assert negative_log_likelihood([1.0], [1]) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ece([], []), "confidences"),
        (lambda: ece([0.5, math.nan], [1, 0]), "confidences"),
        (lambda: ece([1.2], [1]), "confidences"),
        (lambda: ece([0.5], [1, 0]), "1 confidences"),
        (lambda: brier([0.5], [0.3]), "zeros and ones"),
        (lambda: ece([0.5], [1], n_bins=0), "0 bins"),
        (lambda: ece([0.5], [1], scheme="log"), "equal_mass or equal_width"),
        (lambda: ece_floor([0.5], n_resamples=0), "0 resamples"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def one_bin(confidence, correct):
    return ece_table(confidence, correct, np.zeros(len(confidence), dtype=np.intp), n_bins=1)


def test_ece_far_from_zero_changes_like_a_mean():
    # One bin, both models too sure by far: ECE is minus a mean, and the error of its change that of paired samples.
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.8, 1.0, size=400)
    right = (rng.random((2, 400)) < [[0.3], [0.5]]).astype(float)
    for made in ece_difference(one_bin(confidence, right[0]), one_bin(confidence, right[1])):
        assert made.value == pytest.approx(right[0].mean() - right[1].mean())
        assert made.standard_error == pytest.approx(stats.sem(right[1] - right[0]), rel=0.03)
        assert (made.df, made.n_clusters) == (399, 400)


def test_ece_at_zero_varies_like_half_normals():
    # Half of the answers given at .5 are right: no gap, and each ECE is |normal|, of variance (1 - 2/π)σ². The right
    # answers of the two are uncorrelated by design.
    a, b = np.tile([0.0, 1.0, 0.0, 1.0], 50), np.tile([0.0, 0.0, 1.0, 1.0], 50)
    for made in ece_difference(one_bin(np.full(200, 0.5), a), one_bin(np.full(200, 0.5), b)):
        assert made.standard_error == pytest.approx(math.sqrt(2 * (1 - 2 / math.pi) * 0.25 / 199), rel=0.03)


def test_half_of_the_noise_is_taken_off_a_gap_for_the_interval():
    # 14 of 20 right at .5: a gap of .2 with a variance s² of .21/19, which leaves a centre of √(.04 - s²/2) in one.
    # The other model is always right, at 1: no gap, no noise. |normal| of mean m has the variance m² + s² - mean².
    right, sure = np.r_[np.ones(14), np.zeros(6)], np.ones(20)
    made = ece_difference(one_bin(sure, sure), one_bin(np.full(20, 0.5), right), n_resamples=100_000)
    deviation = math.sqrt(0.21 / 19)
    for estimate, share in zip(made, (0.5, 0.0), strict=True):
        centre = math.sqrt(0.04 - share * deviation**2)
        folded = stats.foldnorm(centre / deviation, scale=deviation)
        assert estimate.standard_error == pytest.approx(folded.std(), rel=0.01)
    assert made[0].standard_error < made[1].standard_error


def test_copies_in_a_cluster_say_nothing_new_about_ece():
    rng = np.random.default_rng(1)
    confidence, right = rng.random((2, 60)), (rng.random((2, 60)) < 0.6).astype(float)
    tables = [ece_table(c, r, assign_bins(c)) for c, r in zip(confidence, right, strict=True)]
    names = [str(i // 4) for i in range(240)]
    once, _ = ece_difference(*tables)
    fourfold, _ = ece_difference(*(np.repeat(table, 4, axis=0) for table in tables), names)
    assert fourfold.standard_error == pytest.approx(once.standard_error, rel=0.03)
    assert fourfold.value == pytest.approx(once.value)


def test_equal_models_have_no_change_of_ece():
    table = one_bin([0.5, 0.7, 0.9], [0, 1, 1])
    made, _ = ece_difference(table, table)
    assert (made.value, made.standard_error, made.p_value()) == (0.0, 0.0, None)
    alone, _ = ece_difference(table, one_bin([0.5, 0.7, 0.9], [1, 1, 1]), ["a", "a", "a"])
    assert alone.interval().reason == "1 cluster: nothing to compare it with"
    with pytest.raises(ValueError, match="draws"):
        ece_difference(table, table[:2])
