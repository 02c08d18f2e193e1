"""The record of `halueval calibrate`: planted temperatures and tastes found, halves kept apart, faults told."""

import json
import math
import random

import numpy as np
import pytest
from calibrated import LABELS, TEMPERATURE, rewritten, run_choices, without_taste
from runs import CAPITALS, run_fake, write_task

from halueval.backends.fake import FakeBackend
from halueval.calibrating.answers import fitting_half
from halueval.calibrating.calibration import calibrate
from halueval.errors import DataError
from halueval.scorers.likelihood import logsumexp
from halueval.stats.calibration import brier, ece, negative_log_likelihood
from halueval.stats.rescaling import BOUNDS
from halueval.stats.selective import aurc
from halueval.store import read_samples


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run_choices(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def record(plain):
    return calibrate(plain.path, n_resamples=300)


def variant(record, name):
    return next(v for v in record["variants"] if v["name"] == name)


def figure(record, name, what):
    return variant(record, name)["figures"][what]["value"]


def reported(run, seed=0):
    rows = list(read_samples(run.path, run.record))
    fit = fitting_half([row["cluster"] for row in rows], seed)
    return [row for row, fitted in zip(rows, fit, strict=True) if not fitted]


def test_figures_of_the_answers_as_they_are(plain, record):
    rows = reported(plain)
    conf, right = [r["confidence"] for r in rows], [r["state"] == "correct" for r in rows]
    assert record["n"] == {"total": 300, "left_out": {}, "fitted": 300 - len(rows), "reported": len(rows)}
    assert figure(record, "as is", "accuracy") == pytest.approx(np.mean(right))
    for scheme in ("equal_width", "equal_mass"):
        assert figure(record, "as is", f"ece_{scheme}") == pytest.approx(ece(conf, right, scheme=scheme))
    assert figure(record, "as is", "brier") == pytest.approx(brier(conf, right))
    assert figure(record, "as is", "nll") == pytest.approx(negative_log_likelihood(conf, right))
    assert figure(record, "as is", "aurc") == pytest.approx(aurc(conf, right))
    choice_nll = [logsumexp(r["loglikelihoods"]) - r["loglikelihoods"][r["gold"][0]] for r in rows]
    assert figure(record, "as is", "choice_nll") == pytest.approx(np.mean(choice_nll))


def test_parts_of_the_brier_score_add_up(record):
    for one in record["variants"]:
        part = {name: f["value"] for name, f in one["figures"].items() if name.startswith("brier")}
        total = part["brier_reliability"] - part["brier_resolution"] + part["brier_uncertainty"]
        assert total + part["brier_within_bins"] == pytest.approx(part["brier"])


def test_batch_calibration_is_always_there_and_takes_the_taste_off(record):
    names = [v["name"] for v in record["variants"]]
    assert names == ["as is", "temperature", "batch", "batch + temperature"]
    assert figure(record, "batch", "accuracy") > figure(record, "as is", "accuracy")
    assert figure(record, "batch + temperature", "ece_equal_width") < figure(record, "as is", "ece_equal_width") / 2


def test_a_planted_temperature_is_found(tmp_path):
    run = run_choices(tmp_path, n=600, loglikelihood=without_taste)
    made = calibrate(run.path, n_resamples=300)
    fit = variant(made, "temperature")["fit"]
    assert fit["temperature"] == pytest.approx(TEMPERATURE, rel=0.2)
    assert fit["temperature_low"] < TEMPERATURE < fit["temperature_high"]
    before, after = (variant(made, name)["figures"] for name in ("as is", "temperature"))
    assert after["ece_equal_mass"]["value"] < after["ece_equal_mass"]["floor"] * 2 < before["ece_equal_mass"]["value"]
    assert after["ece_equal_mass"]["delta_high"] < 0
    assert after["choice_nll"]["delta_high"] < 0
    # A temperature changes no answer.
    assert after["accuracy"]["delta"] == 0
    assert after["accuracy"]["delta_low"] is None


def test_stored_baselines_give_the_other_methods(tmp_path, plain, record):
    for method in ("contextual", "pmi", "domain"):
        run = run_choices(tmp_path, calibration=method)
        made = calibrate(run.path, n_resamples=100)
        names = [v["name"] for v in made["variants"]]
        assert names[:2] == ["as is", "temperature"]
        assert {method, f"{method} + temperature", "batch"} <= set(names)
        assert made["run_calibration"] == method
        # What the run itself chose by is the variant of its name; as it is, the model is that of the plain run.
        states = [row["state"] == "correct" for row in reported(run)]
        assert figure(made, method, "accuracy") == pytest.approx(np.mean(states))
        assert figure(made, "as is", "accuracy") == figure(record, "as is", "accuracy")


def test_baselines_of_all_methods_make_one_table_of_all(tmp_path, record):
    run = run_choices(tmp_path, baselines=("contextual", "domain", "pmi"))
    made = calibrate(run.path, n_resamples=100)
    methods = ("as is", "contextual", "domain", "pmi", "batch")
    assert [v["name"] for v in made["variants"]][::2] == list(methods)
    assert made["run_calibration"] == "none"
    assert figure(made, "as is", "accuracy") == figure(record, "as is", "accuracy")
    # All prompts without a review give "positive" the same taste, which each method takes off.
    assert len({round(figure(made, method, "choice_nll"), 9) for method in methods[1:4]}) == 1
    assert figure(made, "pmi", "accuracy") > figure(made, "as is", "accuracy")


def test_contextual_variant_by_hand(tmp_path):
    run = run_choices(tmp_path, calibration="contextual")
    made = calibrate(run.path, n_resamples=100)
    total = 0.0
    for row in reported(run):
        # All three content-free prompts give "positive" the same taste: taken off, the true scores stay.
        taste = [0.8 * TEMPERATURE * (label == "positive") for label in LABELS]
        scores = [value - less for value, less in zip(row["loglikelihoods"], taste, strict=True)]
        total += logsumexp(scores) - scores[row["gold"][0]]
    assert figure(made, "contextual", "choice_nll") == pytest.approx(total / made["n"]["reported"])


def test_order_of_samples_changes_no_digit(plain, record, tmp_path):
    def shuffle(rows):
        random.Random(1).shuffle(rows)
        return rows

    made = calibrate(rewritten(plain, tmp_path / "shuffled", shuffle).path, n_resamples=300)
    assert made["variants"] == record["variants"]


def test_the_half_fitted_on_moves_no_figure_of_the_answers_as_they_are(plain, record, tmp_path):
    fit = {row["cluster"] for row in read_samples(plain.path, plain.record)} - {r["cluster"] for r in reported(plain)}

    def spoil(rows):
        for row in rows:
            if row["cluster"] in fit:
                row["gold"] = [(row["gold"][0] + 1) % 3]
                row["state"] = "correct" if row["prediction"] in row["gold"] else "hallucinated"
        return rows

    made = calibrate(rewritten(plain, tmp_path / "spoilt", spoil).path, n_resamples=300)
    assert variant(made, "as is") == variant(record, "as is")
    assert variant(made, "temperature")["fit"] != variant(record, "temperature")["fit"]


def test_halves_keep_clusters_whole_and_do_not_depend_on_the_rest():
    names = [f"c{i // 3}" for i in range(300)]
    half = fitting_half(names, 0)
    assert 60 < half.sum() < 240
    assert (half[0::3] == half[1::3]).all()
    assert (fitting_half(names[:30], 0) == half[:30]).all()
    assert (fitting_half(names, 1) != half).any()


def test_generated_answers_get_a_sigmoid_and_abstentions_are_left_out(tmp_path):
    rows = [{"country": f"{c}{i}", "capital": k} for i in range(12) for c, k in CAPITALS.items()]
    answers = {r["country"]: r["capital"] for r in rows}

    def answer(prompt):
        country = prompt.rsplit("capital of ", 1)[1].split("?")[0]
        if country.startswith("Fiji"):
            return " I don't know."
        # One word where it is right, three (less confident) where it is wrong.
        return f" {answers[country]}" if country[:1] < "K" else " Atlantis of old"

    run, _ = run_fake(write_task(tmp_path, rows=rows), tmp_path / "out", FakeBackend(answer))
    made = calibrate(run.path, n_resamples=200)
    assert made["answers"] == "generated"
    assert made["n"]["left_out"] == {"abstained": 12}
    assert made["n"]["fitted"] + made["n"]["reported"] == 108
    assert [v["name"] for v in made["variants"]] == ["as is", "platt"]
    assert not {"choice_nll", "classwise_ece", "brier_sum"} & set(made["variants"][0]["figures"])
    assert variant(made, "platt")["fit"]["slope"] > 0
    assert figure(made, "platt", "nll") < figure(made, "as is", "nll")
    assert figure(made, "platt", "accuracy_at_0.25") == 1


def test_choices_that_differ_are_no_classes(tmp_path):
    run = run_choices(
        tmp_path,
        doc_to_choice="{{ ['negative', 'positive'] if '1' in text else ['neutral', 'negative', 'positive'] }}",
        doc_to_target="{{ 0 }}",
    )
    made = calibrate(run.path, n_resamples=100)
    assert [v["name"] for v in made["variants"]] == ["as is", "temperature"]
    assert "batch calibration is not shown: the choices differ between samples" in made["notes"]
    assert any("no classes" in note for note in made["notes"])
    assert "classwise_ece" not in made["variants"][0]["figures"]


def test_several_right_choices_have_no_brier_score_over_classes(plain, tmp_path):
    def both(rows):
        for row in rows:
            row["gold"] = [0, 1]
            row["state"] = "correct" if row["prediction"] in (0, 1) else "hallucinated"
        return rows

    made = calibrate(rewritten(plain, tmp_path / "both", both).path, n_resamples=100)
    figures = made["variants"][0]["figures"]
    assert not {"brier_sum", "classwise_ece"} & set(figures)
    assert figures["choice_nll"]["value"] > 0
    assert any("several right choices" in note for note in made["notes"])


@pytest.mark.parametrize("state", ["correct", "hallucinated"])
def test_answers_that_are_all_alike_have_no_interval_and_no_nan(plain, tmp_path, state):
    def alike(rows):
        for row in rows:
            best = row["prediction"]
            row["gold"] = [best if state == "correct" else (best + 1) % 3]
            row["state"] = state
        return rows

    made = calibrate(rewritten(plain, tmp_path / state, alike).path, n_resamples=100)
    json.dumps(made, allow_nan=False)
    figures = variant(made, "temperature")["figures"]
    accuracy = figures["accuracy"]
    assert accuracy["ci_method"] == "wilson"
    assert 0 < accuracy["ci_high"] - accuracy["ci_low"] < 0.1
    right = "right" if state == "correct" else "wrong"
    assert {f["ci_reason"] for n, f in figures.items() if n != "accuracy"} == {f"all answers are {right}"}
    fit = variant(made, "temperature")["fit"]
    assert fit["at_bound"]
    assert fit["temperature"] == pytest.approx(BOUNDS[0] if state == "correct" else BOUNDS[1])
    assert any("no best temperature exists" in note for note in made["notes"])


def test_everything_is_finite_json(record):
    json.dumps(record, allow_nan=False)
    for one in record["variants"]:
        for name, value in one["figures"].items():
            assert math.isfinite(value["value"]), name
            if value["ci_low"] is not None:
                assert value["ci_low"] <= value["value"] <= value["ci_high"], name
        assert 2 <= len(one["risk_coverage"]) <= 100
        assert one["risk_coverage"][-1] == (1.0, pytest.approx(1 - one["figures"]["accuracy"]["value"]))


def test_too_few_answers_are_told(tmp_path):
    run = run_choices(tmp_path, n=30)
    with pytest.raises(DataError, match=r"independent answers in the \w+ half, of 30 answers in all; .* at least 20"):
        calibrate(run.path)


def test_variants_of_few_rows_are_not_many_answers(plain, tmp_path):
    def few(rows):
        for i, row in enumerate(rows):
            row["cluster"] = f"c{i % 10}"
        return rows

    with pytest.raises(DataError, match="independent answers"):
        calibrate(rewritten(plain, tmp_path / "few", few).path)


@pytest.mark.parametrize("confidence", [None, "high", 1.5, float("-inf")])
def test_a_run_without_confidences_is_told(plain, tmp_path, confidence):
    def without(rows):
        for row in rows:
            row["confidence"] = confidence if confidence != float("-inf") else -1
        return rows

    with pytest.raises(DataError, match=r"no answer with a confidence \(300 without a confidence\)"):
        calibrate(rewritten(plain, tmp_path / "none", without).path)


def test_a_run_of_unscored_and_abstained_samples_is_told(plain, tmp_path):
    def none(rows):
        for i, row in enumerate(rows):
            row["state"] = "abstained" if i % 3 else "unscored"
        return rows

    with pytest.raises(DataError, match=r"\(200 abstained, 100 unscored\)"):
        calibrate(rewritten(plain, tmp_path / "none", none).path)


def test_a_method_that_only_some_samples_have_is_not_shown(tmp_path):
    def spoil(rows):
        del rows[3]["baselines"]
        return rows

    made = calibrate(rewritten(run_choices(tmp_path, calibration="pmi"), tmp_path / "spoilt", spoil).path)
    assert [v["name"] for v in made["variants"]] == ["as is", "temperature", "batch", "batch + temperature"]


def test_plain_text_has_nothing_to_calibrate(plain, tmp_path):
    run = rewritten(plain, tmp_path / "text", lambda rows: rows)
    record = json.loads((run.path / "run.json").read_text())
    record["task"]["kind"] = "language_modeling"
    (run.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="plain text with no right answers"):
        calibrate(run.path)
