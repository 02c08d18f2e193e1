"""The intervals that a comparison gives by default: where they come from, and how often they hold the truth.

The long simulation with all kinds of data is benchmarks/coverage.py.
"""

import math

import numpy as np
import planted
import pytest
from scipy import stats

from halueval.compare.figures import (
    Engine,
    compare_statistics,
    compare_tables,
    compare_values,
    make_clusters,
)
from halueval.compare.fill import CHANGE_OF_SHARE
from halueval.compare.recipes import mean_of_table, mean_table
from halueval.compare.table import compare_all
from halueval.compare.transitions import rate
from halueval.scorers.likelihood import weighted_auroc
from halueval.stats.proportions import newcombe_difference, newcombe_paired, wilson_clustered

FAST = Engine(n_resamples=200)


def alone(n):
    return make_clusters([str(i) for i in range(n)])


def shares(base, candidate, clusters):
    """Compare means of 0/1 values some of which are left out (NaN)."""
    values = np.array(base, dtype=float), np.array(candidate, dtype=float)
    tables = [mean_table(v) for v in values]
    return compare_tables(*tables, mean_of_table, values, clusters, FAST, is_mean=True).figure


def test_a_mean_has_students_interval():
    base, candidate = np.random.default_rng(0).random((2, 50))
    figure = compare_values(base, candidate, alone(50), FAST).figure
    low, high = stats.ttest_rel(candidate, base).confidence_interval(0.95)
    assert (figure["ci_low"], figure["ci_high"]) == pytest.approx((low, high))
    assert figure["ci_method"] == "jackknife-t"
    # (1.95996 + .84162) standard errors.
    assert figure["mde"] == pytest.approx(2.80158 * stats.sem(candidate - base), rel=1e-5)


def test_pairs_of_yes_and_no_have_newcombes():
    base, candidate = np.array([1.0] * 12 + [0.0] * 18), np.array([1.0] * 5 + [0.0] * 25)
    figure = compare_values(base, candidate, alone(30), FAST).figure
    assert (figure["ci_low"], figure["ci_high"]) == pytest.approx(newcombe_paired(5, 0, 7, 18))
    assert figure["ci_method"] == "newcombe-paired"


def test_a_change_of_shares_never_passes_one():
    values = np.r_[np.zeros(11), 1.0], np.r_[np.ones(11), 0.9]
    figure = compare_values(*values, alone(12), FAST).figure
    assert figure["delta"] == pytest.approx(10.9 / 12)
    assert figure["ci_high"] == 1.0
    tenfold = compare_values(10 * values[0], 10 * values[1], alone(12), FAST).figure
    assert tenfold["ci_high"] > 10


def test_clusters_that_all_say_the_same_are_not_certain():
    names = [f"document {i // 3}" for i in range(60)]
    same = np.tile([1.0, 0.0, 0.0], 20)
    figure = compare_values(same, same, make_clusters(names), FAST).figure
    # 20 documents, a third of each right on both sides.
    assert (figure["ci_low"], figure["ci_high"]) == pytest.approx(newcombe_paired(20 / 3, 0, 0, 40 / 3))
    assert (figure["delta"], figure["p_value"], figure["ci_method"]) == (0.0, 1.0, "newcombe-paired")
    assert figure["mde"] > 0
    worst = compare_values(np.ones(60), np.zeros(60), make_clusters(names), FAST).figure
    assert (worst["ci_low"], worst["ci_high"]) == pytest.approx(newcombe_paired(0, 0, 20, 0))


def test_nobody_wrong_on_either_side_is_not_certain():
    base = [0, 0, 0, 0, 0, 0, np.nan, np.nan]
    candidate = [0, 0, 0, 0, np.nan, 0, 0, 0]
    figure = shares(base, candidate, alone(8))
    assert (figure["ci_low"], figure["ci_high"]) == pytest.approx(newcombe_difference(0, 7, 0, 6))
    assert figure["ci_method"] == "newcombe"


def test_no_difference_of_other_figures_has_no_interval():
    same = np.random.default_rng(1).random(40)
    figure = compare_values(same, same, alone(40), FAST).figure
    assert (figure["ci_low"], figure["ci_reason"], figure["p_value"]) == (None, "no pair differs", 1.0)
    assert figure["mde"] == pytest.approx(2.80158 * 2**0.5 * stats.sem(same), rel=1e-5)


def test_a_clustered_rate_is_wilsons_of_fewer():
    # Ten documents of four; in three of them all are induced: the documents' own rate, 3 of 10.
    names = [f"{i // 4}" for i in range(40)]
    hits = np.repeat([True] * 3 + [False] * 7, 4)
    made = rate(hits, np.ones(40, dtype=bool), make_clusters(names))
    assert (made["value"], made["count"], made["n"]) == (0.3, 12, 40)
    error = (0.3 * 0.7 / 9) ** 0.5
    assert (made["ci_low"], made["ci_high"]) == pytest.approx(wilson_clustered(0.3, error, 40, 10))
    never = rate(np.zeros(40, dtype=bool), np.ones(40, dtype=bool), make_clusters(names))
    assert (never["ci_low"], never["ci_high"]) == pytest.approx(wilson_clustered(0.0, 0.0, 40, 10))


