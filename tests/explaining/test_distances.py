"""Distances of texts and vectors, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from halueval.explaining.distribution import distribution, draw, no_distribution
from halueval.explaining.embedding import embedding_distances, energy, pairwise
from halueval.explaining.lexical import js_distance, lexical_distances

counts = hnp.arrays(np.float64, 5, elements=st.integers(0, 20).map(float)).filter(lambda a: a.sum() > 0)


def test_jensen_shannon_by_hand():
    assert js_distance(np.array([2.0, 0.0]), np.array([0.0, 5.0])) == 1.0
    assert js_distance(np.array([2.0, 4.0]), np.array([1.0, 2.0])) == 0.0
    # p = (1, 0), q = (1/2, 1/2): H(3/4, 1/4) - H(q)/2 = .811278 - .5 bits
    assert js_distance(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(math.sqrt(0.311278), abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(counts, counts, counts)
def test_jensen_shannon_is_a_metric(p, q, r):
    assert 0 <= js_distance(p, q) <= 1
    assert js_distance(p, q) == pytest.approx(js_distance(q, p))
    assert js_distance(p, r) <= js_distance(p, q) + js_distance(q, r) + 1e-9


def test_lexical_measures():
    left = [["the", "cat", "sat"]] * 6
    found = lexical_distances(left, [["the", "dog", "ran"]] * 6, n_permutations=99, seed=0)
    # One word of three is common: JSD = 2/3 bit.
    assert found["js_distance_1"]["value"] == pytest.approx(math.sqrt(2 / 3))
    assert found["js_distance_1"]["p_value"] < 0.05
    assert found["js_distance_1"]["null"] < found["js_distance_1"]["value"]
    assert found["coverage_1"]["value"] == pytest.approx(1 / 3)
    assert found["js_distance_2"]["value"] == 1.0
    assert found["coverage_2"]["value"] == 0.0


def test_texts_of_one_source_are_not_far():
    words = [[f"w{(i * 7 + j) % 13}" for j in range(9)] for i in range(60)]
    found = lexical_distances(words[::2], words[1::2], n_permutations=99, seed=0)
    assert found["js_distance_1"]["p_value"] > 0.05


def test_one_word_has_no_pairs():
    found = lexical_distances([["a"]], [["b"]], n_permutations=19, seed=0)
    assert found["js_distance_2"]["value"] is None
    assert "2-grams" in found["js_distance_2"]["reason"]
    assert found["js_distance_1"]["ci_low"] is None
    assert "too few texts" in found["js_distance_1"]["reason"]


def test_energy_by_hand():
    # X = {0}, Y = {1}: 2·1 - 0 - 0
    assert energy(pairwise(np.array([[0.0], [1.0]])), np.array([1.0, 0]), np.array([0, 1.0])) == (2.0, 1.0)
    # X = {0, 2}, Y = {1}: 2·1 - 1 - 0
    value, share = energy(pairwise(np.array([[0.0], [2.0], [1.0]])), np.array([1.0, 1, 0]), np.array([0, 0, 1.0]))
    assert (value, share) == pytest.approx((1.0, 0.5))


def test_embedding_distances_tell_clouds_apart():
    rng = np.random.default_rng(0)
    near, same = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    apart = embedding_distances(near, same + 2, n_permutations=99, seed=0)
    alike = embedding_distances(near, same, n_permutations=99, seed=0)
    assert apart["energy_coefficient"]["p_value"] == 0.01
    assert apart["mean_distance"]["value"] == pytest.approx(np.linalg.norm(near.mean(0) - same.mean(0) - 2))
    assert alike["energy_coefficient"]["p_value"] > 0.05
    low, high = apart["energy_coefficient"]["ci_low"], apart["energy_coefficient"]["ci_high"]
    assert 0 <= low < apart["energy_coefficient"]["value"] < high <= 1


def test_every_measure_has_a_name_when_it_is_not_taken():
    made = distribution(["a b"] * 3, ["c d"] * 3, "en", "no encoder", n_permutations=19, seed=0)
    assert set(made) < set(no_distribution("x"))
    assert made["energy_coefficient"]["reason"] == "no encoder"


def test_draws_keep_their_order_and_are_seeded():
    drawn = draw(range(100), 3, most=10)
    assert drawn == sorted(drawn)
    assert drawn == draw(range(100), 3, most=10)
    assert draw(range(5), 3, most=10) == [0, 1, 2, 3, 4]
