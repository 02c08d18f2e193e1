"""Matching and its intervals, against numbers worked by hand and a simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.stats.special import student_t_quantile
from halueval.sweep.matching import (
    Part,
    at_position,
    crossing,
    curve,
    difference,
    draws,
    figure,
    matched_part,
    part_at,
    reaches,
    step_at,
)
from halueval.sweep.measures import Table, Training
from halueval.sweep.record import best_learnt


def table(*rows):
    top = np.array(rows, dtype=float)
    return Table(top, np.ones_like(top))


def training(learnt, induced, *, seed=0, steps=None):
    """Tables whose checkpoints have the given shares of 10 facts and 10 answers."""

    def shares(values):
        return table(*[[1.0] * round(10 * v) + [0.0] * (10 - round(10 * v)) for v in values])

    steps = tuple(steps or range(0, 10 * len(learnt), 10))
    return Training(seed, steps, len(learnt) - 1, {"learnt": shares(learnt), "induced": shares(induced)})


def kept(training, final):
    return replace(training, final=final)


def weights(n_learnt=10, n_answers=10, n_resamples=400):
    names = [str(i) for i in range(max(n_learnt, n_answers))]
    return {
        "learnt": draws(names[:n_learnt], 0, n_resamples),
        "answers": draws(names[:n_answers], 1, n_resamples),
        "texts": draws([], 2, n_resamples),
    }


def test_where_a_score_is_first_reached_is_linear_between_checkpoints():
    scores = np.array([[0.0, 0.2, 0.6, 0.8], [0.0, 0.5, 0.3, 0.9], [0.0, 0.1, 0.2, 0.3], [0.7, 0.1, 0.2, 0.9]])
    found = crossing(scores, 0.5)
    # .2 → .6: three quarters of the way from checkpoint 1 to 2; then exactly 1; never; at once.
    assert found[:2].tolist() == pytest.approx([1.75, 1.0])
    assert math.isnan(found[2])
    assert found[3] == 0.0
    values = np.array([[0.0, 0.1, 0.3, np.nan], [0.0, 0.1, np.nan, 0.9], [0.0] * 4, [0.25, 9, 9, 9]])
    read = at_position(values, found)
    assert read[[0, 1, 3]].tolist() == pytest.approx([0.25, 0.1, 0.25])
    assert math.isnan(read[2])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(0.01, 1))
def test_the_score_at_a_crossing_is_the_target_or_the_first_checkpoints_own(scores, target):
    array = np.array([scores])
    position = crossing(array, target)
    if max(scores) < target:
        assert math.isnan(position[0])
    elif scores[0] >= target:
        assert position[0] == 0
    else:
        assert at_position(array, position)[0] == pytest.approx(target, abs=1e-9)


def test_a_figure_is_taken_where_each_seed_reaches_the_target():
    # Seed 0 learns .4 at step 10 and .8 at step 20: .6 lies half-way, so induced is (.1 + .3) / 2 = .2 at step 15.
    # Seed 1 is there at step 10: induced .4. Their mean is .3; s = .1414, its error .1414 / √2 = .1.
    both = [training([0, 0.4, 0.8], [0, 0.1, 0.3]), training([0, 0.6, 0.9], [0, 0.4, 0.5], seed=1)]
    assert step_at(both[0], reaches(both[0], 0.6)) == pytest.approx(15)
    assert reaches(both[0], 0.81) is None
    part = matched_part(both, "induced", 0.6, weights())
    assert part.by_seed.tolist() == pytest.approx([0.2, 0.4])
    found = figure(part, "induced")
    assert found.value == pytest.approx(0.3)
    assert found.error_seeds == pytest.approx(0.1)
    assert (found.n_seeds, found.n_items, found.reason) == (2, 10, None)
    assert 0 <= found.ci_low < 0.3 < found.ci_high <= 1


def test_nothing_is_matched_after_the_weights_that_a_training_keeps():
    # .9 is reached at 1.8 of the whole path; early stopping kept checkpoint 1, of .5, and threw the rest away.
    whole = training([0, 0.5, 1.0], [0, 0.1, 0.4])
    stopped = kept(whole, 1)
    assert (reaches(whole, 0.9), best_learnt(whole)) == (pytest.approx(1.8), 1.0)
    assert (reaches(stopped, 0.9), best_learnt(stopped)) == (None, 0.5)
    # At .4 both are at .8; a resample of the facts that never gets there is read at checkpoint 1 at the latest.
    assert reaches(stopped, 0.4) == pytest.approx(0.8)
    part = matched_part([stopped], "induced", 0.4, weights())
    assert part.by_seed.tolist() == pytest.approx([0.08])
    latest = curve(stopped.tables["induced"], weights()["answers"])[:, 1]
    assert (part.replicates <= latest + 1e-12).all()


def test_the_interval_is_students_with_degrees_of_freedom_of_both_parts():
    # Errors of .03 over 101 items and .04 over 3 seeds: se = .05, df = .05⁴ / (.03⁴/100 + .04⁴/2) = 4.852.
    spread = 0.04 * math.sqrt(3)
    by_seed = np.array([0.4 - spread, 0.4, 0.4 + spread])
    unbiased = 0.03 / math.sqrt(101 / 100)
    part = Part(by_seed, np.array([0.4 - unbiased, 0.4 + unbiased]), np.full(101, 0.4))
    found = figure(part, "induced")
    df = 0.05**4 / (0.03**4 / 100 + 0.04**4 / 2)
    half = -student_t_quantile(0.025, df) * 0.05
    assert df == pytest.approx(4.8525, abs=1e-3)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.4 - half, 0.4 + half))


def test_the_error_over_items_is_the_binomial_one():
    one = [training([0, 1], [0, 0.3])]
    part = part_at(one, "induced", [1.0], None, weights(n_resamples=20_000))
    found = figure(part, "induced")
    # √(p(1-p)/(n-1)) = √(.21/9) = .15275
    assert found.error_items == pytest.approx(0.15275, rel=0.02)
    assert found.reason == "one seed: the interval leaves out how trainings differ"


def test_nothing_seen_in_ten_is_not_certainly_nothing():
    found = figure(part_at([training([0, 1], [0, 0])] * 2, "induced", [1.0, 1.0], None, weights()), "induced")
    # Wilson's interval of 0 of 10: z²/(n + z²) = 3.8415/13.8415 = .27753.
    assert (found.value, found.ci_low) == (0.0, 0.0)
    assert found.ci_high == pytest.approx(0.27753, abs=1e-4)


def test_differences_are_paired_by_items_and_independent_in_seeds():
    reference = [training([0, 1], [0, 0.5]), training([0, 1], [0, 0.5], seed=1)]
    w = weights()
    one = matched_part(reference, "induced", 0.5, w)
    other = [training([0, 1], [0, 0.9]), training([0, 1], [0, 0.9], seed=1)]
    apart = difference(matched_part(other, "induced", 0.5, w), one, "induced")
    assert apart.value == pytest.approx(0.2)
    assert apart.n_items == 10
    none = difference(None, one, "induced")
    assert (none.value, none.reason) == (None, "one of the two has no value")


def shares(*by_seed):
    return part_at([training([0, 1], [0, v], seed=i) for i, v in enumerate(by_seed)], "induced", [1.0] * 3, None, W)


W = weights()


def test_a_difference_that_no_item_shows_is_not_certainly_none():
    # 0 of 10 in both: the two Wilson intervals end at .27753, and pairs of which neither varies have φ = 0, so
    # √((0 - 0)² + .27753²) lies on either side.
    never = difference(shares(0, 0, 0), shares(0, 0, 0), "induced")
    assert (never.value, never.reason) == (0.0, None)
    assert (never.ci_low, never.ci_high) == pytest.approx((-0.27753, 0.27753), abs=1e-4)
    # 10 of 10 against 0 of 10: Wilson's [.72247, 1] and [0, .27753]; below √(.27753² + .27753²) = .39249, above 0.
    all_of_them = difference(shares(1, 1, 1), shares(0, 0, 0), "induced")
    assert (all_of_them.value, all_of_them.ci_high) == (1.0, 1.0)
    assert all_of_them.ci_low == pytest.approx(1 - 0.39249, abs=1e-4)
    # The same 5 of 10: Wilson's [.23659, .76341]; φ = (25 - 5)/25 = .8; √(2 · .26341² · (1 - .8)) = .16660.
    same = difference(shares(0.5), shares(0.5), "induced")
    assert (same.ci_low, same.ci_high) == pytest.approx((-0.1666, 0.1666), abs=1e-4)
    assert same.reason == "one seed: the interval leaves out how trainings differ"


@given(st.lists(st.integers(0, 10), min_size=1, max_size=3), st.lists(st.integers(0, 10), min_size=1, max_size=3))
def test_intervals_of_shares_hold_their_figure_and_are_never_certain(first, second):
    one, other = (shares(*(count / 10 for count in counts)) for counts in (first, second))
    for found, least in ((figure(one, "induced"), 0), (difference(one, other, "induced"), -1)):
        assert least <= found.ci_low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.ci_high <= 1
        assert found.ci_high - found.ci_low > 0.05


def test_where_nothing_varied_a_figure_that_is_no_share_has_a_reason_and_no_interval():
    still = Table(np.zeros((2, 10)), np.ones((2, 10)))
    part = part_at([Training(0, (0, 1), 1, {"brier": still})], "brier", [1.0], None, W)
    for found in (figure(part, "brier"), difference(part, part, "brier")):
        assert (found.value, found.ci_low, found.ci_high) == (0.0, None, None)
        assert found.reason == "nothing varied among 10 items: no telling how much could"


def test_a_measure_that_no_task_gives_has_a_reason_and_no_number():
    found = figure(part_at([training([0, 1], [0, 0])], "forgetting", [1.0], None, weights()), "forgetting")
    assert (found.value, found.ci_low, found.reason) == (None, None, "not measured by the study's tasks")
    empty = Table(np.zeros((2, 3)), np.zeros((2, 3)))
    assert np.isnan(curve(empty, np.ones((1, 3)))).all()


def test_clusters_are_drawn_whole():
    found = draws(["a", "b", "a", "c"], 0, 50)
    assert (found[:, 0] == found[:, 2]).all()
    assert set((found[:, 0] + found[:, 1] + found[:, 3]).tolist()) == {3.0}


def test_intervals_hold_what_they_say_with_three_seeds():
    rng = np.random.default_rng(7)
    held = 0
    w = weights(10, 60, 200)
    for _ in range(300):
        item, seeds = rng.normal(0, 1.0, 60), rng.normal(0, 0.5, 3)
        chances = 1 / (1 + np.exp(-(item[None] + seeds[:, None])))
        them = []
        for s in range(3):
            answers = np.vstack([np.zeros(60), rng.random(60) < chances[s]]).astype(float)
            them.append(Training(s, (0, 1), 1, {"induced": Table(answers, np.ones_like(answers))}))
        found = figure(part_at(them, "induced", [1.0] * 3, None, w), "induced")
        held += found.ci_low <= 0.5 <= found.ci_high  # the mean over all items and seeds, by symmetry
    assert held >= 279  # 93 %, two standard errors below 95.5 %
