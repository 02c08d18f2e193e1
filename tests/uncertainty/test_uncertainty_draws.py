"""Lexical similarity and semantic entropy: by hand, and what order, duplicates and faults do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.uncertainty.lexical import lexical_similarity
from halueval.uncertainty.semantic import (
    by_cosine,
    by_entailment,
    by_exact_match,
    cluster,
    discrete_semantic_entropy,
    predictive_entropy,
    semantic_entropy,
)

DRAWS = st.lists(st.sampled_from(["Paris", "paris.", "Rome", "in Rome", ""]), min_size=2, max_size=8)


def test_similarity_by_hand():
    # ROUGE-L F: "a b" and "a c" .5; "a b" and "a b" 1.
    assert lexical_similarity(["x y", "x z"]) == pytest.approx(0.5)
    assert lexical_similarity(["x y", "x z", "x y"]) == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert lexical_similarity(["...", "..."]) == 1.0
    assert lexical_similarity(["", "Paris"]) == 0.0
    assert lexical_similarity(["北京", "北海"], language="zh") == pytest.approx(0.5)


def test_one_draw_has_no_pair():
    with pytest.raises(ValueError, match="1 draws"):
        lexical_similarity(["Paris"])


@given(DRAWS, st.randoms(use_true_random=False))
def test_the_order_of_draws_moves_neither(draws, random):
    shuffled = list(draws)
    random.shuffle(shuffled)
    assert lexical_similarity(draws) == pytest.approx(lexical_similarity(shuffled))
    ours, theirs = (discrete_semantic_entropy(cluster(d, by_exact_match())) for d in (draws, shuffled))
    assert ours == pytest.approx(theirs)


@given(DRAWS)
def test_all_draws_twice_over_have_the_same_entropy(draws):
    once, twice = cluster(draws, by_exact_match()), cluster(draws * 2, by_exact_match())
    assert discrete_semantic_entropy(once) == pytest.approx(discrete_semantic_entropy(twice))
    values = [-0.1 * (i + 1) for i in range(len(draws))]
    assert semantic_entropy(once, values) == pytest.approx(semantic_entropy(twice, values * 2))


@given(DRAWS)
def test_entropy_lies_between_none_and_that_of_all_apart(draws):
    clusters = cluster(draws, by_exact_match())
    value = discrete_semantic_entropy(clusters)
    assert -1e-12 <= value <= math.log(len(draws)) + 1e-12
    assert semantic_entropy(clusters, [-1.0] * len(draws)) == pytest.approx(value)


def test_entropies_by_hand():
    # Likelihoods per token .5, .25 and .25: clusters of .75 and .25.
    logs = [math.log(0.5), math.log(0.25), math.log(0.25)]
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert semantic_entropy([0, 0, 1], logs) == pytest.approx(expected)
    # They are shares: what all have in common cancels.
    assert semantic_entropy([0, 0, 1], [value - 800 for value in logs]) == pytest.approx(expected)
    assert discrete_semantic_entropy([0, 0, 1]) == pytest.approx(math.log(3) - 2 / 3 * math.log(2))
    assert predictive_entropy(logs) == pytest.approx((math.log(2) + 2 * math.log(4)) / 3)
    assert semantic_entropy([0, 0], [-1.0, -2.0]) == 0.0


def test_a_draw_is_held_against_the_first_member_only():
    # a ~ b and b ~ c, but not a ~ c.
    alike = {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}
    asked = []

    def equivalent(first, others):
        asked.append((first, list(others)))
        return [(first, other) in alike for other in others]

    assert cluster(["a", "b", "c", "a"], equivalent) == [0, 0, 1, 0]
    assert asked == [("a", ["b", "c"])]
    assert cluster(["b", "a", "c"], equivalent) == [0, 0, 0]


def test_entailment_must_hold_both_ways_and_is_asked_with_the_question():
    asked = []

    def entails(pairs):
        asked.extend(pairs)
        return [premise.endswith("in Paris, France") or premise == hypothesis for premise, hypothesis in pairs]

    assert cluster(["in Paris, France", "in Paris"], by_entailment(entails, "Where?")) == [0, 1]
    assert asked == [("Where? in Paris, France", "Where? in Paris"), ("Where? in Paris", "Where? in Paris, France")]


def test_cosine_at_the_threshold_is_equivalent():
    table = {"a": [1.0, 0.0], "b": [0.8, 0.6], "c": [0.0, 1.0]}
    equivalent = by_cosine(lambda texts: np.array([table[text] for text in texts]), 0.8)
    assert cluster(["a", "b", "c"], equivalent) == [0, 0, 1]


def test_exact_match_is_that_of_answers():
    assert cluster(["The Paris.", "paris", "Rome"], by_exact_match()) == [0, 0, 1]


@pytest.mark.parametrize("values", [[], [math.nan], [-math.inf]])
def test_no_draw_or_no_number_is_refused(values):
    with pytest.raises(ValueError, match="draws"):
        semantic_entropy([0] * len(values), values)
    with pytest.raises(ValueError, match="draws"):
        predictive_entropy(values)
    with pytest.raises(ValueError, match="draws"):
        discrete_semantic_entropy([])
    with pytest.raises(ValueError, match="2 clusters"):
        semantic_entropy([0, 0], [-1.0])
