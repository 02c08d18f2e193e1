"""Resampled sums by distinct rows: exact where they are few, as good as exact where they are many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from halueval.stats.blocks import bootstrap_sums, flipped_sums, make_blocks, sum_by_cluster

TABLES = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=1, max_size=40).map(
    lambda rows: np.array(rows, dtype=float)
)


def drawn(kind, table, n_resamples=4000, seed=0):
    return np.concatenate(list(kind(make_blocks(table), n_resamples, seed)))


@given(TABLES)
def test_categories_are_the_distinct_rows(table):
    blocks = make_blocks(table)
    assert blocks.factor is None
    expected, counts = np.unique(table, axis=0, return_counts=True)
    assert (blocks.rows == expected).all()
    assert (blocks.counts == counts).all()


@given(TABLES, st.integers(0, 100))
def test_resamples_hold_as_many_rows(table, seed):
    with_ones = np.column_stack([table, np.ones(len(table))])
    sums = drawn(bootstrap_sums, with_ones, 50, seed)
    assert sums.shape == (50, 3)
    assert (sums[:, 2] == len(table)).all()


def test_minus_zero_is_zero():
    assert len(make_blocks(np.array([[0.0], [-0.0]])).rows) == 1


def test_one_step_by_hand():
    # Rows 0, 0, 1: the sum is Binomial(3, 1/3): 8/27, 12/27, 6/27, 1/27.
    sums = drawn(bootstrap_sums, np.array([[0.0], [0.0], [1.0]]), 40_000)[:, 0]
    shares = [float((sums == k).mean()) for k in range(4)]
    assert shares == pytest.approx([8 / 27, 12 / 27, 6 / 27, 1 / 27], abs=0.01)
    # Signs of two rows 1 and one row 5: ±5 and -2, 0, 0, 2.
    flips = drawn(flipped_sums, np.array([[1.0], [1.0], [5.0]]), 40_000)[:, 0]
    expected = {7: 1 / 8, 5: 1 / 4, 3: 1 / 8, -3: 1 / 8, -5: 1 / 4, -7: 1 / 8}
    assert {int(v): float((flips == v).mean()) for v in np.unique(flips)} == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("kind", [bootstrap_sums, flipped_sums])
@pytest.mark.parametrize(("n", "decimals"), [(60, 0), (60, 9), (3000, 1), (9000, 9)])
def test_moments_are_those_of_independent_draws(kind, n, decimals):
    # Counts of few rows, rows one by one, counts of many rows, blocks.
    rng = np.random.default_rng(7)
    table = rng.gamma(1.0, size=(n, 2)).round(decimals)
    table[:, 1] += table[:, 0]
    sums = drawn(kind, table, 5000)
    centre = table.sum(axis=0) if kind is bootstrap_sums else np.zeros(2)
    spread = n * np.cov(table.T, bias=True) if kind is bootstrap_sums else table.T @ table
    error = np.sqrt(np.diag(spread) / 5000)
    assert (np.abs(sums.mean(axis=0) - centre) < 4 * error).all()
    assert np.cov(sums.T) == pytest.approx(spread, rel=0.1)


def test_blocks_stand_for_the_whole_table():
    rng = np.random.default_rng(1)
    table = rng.standard_t(3, size=(10_000, 3))
    blocks = make_blocks(table)
    assert blocks.factor is not None
    assert len(blocks.counts) < 200
    assert blocks.counts.sum() == 10_000
    assert blocks.counts @ blocks.rows == pytest.approx(table.sum(axis=0), abs=1e-8)
    # Scatter between blocks and inside them is all there is (the two parts of an analysis of variance).
    between = (blocks.rows * blocks.counts[:, None]).T @ blocks.rows
    assert between + blocks.factor @ blocks.factor == pytest.approx(table.T @ table, rel=1e-9, abs=1e-6)


def test_blocks_have_the_tails_of_drawing_every_row():
    # Heavy tails, where a normal distribution for everything would be wrong.
    values = np.random.default_rng(3).pareto(2.2, size=5000)
    blocked = drawn(bootstrap_sums, values[:, None], 10_000)[:, 0]
    rng = np.random.default_rng(4)
    every_row = np.array([values[rng.integers(0, 5000, 5000)].sum() for _ in range(4000)])
    # Errors of the quantiles themselves are .03 of a deviation in the middle and .1 in the far tails.
    q = [0.025, 0.1, 0.5, 0.9, 0.975]
    assert np.quantile(blocked, q) == pytest.approx(np.quantile(every_row, q), abs=0.12 * every_row.std())
    assert stats.ks_2samp(blocked, every_row).pvalue > 0.01


@pytest.mark.parametrize("kind", [bootstrap_sums, flipped_sums])
@pytest.mark.parametrize(("n", "decimals"), [(50, 0), (50, 9), (5000, 9)])
def test_the_order_of_rows_changes_no_draw(kind, n, decimals):
    rng = np.random.default_rng(2)
    table = rng.normal(size=(n, 2)).round(decimals)
    shuffled = table[rng.permutation(n)]
    assert (drawn(kind, table, 30) == drawn(kind, shuffled, 30)).all()
    assert (drawn(kind, table, 30) != drawn(kind, table, 30, seed=1)).any()


def test_clusters_are_summed():
    table = np.array([[1.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    assert sum_by_cluster(table, ["b", "a", "b"]).tolist() == [[2.0, 1.0], [5.0, 2.0]]
    assert sum_by_cluster(table, None) is table


@pytest.mark.parametrize(
    ("table", "clusters", "message"),
    [
        (np.zeros((0, 2)), None, "shape"),
        (np.zeros(3), None, "shape"),
        (np.array([[np.nan]]), None, "NaN"),
        (np.ones((2, 1)), ["a"], "1 clusters for 2 rows"),
    ],
)
def test_nonsense_is_refused(table, clusters, message):
    with pytest.raises(ValueError, match=message):
        sum_by_cluster(table, clusters)
