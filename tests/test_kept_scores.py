"""Scores of annotated sets between calls, claim by claim, and what the report says of rows that were left out."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from test_validation import FAST, Number, made

from halueval.consistency.base import SentenceScore, Verdict
from halueval.consistency.endpoint import WENT_ON_FAILING
from halueval.report.validation import print_validation, validation_markdown
from halueval.report.validation_record import validation_record
from halueval.report.validation_samples import sample_lines
from halueval.store import write_atomically
from halueval.validation import KeptScores, evaluate, score_rows, validate


class Flaky(Number):
    """Fails on sources of "busy" until it is well; keeps what it is asked."""

    def __init__(self, well=False):
        self.well, self.asked = well, []

    def verdicts(self, pairs, advance):
        self.asked += [pair.source for pair in pairs]
        busy = [pair.source == "busy" for pair in pairs]
        parts = (SentenceScore("a part", 0.5, "why"),)
        advance(len(pairs))
        return [
            Verdict.unscored(f"{WENT_ON_FAILING} (HTTP Error 429)")
            if b and not self.well
            else Verdict.unscored("no number")
            if p.source == "none"
            else Verdict(0.25 if b else float(p.source), None, parts, details={"facts": 2.0})
            for p, b in zip(pairs, busy, strict=True)
        ]


def test_what_failed_in_passing_is_scored_again_and_nothing_else(tmp_path):
    annotated = made([0.5, "busy", ("none", "busy"), ("1", "busy"), "none"], [True, False, True, False, True])
    keeper, told = KeptScores(tmp_path, write_atomically), []

    def watch(*what):
        told.append(what)
        return lambda _: None

    def call(scorer):
        (found,) = validate([scorer], [annotated], FAST, keeper=keeper, watch=watch)
        return found.scored

    first, second, third = Flaky(), Flaky(well=True), Flaky(well=True)
    before = call(first)
    assert (before.passing, before.partial) == (3, {f"{WENT_ON_FAILING} (HTTP Error 429)": 1})
    assert np.isnan(before.values[[1, 2, 4]]).all()
    after = call(second)
    assert second.asked == ["busy"] * 3
    assert after.values[:4].tolist() == [0.5, 0.25, 0.25, 1]
    assert (after.reasons, after.passing) == ({"no number": 1}, 0)
    assert after.seconds > before.seconds
    again = call(third)
    assert third.asked == []
    assert again.verdicts == after.verdicts
    assert [pairs for _, _, pairs in told] == [7, 3]


@pytest.mark.parametrize(("reason", "details", "asked"), [("busy", False, 2), ("none", False, 0), ("none", True, 2)])
def test_scores_of_earlier_versions_are_used_where_they_hold_enough(tmp_path, reason, details, asked):
    annotated = made([0.5, reason], [True, False])
    KeptScores(tmp_path, write_atomically).put(score_rows(Flaky(), annotated), annotated)
    (path,) = tmp_path.iterdir()
    kept = json.loads(path.read_text())
    del kept["verdicts"]
    path.write_text(json.dumps(kept))
    scorer = Flaky(well=True)
    list(validate([scorer], [annotated], FAST, keeper=KeptScores(tmp_path, write_atomically, details=details)))
    assert len(scorer.asked) == asked


def test_samples_say_what_a_scorer_said_of_each_claim(tmp_path):
    annotated = made([0.5, ("none", "3", "2"), "none"], [True, False, True])
    scored = score_rows(Flaky(), annotated)
    keeper = KeptScores(tmp_path, write_atomically)
    keeper.put(scored, annotated)
    lines = list(sample_lines([evaluate(scored, annotated, FAST)]))
    assert list(sample_lines([evaluate(keeper.get(Flaky(), annotated), annotated, FAST)])) == lines
    first, second, third = map(json.loads, lines)
    assert first == {
        "scorer": "number",
        "set": "made",
        "row": 0,
        "document": "0",
        "part": "test",
        "claim": "claim 0",
        "human": 1.0,
        "consistent": True,
        "value": 0.5,
        "sentences": [{"text": "a part", "value": 0.5, "reason": "why"}],
        "details": {"facts": 2.0},
    }
    assert (second["source"], second["value"]) == (1, 3.0)
    assert (third["value"], third["reason"]) == (None, "no number")


def test_rows_that_were_left_out_are_told_with_each_set():
    annotated = replace(made(range(1, 7), [True, False] * 3), left_out={"empty claim": 1, "no | source": 1})
    record = validation_record([evaluate(score_rows(Number(), annotated), annotated, FAST)])
    said = "made: 2 rows left out: empty claim (1), no | source (1)"
    print_validation(record, shown := io.StringIO())
    assert said in shown.getvalue().splitlines()
    assert said.replace("|", "\\|") + ".\n" in validation_markdown(record)
    whole = validation_record([evaluate(score_rows(Number(), annotated), replace(annotated, left_out={}), FAST)])
    assert "left out" not in validation_markdown(whole)
