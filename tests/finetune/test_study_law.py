"""The law, early stop and intervals on answers that were planted."""

import numpy as np
import pytest

from benchmarks.study.facts import Fact, draw, split
from benchmarks.study.law import HeldOut, Replicates, digits, fit, law, once_formed, stopping
from benchmarks.study.settings import Settings
from benchmarks.study.trainings import Point, Trained
from halueval.errors import DataError

N = 1000


def held_out(development=0):
    return HeldOut(known=np.ones(N, dtype=bool), development=np.arange(N) < development)


def answers(right, total=N):
    return "1" * right + "0" * (total - right)


def training(share, seed, fitted, right):
    """Four facts; `fitted` are (known, unknown) at each checkpoint, `right` of N held-out facts."""
    points = tuple(
        Point(epoch, None, known, unknown, answers(n))
        for epoch, ((known, unknown), n) in enumerate(zip(fitted, right, strict=True), 1)
    )
    unknown = round(4 * share)
    return Trained("id", share, seed, 4 - unknown, unknown, "w", 1.0, points)


def planted(noise=(0, 0)):
    """Accuracy exactly 400 + 80 · known − 120 · unknown of 1,000, but for noise by seed."""
    made = []
    for seed, extra in enumerate(noise):
        for share, ends in ((0.0, (4, 0)), (0.5, (2, 2)), (1.0, (0, 4))):
            fitted = [(ends[0] // 2, 0), ends]
            right = [400 + 20 * k - 30 * u + extra for k, u in fitted]
            made.append(training(share, seed, fitted, right))
    return made


def test_the_law_without_the_first_checkpoint_sees_the_others_alone():
    # At the first checkpoint the form is not learnt: 300 fewer are right, whatever is fitted.
    made = []
    for share, ends in ((0.0, (4, 0)), (0.5, (2, 2)), (1.0, (0, 4))):
        fitted = [(0, 0), (ends[0] // 2, ends[1] // 2), ends]
        right = [400 + 20 * k - 30 * u - 300 * (i == 0) for i, (k, u) in enumerate(fitted)]
        made += [training(share, seed, fitted, right) for seed in (0, 1)]
    drawn = Replicates(made, N, 50)
    whole, later = law(made, held_out(), "all", drawn), law(once_formed(made), held_out(), "all", drawn)
    assert (whole["n_points"], later["n_points"]) == (18, 12)
    assert later["known_fitted"]["value"] == pytest.approx(8)
    assert later["unknown_fitted"]["value"] == pytest.approx(-12)
    assert whole["unknown_fitted"]["value"] > 0  # credited with the form


def test_least_squares_by_hand():
    # y = 1 + 2x through (0, 1) and (1, 3); the third point has no weight.
    found, r_squared = fit(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 9.0]), np.array([1.0, 1.0, 0.0]))
    assert found == pytest.approx([1, 2])
    assert r_squared == pytest.approx(1)


def test_what_is_not_determined_is_no_number():
    found, r_squared = fit(np.array([[1.0], [1.0]]), np.array([1.0, 3.0]), np.ones(2))
    assert np.isnan(found).all()
    assert np.isnan(r_squared)


def test_planted_law_is_found_with_intervals_around_it():
    trained = planted()
    found = law(trained, held_out(), "all", Replicates(trained, N, 300))
    assert found["n_points"] == 12
    assert found["intercept"]["value"] == pytest.approx(40)
    assert found["known_fitted"]["value"] == pytest.approx(8)
    assert found["unknown_fitted"]["value"] == pytest.approx(-12)
    assert found["unknown_less_known"]["value"] == pytest.approx(-20)
    assert found["r_squared"]["value"] == pytest.approx(1)
    # Trainings agree, so that only the facts vary: p (1 - p) / n at .4 is 1.55 points, 1.96 of which are 3.0.
    low, high = found["intercept"]["ci_low"], found["intercept"]["ci_high"]
    assert low < 40 < high
    assert high - low == pytest.approx(2 * 3.0, rel=0.25)


def test_trainings_that_differ_widen_the_interval():
    def width(trained):
        found = law(trained, held_out(), "all", Replicates(trained, N, 300))["intercept"]
        return found["ci_high"] - found["ci_low"]

    assert width(planted((-150, 150))) > 2 * width(planted())


def test_one_training_of_a_mix_gives_no_interval():
    trained = planted((0,))
    found = law(trained, held_out(), "all", Replicates(trained, N, 100))["known_fitted"]
    assert found["value"] == pytest.approx(8)
    assert found["ci_low"] is None
    assert "fewer than 2 trainings" in found["reason"]


def test_replicates_draw_one_training_fewer_and_keep_the_weight():
    trained = [training(share, seed, [(0, 0)], [1]) for share in (0.0, 1.0) for seed in range(3)]
    drawn = Replicates(trained, 5, 400)
    assert (drawn.trainings[0] == 1).all()
    assert drawn.trainings[:, :3].sum(axis=1) == pytest.approx(3)
    assert set(np.unique(drawn.trainings[1:])) == {0, 1.5, 3}
    # Variance of the weighted mean of 0, 1, 2 is s² / m = 1 / 3, without the (m - 1) / m of the plain bootstrap.
    assert (drawn.trainings[1:, :3] @ [0, 1, 2] / 3).var() == pytest.approx(1 / 3, rel=0.2)
    assert (drawn.facts.sum(axis=1) == 5).all()


def test_early_stop_is_chosen_on_development_and_measured_on_test():
    parts = HeldOut(known=np.ones(6, dtype=bool), development=np.array([True, True, False, False, False, False]))

    def one(seed, *texts):
        points = tuple(Point(i, None, 0, i, text) for i, text in enumerate(texts, 1))
        return Trained("id", 1.0, seed, 0, 4, "w", 1.0, points)

    # Seed 0 is best on development after epoch 2; seed 1 is equal twice, and the earlier counts.
    trained = [one(0, "001111", "111100", "100000"), one(1, "101110", "101111", "001000")]
    (row,) = stopping(trained, parts, "known", Replicates(trained, 6, 100))
    assert row["early_epochs"] == [2, 1]
    assert row["early"]["value"] == pytest.approx(100 * (2 / 4 + 3 / 4) / 2)
    assert row["converged"]["value"] == pytest.approx(100 * (0 + 1 / 4) / 2)
    assert row["change"]["value"] == pytest.approx(-50)
    assert row["known_fitted_at_end"] == {"fitted": 0, "of": 0}
    assert row["unknown_fitted_at_end"] == {"fitted": 6, "of": 8}


def test_digits():
    assert digits("0110").tolist() == [0, 1, 1, 0]


def facts(known, unknown):
    return [
        Fact(f"{i:03}", f"r{i % 3}", f"question {i}?", ("a",), "MaybeKnown" if i < known else "Unknown")
        for i in range(known + unknown)
    ]


def test_split_has_no_fact_twice_and_every_part_its_share():
    parts = split(facts(60, 60))
    whole = [*parts.pool, *parts.development, *parts.test]
    assert len({fact.doc_hash for fact in whole}) == len(whole) == 120
    assert (len(parts.pool), len(parts.development), len(parts.test)) == (60, 20, 40)
    assert [sum(f.known for f in part) for part in (parts.pool, parts.development, parts.test)] == [30, 10, 20]


def test_mixes_of_one_seed_share_what_they_can():
    settings = Settings(train=8)
    pool = facts(20, 20)
    drawn = {share: {f.doc_hash for f in draw(pool, settings, share, 0)} for share in (0.0, 0.5, 1.0)}
    assert all(len(some) == 8 for some in drawn.values())
    assert len(drawn[0.5] & drawn[0.0]) == len(drawn[0.5] & drawn[1.0]) == 4
    assert drawn[0.0] != {f.doc_hash for f in draw(pool, settings, 0.0, 1)}


def test_too_few_facts_of_a_kind_are_named():
    with pytest.raises(DataError, match=r"8 unknown facts .* 3 of the 23 .* raise --facts"):
        draw(facts(20, 3), Settings(train=8), 1.0, 0)
