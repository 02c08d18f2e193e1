"""The shared bootstrap and Wilson's interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.stats.intervals import Resampler, percentile_interval, wilson_interval

NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12)


@given(NAMES, st.integers(0, 2**32))
def test_every_replicate_draws_as_many_clusters_as_there_are(names, seed):
    resampler = Resampler(names, 20, seed)
    counts = np.concatenate(list(resampler.counts()))
    assert counts.shape == (20, len(set(names)))
    assert (counts.sum(axis=1) == len(set(names))).all()


@given(NAMES, st.integers(0, 2**32))
def test_samples_of_a_cluster_are_drawn_together(names, seed):
    weights = np.concatenate(list(Resampler(names, 20, seed).weights()))
    for i, left in enumerate(names):
        for j, right in enumerate(names):
            if left == right:
                assert (weights[:, i] == weights[:, j]).all()


@given(st.permutations(["a", "b", "c", "c", "d"]), st.integers(0, 1000))
def test_the_order_of_samples_changes_no_draw(names, seed):
    sort = np.argsort(names, kind="stable")
    shuffled = np.concatenate(list(Resampler(names, 30, seed).weights()))
    ordered = np.concatenate(list(Resampler(sorted(names), 30, seed).weights()))
    assert (shuffled[:, sort] == ordered).all()


def test_the_size_of_a_chunk_changes_no_draw():
    names = [str(i) for i in range(37)]
    chunks = list(Resampler(names, 100, 7, chunk_bytes=37 * 8 * 9).weights())
    assert [len(chunk) for chunk in chunks] == [9] * 11 + [1]
    assert (np.concatenate(chunks) == np.concatenate(list(Resampler(names, 100, 7).weights()))).all()


def test_a_seed_gives_the_same_draws_twice_and_another_gives_others():
    names = [str(i) for i in range(20)]
    resampler = Resampler(names, 10, 1)
    first, again = (np.concatenate(list(resampler.weights())) for _ in range(2))
    assert (first == again).all()
    assert (first != np.concatenate(list(Resampler(names, 10, 2).weights()))).any()


def test_chunks_stay_below_the_bound():
    chunk = next(Resampler([str(i) for i in range(10_000)], 10_000, 0).weights())
    assert chunk.nbytes <= 32 * 2**20


def test_cluster_sums():
    resampler = Resampler(["b", "a", "b"], 1, 0)
    assert resampler.cluster_sums(np.array([[1.0], [2.0], [3.0]])).tolist() == [[2.0], [4.0]]


def test_no_samples_is_an_error():
    with pytest.raises(ValueError, match="0 samples"):
        Resampler([], 10, 0)


def test_percentile_interval_by_hand():
    # 0..1000: the 2.5th percentile is 25, the 97.5th 975.
    interval = percentile_interval(np.arange(1001.0), 10)
    assert (interval.low, interval.high) == pytest.approx((25.0, 975.0))


@pytest.mark.parametrize(
    ("replicates", "n_clusters", "reason"),
    [
        (np.arange(10.0), 1, "1 cluster: nothing to resample"),
        (np.full(10, 0.5), 5, "every resample gives the same figure"),
        (np.array([np.nan] * 6 + [1.0, 2.0, 3.0, 4.0]), 5, "most resamples hold nothing to score"),
    ],
)
def test_no_interval_comes_with_a_reason(replicates, n_clusters, reason):
    interval = percentile_interval(replicates, n_clusters)
    assert (interval.low, interval.high, interval.reason) == (None, None, reason)


def test_coverage_of_the_bootstrap_is_near_95_percent():
    # 300 samples of 60 exponentials: the percentile interval is known to cover a little less than 95 %.
    rng = np.random.default_rng(0)
    names = [str(i) for i in range(60)]
    weights = np.concatenate(list(Resampler(names, 400, 1).weights())) / 60
    covered = 0
    for _ in range(300):
        interval = percentile_interval(weights @ rng.exponential(size=60), 60)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.88 <= covered / 300 <= 0.98


def test_clustered_draws_are_wider_than_independent_ones():
    rng = np.random.default_rng(3)
    values = np.repeat(rng.normal(size=30), 10)  # ten equal samples a cluster: 30 facts, not 300
    clustered = Resampler([f"{i // 10}" for i in range(300)], 500, 0)
    alone = Resampler([str(i) for i in range(300)], 500, 0)

    def width(resampler):
        means = np.concatenate([w @ values / w.sum(axis=1) for w in resampler.weights()])
        interval = percentile_interval(means, 30)
        return interval.high - interval.low

    assert width(clustered) > 2 * width(alone)


def test_wilson_against_published_values():
    # Newcombe (1998), table I, method 3: 81/263 → .2553 to .3662; 15/148 → .0624 to .1605;
    # 0/20 → .0000 to .1611; 1/29 → .0061 to .1718.
    for successes, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)]:
        interval = wilson_interval(successes, n)
        assert interval.low == pytest.approx(low, abs=5e-5)
        assert interval.high == pytest.approx(high, abs=5e-5)
    assert wilson_interval(0, 20).low == 0
    assert wilson_interval(0, 20).high == pytest.approx(0.1611, abs=5e-5)
    assert wilson_interval(20, 20).high == 1


@settings(max_examples=50)
@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_proportion(n, data):
    successes = data.draw(st.integers(0, n))
    interval = wilson_interval(successes, n)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1
    assert interval.low < interval.high


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="successes of"):
        wilson_interval(successes, n)
