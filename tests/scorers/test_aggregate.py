"""From scores to figures with intervals."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import JUDGED, sample

from halueval.schema import LoglikelihoodResponse, Outcome, Score
from halueval.scorers.aggregate import summarise
from halueval.scorers.base import MeanScorer, StatsScorer, divide
from halueval.scorers.catalog import create


class Mean(MeanScorer):
    name = "mean"

    def score(self, sample, outcome, judged):
        raise NotImplementedError


class Share(Mean):
    name = "share"
    binary = True


class Ratio(StatsScorer):
    name = "ratio"

    def score(self, sample, outcome, judged):
        raise NotImplementedError

    def finalize(self, sums):
        return divide(sums[:, 0], sums[:, 1])


def means(values, clusters=None, scorer=None, **more):
    scorer = scorer or Mean()
    scores = [Score.unscored("why") if v is None else Score(v) for v in values]
    clusters = clusters or [str(i) for i in range(len(values))]
    return summarise([scorer], {scorer.name: scores}, clusters, seed=0, **{"n_resamples": 500, **more})[scorer.name]


VALUES = st.lists(st.one_of(st.none(), st.floats(-1e3, 1e3)), min_size=1, max_size=15)


@given(VALUES)
@settings(max_examples=50)
def test_the_mean_is_of_scored_samples_only(values):
    figure = means(values, n_resamples=20)
    scored = [v for v in values if v is not None]
    assert (figure.n_scored, figure.n_unscored) == (len(scored), len(values) - len(scored))
    assert figure.value == (pytest.approx(math.fsum(scored) / len(scored), abs=1e-9) if scored else None)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_samples_changes_nothing_at_all(values, random):
    rows = [(v, f"c{i % 3}") for i, v in enumerate(values)]
    shuffled = random.sample(rows, len(rows))
    first, second = (means([v for v, _ in r], [c for _, c in r], n_resamples=50) for r in (rows, shuffled))
    assert first == second


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
@settings(max_examples=50)
def test_duplicated_samples_leave_the_value(values):
    assert means(values * 2, n_resamples=5).value == pytest.approx(means(values, n_resamples=5).value, abs=1e-9)


def test_the_interval_holds_the_value_and_has_the_textbook_width():
    rng = np.random.default_rng(5)
    values = rng.normal(size=400).tolist()
    figure = means(values, n_resamples=4000)
    assert figure.ci_low < figure.value < figure.ci_high
    # Normal theory: ± 1.96 standard errors.
    assert figure.ci_high - figure.ci_low == pytest.approx(2 * 1.96 * np.std(values) / 20, rel=0.06)


def test_equal_zeros_get_wilsons_interval_on_clusters():
    figure = means([0.0] * 40, [str(i // 2) for i in range(40)], Share())
    assert (figure.value, figure.ci_low, figure.ci_method) == (0.0, 0.0, "wilson")
    assert figure.ci_high == pytest.approx(0.1611, abs=5e-5)  # 0 of 20, Newcombe 1998
    assert means([1.0, 1.0, None], scorer=Share()).ci_method == "wilson"


def test_no_width_is_no_interval_where_the_figure_is_no_share():
    figure = means([3.0, 3.0, 3.0])
    assert (figure.value, figure.ci_low, figure.ci_reason) == (3.0, None, "every resample gives the same figure")


def test_one_cluster_has_no_interval():
    figure = means([0.0, 1.0], ["a", "a"], Share())
    assert (figure.value, figure.ci_low, figure.ci_reason) == (0.5, None, "1 cluster: nothing to resample")


def test_one_scored_cluster_has_no_interval():
    assert means([1.0, None, None]).ci_reason == "1 cluster: nothing to resample"


def test_nothing_scored_is_none_with_reasons():
    scores = [Score.unscored("b"), Score.unscored("a"), Score.unscored("b")]
    figure = summarise([Mean()], {"mean": scores}, ["1", "2", "3"], seed=0)["mean"]
    assert (figure.value, figure.ci_low, figure.n_unscored) == (None, None, 3)
    assert list(figure.unscored_reasons.items()) == [("b", 2), ("a", 1)]
    assert summarise([Mean()], {"mean": []}, [], seed=0)["mean"].value is None


def test_a_ratio_is_of_sums():
    scores = [Score(0.0, None, (1.0, 2.0)), Score(0.0, None, (3.0, 2.0)), Score.unscored("x")]
    figure = summarise([Ratio()], {"ratio": scores}, ["a", "b", "c"], seed=0)["ratio"]
    assert figure.value == 1.0
    # Drawn from {1/2, 1, 3/2} apart from replicates without a scored sample.
    assert (figure.ci_low, figure.ci_high) == (0.5, 1.5)


def test_a_figure_out_of_range_is_none_with_a_reason():
    scorer = create("word_perplexity")
    scores = [
        scorer.score(sample(["word"]), Outcome(reference=LoglikelihoodResponse(-v, 1)), JUDGED) for v in (900.0, 950.0)
    ]
    figure = summarise([scorer], {scorer.name: scores}, ["a", "b"], seed=0)[scorer.name]
    assert (figure.value, figure.ci_low, figure.n_scored) == (None, None, 2)
    assert "out of range" in figure.ci_reason


def test_all_scorers_share_one_resampling():
    scores = [Score(float(v)) for v in (1, 2, 4, 8)]
    both = summarise([Mean(), Share()], {"mean": scores, "share": scores}, list("abcd"), seed=3)
    alone = summarise([Share()], {"share": scores}, list("abcd"), seed=3)
    assert (both["mean"].ci_low, both["mean"].ci_high) == (both["share"].ci_low, both["share"].ci_high)
    assert alone["share"] == both["share"]


def test_figures_of_other_shapes_are_resampled_too():
    scorer = create("auroc")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    scores = [Score(m, None, (m, float(y))) for m, y in zip(rng.normal(labels, 1).tolist(), labels, strict=True)]
    figure = summarise([scorer], {"auroc": scores}, [str(i) for i in range(200)], seed=0, n_resamples=300)["auroc"]
    assert 0.6 < figure.ci_low < figure.value < figure.ci_high < 0.9


def test_memory_stays_bounded():
    n = 4000
    scores = [Score(float(i % 7)) for i in range(n)]
    tracemalloc.start()
    summarise([Mean()], {"mean": scores}, [str(i) for i in range(n)], seed=0, n_resamples=2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20  # all weights at once would be 64 MB three times over
