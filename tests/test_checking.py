"""Consistency in runs: which responses are checked, what decides a state, and what the files say of it."""

import json
from typing import ClassVar

import pytest
from neural_models import save_pairs
from runs import SUMMARY, prepared, run_fake, write_task

from halueval.backends.fake import FakeBackend
from halueval.checking import check_outcomes, checkers_of, describe
from halueval.consistency.base import ConsistencyScorer, SentenceScore, Verdict
from halueval.consistency.catalog import create
from halueval.consistency.language_model import shared_model
from halueval.errors import SourceError, UsageError
from halueval.job import RunSettings
from halueval.report.tables import footer
from halueval.schema import Outcome, Sample
from halueval.scorers.consistency import Consistency, ConsistencyLikelihood
from halueval.source import DigestError, UnreachableError, Wanted
from halueval.store import load_run

ROWS = [
    {"text": f"{name} went home in {year}.", "short": f"{name} went home."}
    for name, year in (("Ann", 1990), ("Bob", 1991), ("Cid", 1992), ("Dot", 1993))
]


class Shared(ConsistencyScorer):
    """Share of the claim's words that the source has; a claim with a question mark cannot be scored."""

    name = "shared"
    threshold = 0.6
    threshold_from = "a test"
    asked: ClassVar[list[str]] = []

    def verdicts(self, pairs, advance):
        self.asked.extend(pair.claim for pair in pairs)
        out = []
        for pair in pairs:
            words = pair.claim.split()
            share = sum(word in pair.source for word in words) / len(words)
            out.append(Verdict.unscored("a question") if "?" in pair.claim else Verdict(share))
        advance(len(pairs))
        return out


@pytest.fixture(autouse=True)
def shared(monkeypatch):
    Shared.asked = []
    monkeypatch.setattr("halueval.checking.create", lambda name, options: Shared())


def answer(prompt):
    name = prompt.split()[0]
    return {"Ann": "Ann went home", "Bob": "Bob flew to Rome", "Cid": "Who went home?", "Dot": ""}[name]


def run(tmp_path, **changes):
    task = write_task(tmp_path, rows=ROWS, **{**SUMMARY, **changes})
    return run_fake(task, tmp_path / "out", FakeBackend(answer))[0]


def test_a_validated_threshold_decides_and_the_sample_says_so(tmp_path):
    found = run(tmp_path)
    rows = {
        row["target"].split()[0]: row
        for row in map(json.loads, (found.path / "samples.jsonl").read_text().splitlines())
    }
    assert {name: row["state"] for name, row in rows.items()} == {
        "Ann": "correct",
        "Bob": "hallucinated",
        "Cid": "unscored",
        "Dot": "abstained",
    }
    assert rows["Ann"]["scores"]["consistency"] == 1
    assert rows["Bob"]["scores"]["consistency"] == 0.25
    assert rows["Bob"]["reasons"]["state"] == "shared gives 0.250, below its threshold of 0.600"
    assert rows["Cid"]["scores"]["consistency"] is None
    assert rows["Cid"]["reasons"]["consistency"] == "a question"
    assert rows["Dot"]["reasons"]["consistency"] == "no response to check"


def test_the_record_names_scorer_and_threshold_and_both_are_part_of_the_identity(tmp_path):
    found = run(tmp_path)
    check = {"name": "shared", "version": 1, "threshold": 0.6, "threshold_from": "a test"}
    assert found.record["checks"]["consistency"] == check
    assert found.record["identity"]["checks"]["consistency"] == check
    assert found.record["metrics"]["consistency"]["n_unscored"] == 2


