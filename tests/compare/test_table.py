"""Whole comparisons of runs with planted effects; expected counts and p-values are worked by hand."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace

import planted
import pytest

from halueval.compare.figures import Engine
from halueval.compare.table import compare_all, compare_runs
from halueval.errors import UsageError
from halueval.schema import canonical_json

FAST = {"n_resamples": 500}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return planted.planted_runs(tmp_path_factory)


@pytest.fixture(scope="module")
def found(runs):
    return compare_runs(runs["base"], runs["planted"], **FAST)


def without_paths(task):
    task = copy.deepcopy(task)
    del task["base_run"], task["candidate_run"]
    return task


def test_twelve_of_two_hundred_flipped_is_found(found):
    # b = 12, c = 0: p = 2 · (1/2)^12 = 0.00048828125; both claims look at the same pairs, so Holm counts one.
    metric, net = found["metrics"]["exact_match"], found["net_rate"]
    assert metric["p_value"] == pytest.approx(2 * 0.5**12, rel=1e-12)
    assert net["p_value"] == metric["p_value"] == net["p_adjusted"] == metric["p_adjusted"]
    assert (metric["test"], metric["base"], metric["candidate"]) == ("mcnemar-exact", 0.75, 0.69)
    assert metric["delta"] == pytest.approx(-0.06)
    assert metric["significant"]
    assert net["significant"]
    assert metric["ci_high"] < 0 < net["ci_low"]
    assert found["verdict"] == "worse"


def test_states_and_rates_of_the_planted_effect(found):
    counts = found["transitions"]
    assert counts["correct"] == {"correct": 138, "abstained": 0, "hallucinated": 12, "unscored": 0}
    assert counts["hallucinated"] == {"correct": 0, "abstained": 0, "hallucinated": 50, "unscored": 0}
    assert found["induced_rate"]["value"] == 12 / 150
    assert (found["repaired_rate"]["value"], found["persistent_rate"]["value"]) == (0.0, 1.0)
    assert found["net_rate"]["value"] == pytest.approx(12 / 200)
    # Wilson's 95 % interval of 12 of 150, from its formula: centre .09049, half width .04413.
    assert found["induced_rate"]["ci_low"] == pytest.approx(0.0463, abs=2e-4)
    assert found["induced_rate"]["ci_high"] == pytest.approx(0.1345, abs=2e-4)
    assert [s["transition"] for s in found["samples"]["induced"]] == ["induced"] * 12
    assert found["samples"]["induced"][0]["candidate"]["response"] == " Atlantis"


def test_headline_names_the_counts(found):
    lost = "Fine-tuning made the model hallucinate on 12 of the 150 questions it used to get right"
    assert found["headline"].startswith(f"{lost}; it repaired 0 of the 50")


def test_two_of_two_hundred_is_not_significant(runs):
    # b = 2, c = 0: p = 2 · (1/2)^2 = .5
    slight = compare_runs(runs["base"], runs["slight"], **FAST)
    assert slight["net_rate"]["p_value"] == pytest.approx(0.5)
    assert not slight["net_rate"]["significant"]
    assert slight["verdict"] == "no detectable change"
    assert "No detectable change" in slight["headline"]
    assert "80 % power" in slight["headline"]


def test_base_against_itself_changes_nothing(runs):
    same = compare_runs(runs["base"], runs["base"], **FAST)
    assert all(figure["delta"] == 0 for figure in same["metrics"].values())
    assert all(figure["p_value"] == 1 for figure in same["metrics"].values())
    assert same["net_rate"]["mde"] is not None
    # Nothing differs: two unrelated models stand in. A perplexity of 7.70 = exp(2.04) whose nats per word have
    # a standard error s has one of about 7.70 s, so its detectable effect is that many times reference_nll's.
    nats, perplexity = (same["metrics"][name] for name in ("reference_nll", "word_perplexity"))
    assert nats["mde"] > 0
    assert perplexity["mde"] / nats["mde"] == pytest.approx(perplexity["base"], rel=0.05)
    assert same["verdict"] == "no detectable change"
    assert same["notes"][:2] == [
        "both runs are of the same weights",
        "the answers to all 200 samples are byte-identical",
    ]


def test_identical_answers_of_other_weights_are_pointed_out(runs, tmp_path):
    other = planted.run_of(runs["task"], tmp_path, wrong=set(range(150, 200)), weights="other", name="other")
    notes = compare_runs(runs["base"], other, **FAST)["notes"]
    assert "the answers to all 200 samples are byte-identical, though the weights differ" in notes


def test_order_of_rows_does_not_matter(runs, found, tmp_path):
    rows = planted.rows_of(runs["planted"])
    random.Random(3).shuffle(rows)
    shuffled = planted.rewrite(runs["planted"], tmp_path / "shuffled", rows)
    assert without_paths(compare_runs(runs["base"], shuffled, **FAST)) == without_paths(found)


def test_a_removed_row_is_counted_and_bounded(runs, tmp_path):
    # Sample 0, right in the base and wrong in the candidate, is gone from the candidate's file.
    short = planted.rewrite(runs["planted"], tmp_path / "short", planted.rows_of(runs["planted"])[1:])
    task = compare_runs(runs["base"], short, **FAST)
    assert task["n_paired"] == 199
    assert task["pairing"]["n_unpaired_base"] == 1
    assert task["pairing"]["reasons"] == {"only in the base": 1}
    assert task["net_rate"]["count"] == 11
    assert task["bounds"] == {
        "n_uncertain": 1,
        "net_rate": {"best": 11 / 200, "worst": 12 / 200},
        "induced_rate": {"best": 11 / 150, "worst": 12 / 150},
    }
    assert (task["metrics"]["exact_match"]["best"], task["metrics"]["exact_match"]["worst"]) == (-11 / 200, -12 / 200)


def test_a_changed_prompt_is_never_paired(runs, tmp_path):
    rows = planted.rows_of(runs["planted"])
    rows[5]["prompt_hash"] = "0" * 64
    changed = planted.rewrite(runs["planted"], tmp_path / "changed", rows)
    task = compare_runs(runs["base"], changed, **FAST)
    assert task["n_paired"] == 199
    assert task["pairing"]["reasons"] == {"prompt differs": 2}
    paired = compare_runs(runs["base"], changed, allow_mismatch=["prompt_hash"], **FAST)
    assert (paired["n_paired"], paired["pairing"]["prompts_differ"]) == (200, 1)


def test_a_sample_that_one_side_could_not_score_is_bounded(runs, tmp_path):
    rows = planted.rows_of(runs["planted"])
    rows[0] |= {
        "state": "unscored",
        "scores": dict.fromkeys(rows[0]["scores"]),
        "reasons": dict.fromkeys([*rows[0]["scores"], "state"], "out of memory"),
    }

    def drop_values(record):
        # The run's own figures cover 199 samples now.
        for metric in record["metrics"].values():
            metric["value"] = None
        record["metrics"]["exact_match"]["value"] = 138 / 199
        return record

    failed = planted.rewrite(runs["planted"], tmp_path / "failed", rows, drop_values)
    task = compare_runs(runs["base"], failed, **FAST)
    assert task["pairing"]["unscored_candidate"] == 1
    assert task["net_rate"]["n"] == 199
    assert task["bounds"]["net_rate"] == {"best": 11 / 200, "worst": 12 / 200}
    metric = task["metrics"]["exact_match"]
    assert (metric["n"], metric["n_base_only"], metric["flips"]) == (199, 1, 11)
    assert task["not_comparable"]["token_f1"] == "only one run has a value: undefined"


def test_induced_splits_into_lost_knowledge_and_lost_caution(tmp_path):
    task = planted.facts_task(tmp_path, 40)
    base = planted.run_of(task, tmp_path, silent=range(10), name="base")
    bold = planted.run_of(task, tmp_path, wrong=range(14), weights="b", name="bold")
    made = compare_runs(base, bold, **FAST)
    # 10 used to be declined and 4 were right; all 40 were not hallucinated before.
    assert made["induced_rate"]["value"] == 14 / 40
    assert made["lost_caution_rate"]["value"] == 10 / 40
    assert made["lost_knowledge_rate"]["value"] == 4 / 40
    assert "on 4 of the 30 questions that base got right and on 10 of the 10 that it declined" in made["headline"]
    # base answered 30 without fault, bold 40 with 14 faults: each side over what it answered.
    rate = made["metrics"]["hallucination_rate"]
    assert (rate["base"], rate["candidate"], rate["test"]) == (0.0, 14 / 40, "permutation")


def test_strata_are_tested_apart(found):
    strata = found["strata"]["region"]
    assert list(strata) == ["north", "south"]
    assert strata["north"]["net_rate"]["count"] == 12
    assert strata["south"]["net_rate"]["count"] == 0
    # Benjamini and Hochberg of (p, 1): 2p and 1.
    assert strata["north"]["net_rate"]["p_adjusted"] == pytest.approx(2 * 2 * 0.5**12)
    assert strata["north"]["net_rate"]["significant"]
    assert not strata["south"]["small"]


def test_small_strata_are_marked_and_hopeless_keys_left_out(tmp_path):
    task = planted.facts_task(tmp_path, 40, group_by=["region", "country"])
    base = planted.run_of(task, tmp_path, name="base")
    made = compare_runs(base, base, **FAST)
    assert all(stratum["small"] for stratum in made["strata"]["region"].values())
    assert "country" not in made["strata"]
    assert "no breakdown by country: 40 values for 40 pairs" in made["notes"]


def test_format_drift_is_named_as_an_explanation(tmp_path):
    task = planted.facts_task(tmp_path, 60)
    base = planted.run_of(task, tmp_path, name="base")

    rambling = " one two three four five six seven eight nine ten"
    long = planted.run_of(task, tmp_path, wrong=range(15), text=rambling, weights="l", name="long")
    rows = planted.rows_of(long)
    for row in rows[:15]:
        row["flags"] = ["truncated"]
    drifted = planted.rewrite(long, tmp_path / "drifted", rows)
    drift = compare_runs(base, drifted, **FAST)["format_drift"]
    assert drift["rates"]["truncated_rate"]["candidate"] == 15 / 60
    assert drift["could_explain"]
    assert (drift["expected_format"]["n"], drift["expected_format"]["value"]) == (45, 0.0)
    assert "truncated rate 0.0% → 25.0%" in drift["text"]


def test_right_answers_in_longer_texts_are_named_as_an_explanation(tmp_path):
    task = planted.facts_task(tmp_path, 60)
    base = planted.run_of(task, tmp_path, name="base")
    chatty = planted.run_of(task, tmp_path, weights="c", name="chatty")
    rows = planted.rows_of(chatty)
    for row in rows[:20]:
        row |= {"response": f"I think that it is {row['references'][0]}, is it not?", "state": "hallucinated"}
        row["scores"]["exact_match"] = 0.0
    for row in rows[20:25]:
        row |= {"response": f"{row['references'][0]}ville", "state": "hallucinated"}
    wordy = planted.rewrite(chatty, tmp_path / "wordy", rows)
    drift = compare_runs(base, wordy, **FAST)["format_drift"]
    assert drift["rates"]["verbose_rate"]["base"] == 0
    assert drift["rates"]["verbose_rate"]["candidate"] == 20 / 60
    assert (drift["expected_format"]["n"], drift["expected_format"]["count"]) == (40, 5)
    assert "verbose rate 0.0% → 33.3%" in drift["text"]
    assert drift["could_explain"]


def test_a_form_rate_that_is_also_a_metric_is_one_test(found):
    twins = [name for name in found["format_drift"]["rates"] if name in found["metrics"]]
    assert "refusal_rate" in twins
    for name in twins:
        assert found["format_drift"]["rates"][name]["p_adjusted"] == found["metrics"][name]["p_adjusted"]
    tested = [f for f in found["metrics"].values() if not f["primary"] and f["p_value"] is not None]
    form = {**found["format_drift"]["rates"], **found["format_drift"]["lengths"]}
    tested += [f for name, f in form.items() if name not in found["metrics"]]
    tested += [f for name, f in found["likelihood"].items() if name not in found["metrics"]]
    largest = max(f["p_value"] for f in tested)
    assert max(f["p_adjusted"] for f in tested) == pytest.approx(largest)
    smallest = min(tested, key=lambda f: f["p_value"])
    assert smallest["p_adjusted"] <= smallest["p_value"] * len(tested) + 1e-12


def test_noise_floor_makes_a_difference_no_change(runs, tmp_path):
    wrong = set(range(150, 200)) ^ set(range(12))
    again = planted.run_of(runs["task"], tmp_path, wrong=wrong)
    task = compare_runs(runs["base"], runs["planted"], noise_floor=again, **FAST)
    assert task["net_rate"]["within_noise"]
    assert task["verdict"] == "within the noise floor"
    assert "12 of 200 samples changed their state" in task["noise_floor"]["text"]
    quiet = compare_runs(runs["base"], runs["planted"], noise_floor=runs["base"], **FAST)
    assert (quiet["net_rate"]["floor"], quiet["net_rate"]["within_noise"], quiet["verdict"]) == (0.0, False, "worse")


def test_noise_floor_must_be_the_base_itself(runs):
    with pytest.raises(UsageError, match="its weights_sha256 is not the base's"):
        compare_runs(runs["base"], runs["planted"], noise_floor=runs["slight"], **FAST)


def test_calibration_of_sequence_probabilities(found):
    made = found["calibration"]
    assert made["n"] == 200
    # The scripted model gives one confidence c to an answer of one length; Brier is the mean of (c - right)².
    assert made["brier"]["delta"] != 0
    assert made["ece_floor"]["base"] >= 0
    assert sum(item["n"] for item in made["curves"]["base"]) == 200


def test_likelihood_and_tokenizers(runs, found, tmp_path):
    assert "reference_nll" in found["likelihood"]
    assert "token_perplexity" in found["likelihood"]

    def other_tokenizer(record):
        record["model"]["tokenizer_sha256"] = "another"
        return record

    other = planted.rewrite(runs["planted"], tmp_path / "other", change=other_tokenizer)
    made = compare_runs(runs["base"], other, **FAST)
    assert "token_perplexity" not in made["likelihood"]
    assert "tokenizers differ" in made["not_comparable"]["token_perplexity"]
    assert "tokenizers differ" in made["not_comparable"]["response_tokens"]
    assert "bits_per_byte" in made["likelihood"]


def test_holm_over_all_candidates_and_tasks(runs):
    name = "capitals"
    table = compare_all(
        {name: runs["base"]}, [{name: runs["planted"]}, {name: runs["slight"]}], engine=Engine(n_resamples=500)
    )
    record = table.record
    assert record["settings"]["n_claims"] == 2
    # Holm of (p, .5): 2p and .5.
    assert record["tasks"][name]["net_rate"]["p_adjusted"] == pytest.approx(2 * 2 * 0.5**12)
    assert record["further"][0]["tasks"][name]["net_rate"]["p_adjusted"] == pytest.approx(0.5)
    assert record["candidate"]["label"] == "planted"
    assert record["summary"]["qa"]["net_rate"]["value"] == pytest.approx(0.06)
    assert record["summary"]["qa"]["primary_delta"]["value"] == pytest.approx(-0.06)
    assert {len(rows) for rows in table.samples_by_task().values()} == {400}


def test_record_is_json_without_nan(found):
    json.loads(json.dumps(found, allow_nan=False))
    assert canonical_json(found)


def renamed(run, directory, change=lambda record: record):
    """The run with its exact match under a name that no scorer has."""
    rows = planted.rows_of(run)
    for row in rows:
        row["scores"]["their_metric"] = row["scores"].pop("exact_match")

    def rename(record):
        record["metrics"]["their_metric"] = record["metrics"].pop("exact_match")
        return change(record)

    return planted.rewrite(run, directory, rows, rename)


def test_a_figure_that_nothing_reproduces_is_left_out(runs, tmp_path):
    def another_figure(record):
        record["metrics"]["their_metric"]["value"] = 0.5
        return record

    base = renamed(runs["base"], tmp_path / "a")
    made = compare_runs(base, renamed(runs["planted"], tmp_path / "b", another_figure), **FAST)
    assert "their_metric" not in made["metrics"]
    assert made["not_comparable"]["their_metric"] == (
        "its scorer is not at hand, and it is not the mean of its samples' values"
    )


def test_rows_count_where_the_record_disagrees(runs, tmp_path):
    def another_figure(record):
        record["metrics"]["exact_match"]["value"] = 0.5
        return record

    odd = planted.rewrite(runs["planted"], tmp_path / "odd", change=another_figure)
    made = compare_runs(runs["base"], odd, **FAST)
    assert made["metrics"]["exact_match"]["candidate"] == 0.69
    assert any("run.json of the candidate does not agree" in note for note in made["notes"])


def test_an_unknown_scorer_is_taken_for_a_mean_if_it_is_one(runs, tmp_path):
    base, candidate = renamed(runs["base"], tmp_path / "a"), renamed(runs["planted"], tmp_path / "b")
    figure = compare_runs(base, candidate, **FAST)["metrics"]["their_metric"]
    assert figure["p_value"] == pytest.approx(2 * 0.5**12)


def test_clustered_samples_are_not_tested_by_mcnemar(runs, tmp_path):
    def clustered(run, directory):
        rows = planted.rows_of(run)
        for i, row in enumerate(rows):
            row["cluster"] = f"document {i // 12}"
        return planted.rewrite(run, directory, rows)

    base, candidate = clustered(runs["base"], tmp_path / "a"), clustered(runs["planted"], tmp_path / "b")
    made = compare_runs(base, candidate, **FAST)
    assert made["pairing"]["n_clusters"] == 17
    # All 12 flips lie in one document: swapping it alone decides, so every swap is as extreme as the data.
    assert (made["net_rate"]["test"], made["net_rate"]["p_value"]) == ("permutation", 1.0)
    assert not made["net_rate"]["significant"]


def test_engine_is_what_is_recorded(runs):
    engine = replace(Engine(), alpha=0.01, n_resamples=300)
    settings = compare_all({"capitals": runs["base"]}, [{"capitals": runs["slight"]}], engine=engine).record["settings"]
    assert (settings["alpha"], settings["n_resamples"], settings["allow_mismatch"]) == (0.01, 300, [])
