"""Temperature and Platt scaling: known values recovered, other implementations matched."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.calibration import _SigmoidCalibration

from halueval.stats.rescaling import (
    BOUNDS,
    Platt,
    apply_platt,
    fit_platt,
    fit_temperature,
    golden_section,
    logit,
    pad,
    softmax,
    temperature_nll_terms,
)


def answers(n, temperature, *, classes=4, seed=1):
    """Log-probabilities that are right when divided by `temperature`, with right classes drawn from them."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, size=(n, classes))
    p = softmax(true)
    gold = [[int(rng.choice(classes, p=row))] for row in p]
    return true * temperature, gold, [str(i) for i in range(n)]


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_recovered(temperature):
    fitted = fit_temperature(*answers(4000, temperature))
    assert fitted.value == pytest.approx(temperature, rel=0.07)
    assert not fitted.at_bound
    assert fitted.interval.low < temperature < fitted.interval.high


def test_temperature_is_the_minimum_that_scipy_finds():
    scores, gold, names = answers(200, 2.0)
    found = minimize_scalar(
        lambda t: temperature_nll_terms(scores, gold, t).mean(),
        bounds=BOUNDS,
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert fit_temperature(scores, gold, names).value == pytest.approx(found.x, rel=1e-5)


def test_nll_at_a_temperature_by_hand():
    scores = np.log(np.array([[0.8, 0.2]]))
    # At T = 2 the odds of 4 become 2: p = 2/3.
    assert temperature_nll_terms(scores, [[0]], 2.0)[0] == pytest.approx(-math.log(2 / 3))
    assert temperature_nll_terms(scores, [[0, 1]], 2.0)[0] == pytest.approx(0)
    assert softmax(scores, 2.0)[0] == pytest.approx([2 / 3, 1 / 3])


def test_samples_may_have_different_numbers_of_choices():
    scores = pad([[-1.0, -2.0], [-1.0, -2.0, -3.0]])
    p = softmax(scores)
    assert p[0, 2] == 0
    assert p.sum(axis=1) == pytest.approx([1, 1])
    assert np.isfinite(temperature_nll_terms(scores, [[0], [2]], 0.05)).all()


def test_all_right_is_told_as_a_bound():
    fitted = fit_temperature(np.array([[0.0, -1.0]] * 10), [[0]] * 10, [str(i) for i in range(10)])
    assert fitted.at_bound
    assert fitted.value == pytest.approx(BOUNDS[0])
    assert fitted.interval.low is None


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_changes_no_digit(random):
    scores, gold, names = answers(60, 2.0)
    order = list(range(60))
    random.shuffle(order)
    shuffled = fit_temperature(scores[order], [gold[i] for i in order], [names[i] for i in order], n_resamples=50)
    assert shuffled == fit_temperature(scores, gold, names, n_resamples=50)


def test_golden_section_of_a_parabola():
    assert golden_section(lambda x: (x - 0.3) ** 2, -1, 2) == pytest.approx(0.3, abs=1e-6)


def test_platt_equals_scikit_learns():
    rng = np.random.default_rng(5)
    conf = rng.beta(4, 1.5, size=300)
    right = (rng.random(300) < conf**3).astype(int)
    fitted = fit_platt(conf, right)
    reference = _SigmoidCalibration().fit(logit(conf), right)
    # There the probability is 1/(1 + exp(a·x + b)).
    assert (fitted.slope, fitted.intercept) == pytest.approx((-reference.a_, -reference.b_), rel=1e-3, abs=1e-4)
    assert apply_platt(conf, fitted).mean() == pytest.approx(right.mean(), abs=0.01)


def test_platts_targets_keep_a_perfect_fit_finite():
    # All of two right: targets 3/4, so the probability is 3/4, not 1.
    assert apply_platt([0.4, 0.4], fit_platt([0.4, 0.4], [1, 1])) == pytest.approx([0.75, 0.75])


def test_platt_of_tiny_sequence_probabilities():
    conf = [0.0, 1e-300, 1e-200, 1e-9, 0.2, 0.5]
    made = apply_platt(conf, fit_platt(conf, [0, 0, 1, 0, 1, 1]))
    assert ((made > 0) & (made < 1)).all()
    assert list(made) == sorted(made)


def test_the_identity_leaves_confidences_alone():
    assert apply_platt([0.1, 0.5, 0.9], Platt(1.0, 0.0)) == pytest.approx([0.1, 0.5, 0.9])


@pytest.mark.parametrize("rows", [[], [[]], [[0.0, math.inf]], [[math.nan, 0.0]]])
def test_scores_that_are_none_are_refused(rows):
    with pytest.raises(ValueError, match="finite log-probabilities"):
        pad(rows)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="clusters"):
        fit_temperature(np.array([[0.0, 1.0]]), [[0]], ["a", "b"])
    with pytest.raises(ValueError, match="zeros and ones"):
        fit_platt([0.5], [0.5])
    with pytest.raises(ValueError, match="zeros and ones"):
        fit_platt([], [])
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        fit_platt([1.5], [1])
