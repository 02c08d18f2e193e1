"""Intervals of proportions and effect sizes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportion_effectsize

from halueval.stats.proportions import (
    clopper_pearson,
    cohens_h,
    mean_of_intervals,
    newcombe_difference,
    newcombe_paired,
    paired_odds_ratio,
    wilson,
    wilson_clustered,
)

# Newcombe 1998, Stat. Med. 17:2635-2650, table III, method 10 (cells e, f, g, h). The row 1/97/1/1 is left
# out: its printed lower end contradicts the paper's own definition by a digit.
PAIRED = [
    ((36, 12, 2, 0), (0.0569, 0.3404)),
    ((20, 12, 2, 16), (0.0562, 0.3292)),
    ((18, 12, 2, 18), (0.0562, 0.3290)),
    ((36, 14, 0, 0), (0.1528, 0.4167)),
    ((35, 14, 0, 1), (0.1461, 0.4175)),
    ((18, 14, 0, 18), (0.1441, 0.3963)),
    ((2, 97, 1, 0), (0.8721, 0.9854)),
    ((0, 29, 1, 0), (0.6666, 0.9882)),
    ((1, 98, 0, 1), (0.9171, 0.9916)),
    ((0, 30, 0, 0), (0.8395, 1.0)),
    ((54, 0, 0, 0), (-0.0664, 0.0664)),
    ((53, 0, 0, 1), (-0.0729, 0.0729)),
    ((30, 0, 0, 24), (-0.0358, 0.0358)),
    ((27, 0, 0, 27), (-0.0351, 0.0351)),
]


@pytest.mark.parametrize(("cells", "ends"), PAIRED)
def test_newcombe_paired_is_the_published_table(cells, ends):
    assert newcombe_paired(*cells) == pytest.approx(ends, abs=5.1e-5)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(1, 60))
def test_newcombe_paired_holds_the_difference_and_mirrors(a, b, c, d):
    n = a + b + c + d
    low, high = newcombe_paired(a, b, c, d)
    assert -1 - 1e-12 <= low <= (b - c) / n <= high <= 1 + 1e-12
    assert low < high
    assert newcombe_paired(a, c, b, d) == pytest.approx((-high, -low), abs=1e-12)


# Newcombe 1998, Stat. Med. 17:873-890, table II, method 10.
@pytest.mark.parametrize(
    ("counts", "ends"),
    [((56, 70, 48, 80), (0.0524, 0.3339)), ((9, 10, 3, 10), (0.1705, 0.8090)), ((5, 56, 0, 29), (-0.0381, 0.1926))],
)
def test_newcombe_difference_is_the_published_table(counts, ends):
    assert newcombe_difference(*counts) == pytest.approx(ends, abs=5.1e-5)


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_newcombe_difference_is_statsmodels(n1, n2, data):
    s1, s2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    reference = confint_proportions_2indep(s1, n1, s2, n2, method="newcomb", compare="diff")
    assert newcombe_difference(s1, n1, s2, n2) == pytest.approx(reference, abs=1e-9)


@given(st.integers(1, 1000), st.data())
def test_wilson_is_statsmodels(n, data):
    successes = data.draw(st.integers(0, n))
    assert wilson(successes, n) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-9)


def test_clustered_wilson_of_independent_samples_is_wilson():
    # The error of 40 % of 5,000 independent samples leaves 5,000 of them; t of 4,999 is z but for a thousandth.
    error = math.sqrt(0.4 * 0.6 / 5000)
    assert wilson_clustered(0.4, error, 5000, 5000) == pytest.approx(wilson(2000, 5000), abs=2e-5)


def test_clustered_wilson_by_hand():
    # Twice the error, a quarter of the samples: 400 become 100, times (1.95996/1.98422)² for 100 clusters.
    effective = 100 * (1.9599640 / 1.9842170) ** 2
    made = wilson_clustered(0.3, 2 * math.sqrt(0.21 / 400), 400, 100)
    assert made == pytest.approx(wilson(0.3 * effective, effective), abs=1e-6)
    # None in 10 clusters: z²/(m + z²), m = 10 (1.95996/2.26216)² = 7.5067.
    assert wilson_clustered(0.0, 0.0, 60, 10) == (0.0, pytest.approx(3.841459 / (7.5067 + 3.841459), abs=1e-5))
    assert wilson_clustered(1.0, 0.0, 60, 1) == pytest.approx(wilson(1, 1))


@given(st.integers(1, 300), st.integers(1, 6), st.floats(0, 0.5), st.data())
def test_clustered_wilson_holds_the_share(n_clusters, size, error, data):
    n = n_clusters * size
    share = data.draw(st.integers(0, n)) / n
    low, high = wilson_clustered(share, error, n, n_clusters)
    assert 0 <= low <= share <= high <= 1
    assert low < high


def test_the_interval_of_a_mean_by_hand():
    # Distances .1 and .2 below, .2 and .1 above: √.05/2 on both sides of .2.
    made = mean_of_intervals([(0.1, 0.0, 0.3), (0.3, 0.1, 0.4)])
    assert made == pytest.approx((0.2, 0.2 - math.sqrt(0.05) / 2, 0.2 + math.sqrt(0.05) / 2))
    assert mean_of_intervals([(0.5, 0.25, 0.625)]) == (0.5, 0.25, 0.625)


@settings(max_examples=40)
@given(st.integers(1, 1000), st.data())
def test_clopper_pearson_is_statsmodels(n, data):
    successes = data.draw(st.integers(0, n))
    assert clopper_pearson(successes, n) == pytest.approx(proportion_confint(successes, n, method="beta"), abs=1e-9)


@given(st.floats(0, 1), st.floats(0, 1))
def test_cohens_h_is_statsmodels(p1, p2):
    assert cohens_h(p1, p2) == pytest.approx(proportion_effectsize(p1, p2), abs=1e-12)


def test_cohens_h_by_hand():
    # asin √1 = π/2, asin √(1/2) = π/4.
    assert cohens_h(1.0, 0.5) == pytest.approx(math.pi / 2)


def test_paired_odds_ratio_is_the_published_example():
    # Armitage and Berry 1994, p. 127, 12 against 2 (as StatsDirect's manual prints it).
    ratio, low, high = paired_odds_ratio(12, 2)
    assert ratio == 6
    assert (low, high) == pytest.approx((1.335744, 55.197091), abs=1e-5)


def test_paired_odds_ratio_at_the_edges():
    # 5 of 5: the lower end p solves p^5 = .025.
    p = 0.025**0.2
    assert paired_odds_ratio(5, 0) == (math.inf, pytest.approx(p / (1 - p)), math.inf)
    assert paired_odds_ratio(0, 5) == (0.0, 0.0, pytest.approx((1 - p) / p))
    assert paired_odds_ratio(0, 0) == (None, 0.0, math.inf)


@pytest.mark.parametrize(
    "call",
    [
        lambda: newcombe_paired(0, 0, 0, 0),
        lambda: newcombe_paired(1, -1, 0, 3),
        lambda: newcombe_difference(1, 0, 1, 1),
        lambda: cohens_h(1.2, 0),
        lambda: paired_odds_ratio(-1, 0),
        lambda: clopper_pearson(3, 2),
        lambda: wilson(0, 0),
        lambda: wilson_clustered(0.5, 0.1, 3, 4),
        lambda: wilson_clustered(0.5, -0.1, 3, 3),
        lambda: mean_of_intervals([]),
        lambda: mean_of_intervals([(1.0, 1.5, 2.0)]),
    ],
)
def test_nonsense_is_refused(call):
    with pytest.raises(ValueError, match=r"\d"):
        call()