def test_the_summary_joins_the_tasks_intervals(tmp_path):
    base, candidate = {}, {}
    for name, wrong in (("one", range(12)), ("two", range(30, 33))):
        task = planted.facts_task(tmp_path / name, 60, task=name)
        base[name] = planted.run_of(task, tmp_path / name / "out", name="base")
        candidate[name] = planted.run_of(task, tmp_path / name / "out", wrong=wrong, weights="c", name="tuned")
    record = compare_all(base, [candidate], engine=FAST).record
    figures = [task["net_rate"] for task in record["tasks"].values()]
    summary = record["summary"]["qa"]
    assert summary["net_rate"]["value"] == pytest.approx((12 / 60 + 3 / 60) / 2)
    below = [f["value"] - f["ci_low"] for f in figures]
    assert summary["net_rate"]["ci_low"] == pytest.approx(0.125 - math.hypot(*below) / 2)
    # Exact match falls as the net rate rises.
    assert summary["primary_delta"]["value"] == pytest.approx(-0.125)
    assert summary["primary_delta"]["ci_high"] == pytest.approx(-summary["net_rate"]["ci_low"])


def areas(rng, n, shift):
    labels = np.arange(n) % 2 == 0
    base, candidate = rng.normal(size=n) + labels, rng.normal(size=n) + (1 + shift) * labels
    return base, candidate, labels


def test_auroc_has_the_error_of_delong():
    # DeLong, DeLong and Clarke-Pearson 1988: the variance of the placements of either class, over its size.
    base, candidate, labels = areas(np.random.default_rng(2), 60, 0.5)
    statistics = [lambda w, m=margins: weighted_auroc(m, labels, w) for margins in (base, candidate)]
    figure = compare_statistics(*statistics, (base, candidate), alone(60), FAST, bounds=CHANGE_OF_SHARE).figure
    won = [margins[labels][:, None] > margins[~labels] for margins in (base, candidate)]
    gained = won[1].astype(float) - won[0]
    delong = math.sqrt(gained.mean(axis=1).var(ddof=1) / 30 + gained.mean(axis=0).var(ddof=1) / 30)
    assert figure["delta"] == pytest.approx(gained.mean())
    assert figure["mde"] / 2.80158 == pytest.approx(delong, rel=0.02)
    assert (figure["test"], figure["ci_method"]) == ("jackknife-t", "jackknife-t")
    assert (figure["p_value"] < 0.05) == (figure["ci_low"] > 0 or figure["ci_high"] < 0)
    same = compare_statistics(statistics[0], statistics[0], (base, base), alone(60), FAST).figure
    assert (same["delta"], same["p_value"], same["ci_reason"]) == (0.0, 1.0, "no pair differs")
    assert same["mde"] > 0


def token_f1(rng, n, right):
    kind = rng.random(n)
    return np.where(kind < 0.3, 0.0, np.where(kind < 0.3 + right, 1.0, rng.beta(2, 2, size=n)))


def draw_token_f1(rng, n):
    base = token_f1(rng, n, 0.2)
    return base, np.where(rng.random(n) < 0.6, base, token_f1(rng, n, 0.4)), alone(n), 0.4 * 0.2 * 0.5


def draw_clusters(rng, n):
    fact = np.repeat(np.arange(n), rng.integers(1, 7, size=n))
    base = rng.normal(size=n)[fact]
    moved = rng.normal(size=n)[fact] + rng.normal(size=len(fact))
    return base, base + moved + 0.3, make_clusters([str(i) for i in fact]), 0.3


def draw_exact_match(rng, n):
    kind = rng.random(n)
    return (kind < 0.4).astype(float), ((kind > 0.1) & (kind < 0.6)).astype(float), alone(n), 0.1


@pytest.mark.parametrize("draw", [draw_token_f1, draw_clusters, draw_exact_match])
def test_coverage_at_thirty(draw):
    # 600 sets: the share of intervals that hold the truth has a standard error of .9 points.
    rng, engine, held = np.random.default_rng(15), Engine(n_resamples=1), 0
    for _ in range(600):
        base, candidate, clusters, truth = draw(rng, 30)
        figure = compare_values(base, candidate, clusters, engine).figure
        held += figure["ci_low"] - 1e-12 <= truth <= figure["ci_high"] + 1e-12
    assert 0.93 <= held / 600 <= 0.97


def test_false_positives_at_thirty():
    rng, engine, fired = np.random.default_rng(16), Engine(n_resamples=199), 0
    for _ in range(600):
        base = token_f1(rng, 30, 0.2)
        other = np.where(rng.random(30) < 0.6, base, token_f1(rng, 30, 0.2))
        fired += compare_values(base, other, alone(30), engine).figure["p_value"] <= 0.05
    assert fired / 600 <= 0.07
