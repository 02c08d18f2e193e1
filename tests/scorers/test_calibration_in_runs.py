"""Figures of calibration in a task's metric_list: of runs, and what a comparison of two says of them."""

import pytest
from calibrated import run_choices, without_taste
from runs import identity, run_fake, write_task

import halueval
from halueval.backends.fake import FakeBackend
from halueval.calibrating.answers import read_answers
from halueval.calibrating.calibration import calibrate
from halueval.compare.recipes import BINNED
from halueval.stats.calibration import ece, ece_floor, negative_log_likelihood
from halueval.stats.rescaling import pad, softmax
from halueval.stats.scoring_rules import classwise_ece, murphy

OF_ANSWERS = (
    *("ece", "ece_floor", "ece_equal_width", "ece_equal_width_floor", "brier", "brier_reliability"),
    *("brier_resolution", "brier_uncertainty", "brier_within_bins", "nll"),
)
OF_CHOICES = ("classwise_ece", "adaptive_classwise_ece", "brier_sum", "choice_nll")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_choices(tmp_path_factory.mktemp("moods"), metric_list=["accuracy", *OF_ANSWERS, *OF_CHOICES])


def test_every_figure_has_an_interval_and_is_that_of_all_answers(run):
    metrics, answers = run.record["metrics"], read_answers(run)
    for name in (*OF_ANSWERS, *OF_CHOICES):
        found = metrics[name]
        assert found["n_scored"] == len(answers) == 300
        assert found["ci_low"] <= found["value"] <= found["ci_high"], name
    conf, right = answers.confidence, answers.correct
    assert metrics["ece_equal_width"]["value"] == pytest.approx(ece(conf, right, scheme="equal_width"))
    assert metrics["ece_floor"]["value"] == pytest.approx(ece_floor(conf, n_resamples=2000))
    assert metrics["nll"]["value"] == pytest.approx(negative_log_likelihood(conf, right))
    parts = murphy(conf, right)
    assert metrics["brier_resolution"]["value"] == pytest.approx(parts.resolution)
    p = softmax(pad(answers.loglikelihoods))
    assert metrics["classwise_ece"]["value"] == pytest.approx(classwise_ece(p, answers.gold))
    # A model that is far too sure is beyond what chance alone would give.
    assert metrics["ece"]["value"] > metrics["ece_floor"]["ci_high"]


def test_calibrate_has_every_figure_by_the_same_name(run):
    (first, *_) = calibrate(run.path, n_resamples=100)["variants"]
    named = {*OF_ANSWERS, *OF_CHOICES} - {"ece", "ece_floor", "ece_equal_width_floor"}
    assert named <= set(first["figures"])


def test_a_comparison_leaves_out_what_has_bins_of_its_own_and_says_so(run, tmp_path):
    other = run_choices(tmp_path, loglikelihood=without_taste, metric_list=["accuracy", *OF_ANSWERS, *OF_CHOICES])
    task = halueval.diff(run, other).record["tasks"]["moods"]
    shown = set(task["metrics"])
    assert {"brier_sum", "choice_nll", "nll"} <= shown
    assert BINNED.isdisjoint(shown)


def test_a_generated_answer_has_no_classes(tmp_path):
    task = write_task(tmp_path, metric_list=["exact_match", "nll", "brier_reliability"])
    done, _ = run_fake(task, tmp_path / "out", FakeBackend({}, default="Atlantis"), model=identity())
    assert done.record["metrics"]["nll"]["value"] is not None
    assert done.record["metrics"]["brier_reliability"]["ci_reason"] == "all answers are wrong"
    with pytest.raises(halueval.errors.UsageError, match="classwise_ece"):
        run_fake(write_task(tmp_path, metric_list=["exact_match", "classwise_ece"]), tmp_path / "out")