def test_the_sample_keeps_what_was_cut_and_the_scores_of_sentences(tmp_path, monkeypatch):
    def verdicts(self, pairs, advance):
        parts = (SentenceScore("One.", 1 / 3, "a doubt"), SentenceScore("…", None, "no word"))
        return [Verdict(0.5, sentences=parts, truncated=7) if "Ann" in p.claim else Verdict(0.7) for p in pairs]

    monkeypatch.setattr(Shared, "verdicts", verdicts)
    found = run(tmp_path)
    rows = [json.loads(line) for line in (found.path / "samples.jsonl").read_text().splitlines()]
    ann, *others = sorted(rows, key=lambda row: row["target"])
    sentences = [{"text": "One.", "value": 0.33333}, {"text": "…", "value": None, "reason": "no word"}]
    assert ann["checks"] == {
        figure: {"num_truncated": 7, "sentences": sentences} for figure in ("consistency", "consistency_likelihood")
    }
    assert not any("checks" in row for row in others)
    assert found.record["checks"]["consistency"]["n_truncated"] == 1
    assert "n_truncated" not in found.record["identity"]["checks"]["consistency"]
    assert len(load_run(found.path).samples) == len(ROWS)


def test_another_threshold_is_another_run(tmp_path, monkeypatch):
    first = run(tmp_path)
    monkeypatch.setattr(Shared, "threshold", 0.2)
    second = run(tmp_path)
    assert first.run_id != second.run_id
    assert second.record["states"]["correct"] == 2


OWN = {"metric": "consistency", "scorer": "coverage", "threshold": 0.2, "threshold_from": "validation part of my_set"}


def test_a_threshold_of_the_task_decides_in_its_language_and_is_part_of_the_identity(tmp_path, monkeypatch):
    monkeypatch.setattr(Shared, "languages", frozenset({"fr"}))
    monkeypatch.setattr(Shared, "threshold", 0.6)
    without = run(tmp_path, metric_list=[{"metric": "consistency", "scorer": "coverage"}])
    assert without.record["checks"]["consistency"]["threshold"] is None
    found = run(tmp_path, metric_list=[OWN])
    for check in (found.record["checks"]["consistency"], found.record["identity"]["checks"]["consistency"]):
        assert (check["threshold"], check["threshold_from"]) == (0.2, "validation part of my_set")
    # Bob's summary has a share of .25: at .2 it is consistent, at .6 it was not.
    assert found.record["states"] == {"correct": 2, "hallucinated": 0, "abstained": 1, "unscored": 1}
    assert "consistent from 0.2 on (threshold from validation part of my_set)" in footer(found)
    higher = run(tmp_path, metric_list=[{**OWN, "threshold": 0.26}])
    assert higher.record["states"]["hallucinated"] == 1
    renamed = run(tmp_path, metric_list=[{**OWN, "threshold_from": "another set"}])
    assert len({one.run_id for one in (without, found, higher, renamed)}) == 4
    assert Shared.threshold == 0.6


def test_a_response_exactly_at_the_threshold_of_the_task_is_consistent(tmp_path):
    found = run(tmp_path, metric_list=[{**OWN, "threshold": 0.25}])
    assert found.record["states"]["correct"] == 2


def test_the_other_figures_scorer_keeps_its_own_threshold():
    figures = [Consistency(threshold=0.1, threshold_from="a test"), ConsistencyLikelihood()]
    found = describe(checkers_of(figures), "en")
    assert {name: check["threshold"] for name, check in found.items()} == {
        "consistency": 0.1,
        "consistency_likelihood": 0.6,
    }
    assert not figures[0].by_default


def test_without_a_threshold_entities_decide(tmp_path, monkeypatch):
    monkeypatch.setattr(Shared, "threshold", None)
    rows = [json.loads(line) for line in (run(tmp_path).path / "samples.jsonl").read_text().splitlines()]
    reasons = {row["target"].split()[0]: row["reasons"].get("state") for row in rows}
    assert reasons["Bob"] == "not in the source: Rome"


