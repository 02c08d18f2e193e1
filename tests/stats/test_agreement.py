"""Agreement figures against hand computation, scipy, scikit-learn and published examples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from halueval.stats import agreement as a
from halueval.stats.dependent import paired_difference, williams, williams_of


def value(measure, n):
    assert measure.problem is None
    return float(measure.statistic(np.ones((1, n)))[0])


def arrays(seed, n=40, levels=6):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, levels, n).astype(float)
    y = rng.integers(0, levels, n) / (levels - 1)
    x[:2], y[:2] = (0, 1), (0, 1)
    return x, y


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_scipys(seed):
    x, y = arrays(seed)
    assert value(a.pearson(x, y), 40) == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-12)
    assert value(a.spearman(x, y), 40) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)
    assert value(a.kendall(x, y), 40) == pytest.approx(stats.kendalltau(x, y)[0], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_kendall_with_two_human_values_is_the_same_from_ranks(seed):
    x, y = arrays(seed)
    labels = (y >= 0.5).astype(float)
    assert value(a.kendall(x, labels), 40) == pytest.approx(stats.kendalltau(x, labels)[0], abs=1e-12)
    weights = np.random.default_rng(seed).integers(0, 3, (5, 40)).astype(float)
    pairwise = a._pairwise_concordance(x, labels, weights)
    assert a._binary_concordance(x, labels, weights) == pytest.approx(pairwise)


@pytest.mark.parametrize("seed", range(5))
def test_ranking_figures_are_scikit_learns(seed):
    x, y = arrays(seed)
    labels = y >= 0.5
    assert value(a.roc_auc(x, labels), 40) == pytest.approx(metrics.roc_auc_score(labels, x), abs=1e-12)
    assert value(a.average_precision(x, labels), 40) == pytest.approx(
        metrics.average_precision_score(~labels, -x), abs=1e-12
    )
    assert value(a.balanced_accuracy(x, labels, 2.5), 40) == pytest.approx(
        metrics.balanced_accuracy_score(labels, x >= 2.5), abs=1e-12
    )


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_weight_of_two_is_the_row_twice(seed):
    x, y = arrays(seed, n=15, levels=4)
    labels, groups = y >= 0.5, [str(i % 3) for i in range(15)]
    weights = np.random.default_rng(seed).integers(1, 4, 15)
    rows = np.repeat(np.arange(15), weights)
    made = [
        (a.pearson(x, y), a.pearson(x[rows], y[rows])),
        (a.spearman(x, y), a.spearman(x[rows], y[rows])),
        (a.kendall(x, y), a.kendall(x[rows], y[rows])),
        (a.roc_auc(x, labels), a.roc_auc(x[rows], labels[rows])),
        (a.average_precision(x, labels), a.average_precision(x[rows], labels[rows])),
        (a.balanced_accuracy(x, labels, 1.5), a.balanced_accuracy(x[rows], labels[rows], 1.5)),
        (a.partial_pearson(x, y, groups), a.partial_pearson(x[rows], y[rows], [groups[i] for i in rows])),
        (a.partial_spearman(x, y, groups), a.partial_spearman(x[rows], y[rows], [groups[i] for i in rows])),
    ]
    for weighted, repeated in made:
        left = weighted.statistic(weights[None].astype(float))
        right = repeated.statistic(np.ones((1, len(rows))))
        assert left == pytest.approx(right, abs=1e-9, nan_ok=True)


def test_auc_by_hand_with_a_tie():
    # consistent 3, 2; inconsistent 2, 1: pairs 3>2, 3>1, 2=2, 2>1 are 3.5 of 4.
    auc = value(a.roc_auc(np.array([3.0, 2, 2, 1]), np.array([True, True, False, False])), 4)
    assert auc == 3.5 / 4


def test_average_precision_finds_the_inconsistent():
    # From the lowest score: inconsistent (1/1), consistent, inconsistent (2/3): (1 + 2/3) / 2.
    ap = value(a.average_precision(np.array([1.0, 2, 3, 4]), np.array([False, True, False, True])), 4)
    assert ap == pytest.approx((1 + 2 / 3) / 2)


def test_partial_correlation_undoes_simpsons_paradox():
    # Within each system the score falls as the human value rises; the systems differ more.
    x = np.array([1.0, 2, 3, 11, 12, 13])
    y = np.array([0.3, 0.2, 0.1, 0.9, 0.8, 0.7])
    assert value(a.pearson(x, y), 6) > 0.9
    groups = ["old"] * 3 + ["new"] * 3
    assert value(a.partial_pearson(x, y, groups), 6) == pytest.approx(-1)
    assert value(a.partial_spearman(x, y, groups), 6) == pytest.approx(-1)


def test_partial_is_that_of_a_regression_on_one_hot_groups():
    x, y = arrays(3)
    groups = [str(i % 4) for i in range(40)]
    design = np.eye(4)[[int(g) for g in groups]]
    left = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y)]
    assert value(a.partial_pearson(x, y, groups), 40) == pytest.approx(stats.pearsonr(*left)[0], abs=1e-10)


@pytest.mark.parametrize(
    ("scores", "human", "reason"),
    [
        ([1, 1, 1, 1], [0, 1, 0, 1], "all scores are equal"),
        ([1, 2, 3, 4], [1, 1, 1, 1], "equal"),
        ([1, np.nan, 3, 4], [0, 1, 0, 1], "not a finite number"),
        ([1, 2], [0, 1], "too few"),
    ],
)
def test_what_has_no_figure_has_a_reason(scores, human, reason):
    x, y = np.array(scores, dtype=float), np.array(human, dtype=float)
    labels, names = y >= 0.5, [str(i) for i in range(len(x))]
    measures = {
        "pearson": a.pearson(x, y),
        "spearman": a.spearman(x, y),
        "kendall": a.kendall(x, y),
        "partial": a.partial_pearson(x, y, ["a", "b"] * (len(x) // 2)),
        "roc_auc": a.roc_auc(x, labels),
        "ap": a.average_precision(x, labels),
    }
    for figure in a.estimate(measures, names, n_resamples=100).values():
        assert figure.value is None
        assert figure.ci_low is None
        assert reason in figure.reason


def test_one_system_has_no_partial_correlation():
    assert "one system" in a.partial_pearson(np.arange(5.0), np.array([0.0, 1, 0, 1, 1]), ["a"] * 5).problem


def test_arrays_of_different_length_are_a_mistake():
    with pytest.raises(ValueError, match="shape"):
        a.pearson(np.arange(3.0), np.arange(4.0))


def test_threshold_by_hand():
    x = np.array([0.1, 0.4, 0.6, 0.9])
    assert a.choose_threshold(x, np.array([False, False, True, True])) == (0.5, None)
    # .25 and .75 are equally good: the lower of two middle ones.
    assert a.choose_threshold(x, np.array([False, True, False, True]))[0] == pytest.approx(0.25)
    assert a.choose_threshold(x, np.ones(4, dtype=bool)) == (None, "all labels are equal")
    assert a.choose_threshold(np.ones(4), np.array([False, True, False, True])) == (None, "all scores are equal")


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_on_the_validation_part(seed):
    x, y = arrays(seed)
    labels = y >= 0.5
    chosen, _ = a.choose_threshold(x, labels)
    best = max(metrics.balanced_accuracy_score(labels, x >= t) for t in np.arange(-0.5, 7))
    assert metrics.balanced_accuracy_score(labels, x >= chosen) == pytest.approx(best)


def test_intervals_do_not_depend_on_the_order_of_rows():
    x, y = arrays(1)
    names = [f"{i:03}" for i in range(40)]
    order = np.random.default_rng(0).permutation(40)
    one = a.estimate({"r": a.spearman(x, y)}, names, n_resamples=300, seed=4)["r"]
    other = a.estimate({"r": a.spearman(x[order], y[order])}, [names[i] for i in order], n_resamples=300, seed=4)["r"]
    assert (other.value, other.ci_low, other.ci_high) == pytest.approx((one.value, one.ci_low, one.ci_high))
    assert one.ci_low < one.value < one.ci_high


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(2)
    x = np.repeat(rng.normal(size=30), 10)
    y = np.repeat(rng.normal(size=30), 10)
    rows = a.estimate({"r": a.pearson(x, y)}, [str(i) for i in range(300)], n_resamples=400)["r"]
    documents = a.estimate({"r": a.pearson(x, y)}, [str(i // 10) for i in range(300)], n_resamples=400)["r"]
    assert documents.ci_high - documents.ci_low > 2 * (rows.ci_high - rows.ci_low)


def test_kendall_of_many_rows_has_a_value_and_says_why_no_interval(monkeypatch):
    monkeypatch.setattr(a, "MAX_PAIRWISE", 30)
    x, y = arrays(1)
    figure = a.estimate({"tau": a.kendall(x, y)}, [str(i) for i in range(40)])["tau"]
    assert figure.value == pytest.approx(stats.kendalltau(x, y)[0])
    assert figure.ci_low is None
    assert "all pairs" in figure.reason


@pytest.mark.parametrize(
    ("first", "second", "between", "n", "t"),
    [
        # Output printed by the R package cocor (Diedenhofen and Musch 2015) in public analyses.
        (0.8066, 0.2383, 0.2255, 177, 9.3823),
        (-0.1741, 0.2015, 0.3734, 646, -9.0340),
        (0.5447, 0.8, 0.0729, 70, -2.8114),
    ],
)
def test_williams_is_cocors(first, second, between, n, t):
    found = williams(first, second, between, n)
    # Their inputs are printed to four digits.
    assert found.t == pytest.approx(t, abs=2e-3)
    assert found.df == n - 3
    if n == 70:
        assert found.p_value == pytest.approx(0.0065, abs=5e-5)


def test_williams_by_hand():
    # r .6 and .4, scorers uncorrelated, n = 28: |R| = 1 - .36 - .16 = .48; 2·27/25·.48 + .25 = 1.2868;
    # t = .2 · sqrt(27/1.2868) = .91613.
    assert williams(0.6, 0.4, 0.0, 28).t == pytest.approx(0.91613, abs=1e-5)


def test_williams_says_when_it_is_undefined():
    x, y = np.arange(10.0), np.array([0.0, 1] * 5)
    assert "same up to scale" in williams_of(x, 2 * x + 1, y).reason
    assert "equal" in williams_of(x, np.ones(10), y).reason
    assert "too few" in williams(0.5, 0.4, 0.1, 3).reason
    assert williams(float("nan"), 0.4, 0.1, 30).t is None


def test_williams_changes_sign_with_the_order():
    rng = np.random.default_rng(1)
    y = rng.normal(size=60)
    first, second = y + rng.normal(size=60), y + 2 * rng.normal(size=60)
    one, other = williams_of(first, second, y), williams_of(second, first, y)
    assert one.t == pytest.approx(-other.t)
    assert one.p_value == pytest.approx(other.p_value)


def test_a_scorer_does_not_differ_from_itself():
    x, y = arrays(2)
    found = paired_difference(a.pearson(x, y), a.pearson(x, y), [str(i) for i in range(40)], n_resamples=200)
    assert found.delta == 0
    assert found.ci_low is None
    assert "same figure" in found.reason


def test_a_better_scorer_is_seen():
    rng = np.random.default_rng(5)
    y = rng.normal(size=200)
    good, poor = y + 0.3 * rng.normal(size=200), rng.normal(size=200)
    names = [str(i) for i in range(200)]
    found = paired_difference(a.roc_auc(good, y > 0), a.roc_auc(poor, y > 0), names, n_resamples=500)
    assert found.delta > 0.3
    assert found.ci_low > 0
    assert found.p_value < 0.05


def test_rounding_is_no_width():
    # Within each document the score says nothing: every resample has an AUC of one half, up to rounding.
    x = np.repeat(np.arange(30) / 7, 2)
    labels = np.array([True, False] * 30)
    names = [str(i // 2) for i in range(60)]
    for measure in (a.roc_auc(x, labels), a.pearson(x, labels.astype(float))):
        figure = a.estimate({"x": measure}, names, n_resamples=200)["x"]
        assert figure.ci_low is None
        assert "same figure" in figure.reason
