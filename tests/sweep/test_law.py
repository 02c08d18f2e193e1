"""The linear model of what was fitted, against statsmodels and by hand."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.sweep.law import Point, fit_law


def points(values):
    return [Point(name, step, accuracy, known, unknown) for name, step, accuracy, known, unknown in values]


def test_a_law_without_noise_is_found_exactly():
    made = fit_law(
        points(
            [
                (f"t{i}", step, 0.4 + 0.1 * known - 0.2 * unknown, known, unknown)
                for i, (share_known, share_unknown) in enumerate([(1, 0), (0.5, 0.5), (0, 1)])
                for step, known, unknown in [
                    (1, 0.4 * share_known, 0.1 * share_unknown),
                    (2, share_known, share_unknown),
                ]
            ]
        )
    )
    values = {name: found.value for name, found in made.coefficients.items()}
    assert values == pytest.approx({"intercept": 0.4, "known": 0.1, "unknown": -0.2})
    assert made.r_squared == pytest.approx(1)
    assert (made.n_points, made.n_trainings) == (6, 3)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_coefficients_and_r_squared_are_those_of_statsmodels(seed):
    rng = np.random.default_rng(seed)
    rows = [(f"t{i // 4}", i % 4, *rng.uniform(size=3).tolist()) for i in range(20)]
    made = fit_law(points(rows))
    design = sm.add_constant(np.array([(known, unknown) for *_, known, unknown in rows]))
    theirs = sm.OLS(np.array([row[2] for row in rows]), design).fit()
    assert [c.value for c in made.coefficients.values()] == pytest.approx(theirs.params.tolist())
    assert made.r_squared == pytest.approx(theirs.rsquared)


def test_the_interval_is_the_jackknife_over_trainings():
    rng = np.random.default_rng(0)
    rows = [(f"t{i // 2}", i % 2, *rng.uniform(size=3).tolist()) for i in range(12)]
    made = fit_law(points(rows)).coefficients["unknown"]
    left = []
    for name in {row[0] for row in rows}:
        rest = [row for row in rows if row[0] != name]
        design = sm.add_constant(np.array([(known, unknown) for *_, known, unknown in rest]))
        left.append(sm.OLS(np.array([row[2] for row in rest]), design).fit().params[2])
    error = np.sqrt(5 / 6 * ((np.array(left) - np.mean(left)) ** 2).sum())
    assert (made.ci_high - made.ci_low) / 2 == pytest.approx(2.5705818 * error)  # Student's t with 5 degrees of freedom


def test_copies_of_a_training_do_not_make_it_surer_than_it_is():
    rng = np.random.default_rng(1)
    rows = [(f"t{i}", 1, *rng.uniform(size=3).tolist()) for i in range(8)]
    once = fit_law(points(rows)).coefficients["known"]
    twice = fit_law(points([*rows, *((name, 2, *rest) for name, _, *rest in rows)])).coefficients["known"]
    assert (once.ci_low, once.ci_high) == pytest.approx((twice.ci_low, twice.ci_high))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a", 1, 0.1, 0.2, 0.3)] * 5, "5 checkpoints of 1 trainings"),
        (
            [("a", 1, 0.1, 0.2, 0.0), ("b", 1, 0.2, 0.4, 0.0), ("a", 2, 0.3, 0.5, 0.0), ("b", 2, 0.3, 0.1, 0.0)],
            "do not vary",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused(rows, said):
    with pytest.raises(ValueError, match=said):
        fit_law(points(rows))