def test_only_responses_with_a_source_are_checked():
    samples = [Sample("1", "", "", "", "p", "t", ("t",), source=source) for source in ("a b", None, "a b", "a b")]
    outcomes = [Outcome("a"), Outcome("a"), Outcome(" "), Outcome(failure="out of memory")]
    checked = check_outcomes({"consistency": Shared()}, samples, outcomes, "en")
    assert [list(outcome.checks) for outcome in checked] == [["consistency"], [], [], []]
    assert Shared.asked == ["a"]


def test_each_figure_has_its_own_scorer(monkeypatch):
    asked = []
    monkeypatch.setattr("halueval.checking.create", lambda name, options: asked.append((name, options)) or Shared())
    figures = [Consistency(scorer="nli", scorer_options={"model": "m"}), ConsistencyLikelihood()]
    assert list(describe(checkers_of(figures), "en")) == ["consistency", "consistency_likelihood"]
    assert asked == [("nli", {"model": "m"}), ("likelihood", {})]


def test_checkers_run_where_the_run_does(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("halueval.checking.create", lambda name, options: asked.append((name, options)) or Shared())
    own = {"model": "m", "device": "cuda:1"}
    figures = [Consistency(scorer="nli", scorer_options=own), ConsistencyLikelihood(), Consistency(scorer="coverage")]
    for figure in figures:
        checkers_of([figure], "cpu")
    assert asked == [("nli", own), ("likelihood", {"device": "cpu"}), ("coverage", {})]
    task = write_task(tmp_path, rows=ROWS, **{**SUMMARY, "metric_list": ["consistency"]})
    elsewhere = [prepared(task, RunSettings(output=tmp_path, device=device)).directory for device in ("cpu", "cuda:1")]
    assert elsewhere[0] == elsewhere[1]
    asked.clear()
    run_fake(task, tmp_path / "out", FakeBackend(answer), device="cuda:1")
    assert asked[:2] == [("lite", {}), ("likelihood", {})]  # built when figures are chosen, to see that they can be
    del asked[:2]
    assert len(asked) == 6  # two figures, for the identity, the scores and the record
    assert {options["device"] for _, options in asked} == {"cuda:1"}


def test_the_checker_of_facts_runs_where_the_run_does():
    checker = create(
        "factscore", {"checker": "nli", "checker_options": {"model": "m"}, "threshold": 0.5, "device": "cpu"}
    )
    assert checker.checker.classifier.local._device == "cpu"
    assert create("factscore", {"device": "cpu"}).checker.name == "rouge_precision"


def test_other_weights_of_a_checker_at_the_same_place_are_another_run(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("halueval.backends.loading.load", lambda *_, **__: pytest.fail("weights were loaded"))
    found = []
    for seed in (0, 1):
        model = save_pairs(tmp_path / "nli", seed=seed)
        metric = {"metric": "consistency", "scorer": "nli", "scorer_options": {"model": str(model)}}
        task = write_task(tmp_path, rows=ROWS, **{**SUMMARY, "metric_list": [metric, "rougeL"]})
        found.append(prepared(task, RunSettings(output=tmp_path / "out")))
    first, second = (one.identity["checks"]["consistency"] for one in found)
    assert first["weights_sha256"] != second["weights_sha256"]
    assert found[0].directory != found[1].directory
    checkers = {name: one for name, one in checkers_of(found[1].scorers).items() if name == "consistency"}
    assert describe(checkers, "en", names=True)["consistency"]["model"] == "nli"


def test_an_unknown_scorer_is_refused_before_anything_is_run(tmp_path, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(UsageError, match="no consistency scorer 'light'"):
        run(tmp_path, metric_list=[{"metric": "consistency", "scorer": "light"}])
    assert not (tmp_path / "out").exists()


def test_the_summary_under_the_table_says_who_decided(tmp_path):
    assert "  states by shared: consistent from 0.6 on (threshold from a test)" in footer(run(tmp_path)).splitlines()


def without_models(tmp_path, monkeypatch):
    """The packaged encoder and language model cannot be had."""
    monkeypatch.undo()
    monkeypatch.setattr("halueval.consistency.encoder.SOURCES", (Wanted(str(tmp_path / "no-encoder")),))

    def missing(spec, **_):
        raise UnreachableError(f"{spec.name}: offline")

    monkeypatch.setattr("halueval.backends.loading.locate", missing)
    shared_model.cache_clear()


def test_a_default_run_goes_on_with_what_is_there(tmp_path, monkeypatch, caplog):
    before = prepared(write_task(tmp_path, rows=ROWS, **SUMMARY), RunSettings(output=tmp_path / "out"))
    without_models(tmp_path, monkeypatch)
    found, again = run(tmp_path), run(tmp_path, task="others")
    assert "checks" not in found.record["identity"]
    assert found.path != before.directory
    rows = [json.loads(line) for line in (found.path / "samples.jsonl").read_text().splitlines()]
    ann = next(row for row in rows if row["target"].startswith("Ann"))
    assert ann["scores"]["consistency"] is ann["scores"]["consistency_likelihood"] is None
    assert ann["reasons"]["consistency"] == "lite: its model could not be had"
    assert ann["reasons"]["consistency_likelihood"] == "likelihood: its model could not be had"
    bob = next(row for row in rows if row["target"].startswith("Bob"))
    assert bob["scores"]["entity_precision"] is not None
    assert bob["reasons"]["state"] == "not in the source: Rome"
    assert found.record["checks"]["consistency"]["reason"] == "lite: its model could not be had"
    assert found.record["metrics"]["consistency"]["value"] is None
    assert caplog.text.count("figure consistency is left out: all-MiniLM-L6-v2: could not be had") == 1
    line = "  states by entities: consistent where the source has all of them (lite: its model could not be had)"
    assert line in footer(again).splitlines()


def test_a_checker_that_the_task_names_must_be_there(tmp_path, monkeypatch):
    without_models(tmp_path, monkeypatch)
    with pytest.raises(SourceError, match="no-encoder"):
        run(tmp_path, metric_list=[{"metric": "consistency", "scorer": "lite"}])


def test_a_package_with_another_content_is_not_gone_without(tmp_path, monkeypatch):
    without_models(tmp_path, monkeypatch)

    def wrong(*_, **__):
        raise DigestError("wrong digest")

    monkeypatch.setattr("halueval.consistency.encoder.fetch_first", wrong)
    with pytest.raises(DigestError):
        run(tmp_path)


def test_the_summary_says_why_entities_decided(tmp_path, monkeypatch):
    monkeypatch.setattr(Shared, "languages", frozenset({"en"}))
    line = (
        "  states by entities: consistent where the source has all of them (shared has no validated threshold for zh)"
    )
    assert line in footer(run(tmp_path, language="zh")).splitlines()


def test_a_threshold_does_not_decide_in_a_language_that_it_was_not_validated_for(tmp_path, monkeypatch):
    monkeypatch.setattr(Shared, "languages", frozenset({"en"}))
    found = run(tmp_path, language="zh")
    assert found.record["checks"]["consistency"]["threshold"] is None
    assert run(tmp_path).record["checks"]["consistency"]["threshold"] == 0.6


def test_the_record_of_a_checker_that_gives_abstentions_no_score_has_the_answer_rate(tmp_path, monkeypatch):
    assert "answer_rate" not in run(tmp_path).record["checks"]["consistency"]

    def verdicts(self, pairs, advance):
        return [Verdict.unscored("abstains") if "Bob" in pair.claim else Verdict(0.7) for pair in pairs]

    monkeypatch.setattr(Shared, "name", "factscore")
    monkeypatch.setattr(Shared, "verdicts", verdicts)
    found = run(tmp_path).record
    rate = found["checks"]["consistency"]["answer_rate"]
    # Of four responses one abstains and one is empty.
    assert (rate["value"], rate["n"]) == (0.5, 4)
    assert rate["ci_low"] == pytest.approx(0.15, abs=0.005)
    assert "answer_rate" not in found["identity"]["checks"]["consistency"]
