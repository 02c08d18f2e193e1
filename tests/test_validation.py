"""Scorers on annotated sets: several sources, thresholds, order of rows, nothing scored."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.annotated.sets import AnnotatedRow, AnnotatedSet
from halueval.annotated.spec import AnnotatedSpec
from halueval.consistency.base import ConsistencyScorer, Verdict
from halueval.report.validation import validation_markdown, validation_plot
from halueval.report.validation_cells import number, reasons_of
from halueval.report.validation_record import validation_record
from halueval.store import write_atomically
from halueval.validation import KeptScores, Settings, compare, count_pairs, evaluate, score_rows, validate

SPEC = AnnotatedSpec.model_validate(
    {
        "name": "made",
        "about": "",
        "license": "",
        "citation": "",
        "files": {"rows": "x.jsonl"},
        "reader": "flat",
        "label": {"consistent": [1], "inconsistent": [0]},
        "validation": {"share": 0.3},
    }
)
FAST = Settings(n_resamples=120)


class Number(ConsistencyScorer):
    """Reads its verdict from the source."""

    name = "number"

    def verdicts(self, pairs, advance):
        advance(len(pairs))
        return [
            Verdict.unscored("no number")
            if p.source == "none"
            else Verdict(float(p.source), truncated=int(p.source == "7"))
            for p in pairs
        ]


def made(values, labels, part=lambda i: "validation" if i % 2 else "test"):
    rows = tuple(
        AnnotatedRow(tuple(map(str, np.atleast_1d(v))), f"claim {i}", float(label), label, str(i), part(i))
        for i, (v, label) in enumerate(zip(values, labels, strict=True))
    )
    return AnnotatedSet(SPEC, rows, {})


def test_the_best_source_counts():
    annotated = made([("1", "7", "none"), ("none", "2"), ("none", "none")], [True, False, True])
    told = []
    scored = score_rows(Number(), annotated, told.append)
    assert sum(told) == count_pairs(annotated) == 7
    assert scored.values[:2].tolist() == [7, 2]
    assert np.isnan(scored.values[2])
    assert scored.reasons == {"no number": 1}
    assert scored.truncated == 1


def test_sources_that_fail_beside_others_are_counted_and_every_cut_source_too(caplog, tmp_path):
    annotated = made(
        [("1", "none"), ("none", "2"), ("none", "none"), ("7", "9"), ("3", "4")], [True, False] * 2 + [True]
    )
    scored = score_rows(Number(), annotated)
    assert scored.values[[0, 1, 3, 4]].tolist() == [1, 2, 9, 4]
    assert scored.partial == {"no number": 2}
    assert "2 rows are scored by some of their sources alone, since for one: no number" in caplog.text
    assert scored.truncated == 1  # the source that was cut did not give row 3 its value
    entry = validation_record([evaluate(scored, annotated, FAST)])["number"]["made"]
    assert (entry["n_partial"], entry["partial_reasons"], entry["n_truncated"]) == (2, {"no number": 2}, 1)
    note = "number on made: 2 rows scored by some of their sources alone, since: no number"
    assert note in reasons_of({"number": {"made": entry}})
    keeper = KeptScores(tmp_path, write_atomically)
    keeper.put(scored, annotated)
    assert keeper.get(Number(), annotated).partial == scored.partial


def test_the_threshold_never_sees_the_test_part():
    # On the validation part .5 separates; on the test part it is exactly wrong.
    values = [v for i in range(20) for v in ((0.9, 0.1) if i % 2 else (0.1, 0.9))]
    labels = [True, False] * 20
    annotated = made(values, labels, part=lambda i: "validation" if (i // 2) % 2 else "test")
    found = evaluate(score_rows(Number(), annotated), annotated, FAST).agreement
    assert found.threshold == 0.5
    assert found.figures["balanced_accuracy"].value == 0
    assert found.figures["roc_auc"].value == 0.5
    assert found.n_test == 20


def test_nothing_scored_gives_no_number():
    annotated = made(["none"] * 6, [True, False] * 3)
    found = evaluate(score_rows(Number(), annotated), annotated, FAST)
    assert all(figure.value is None and figure.reason for figure in found.agreement.figures.values())
    record = validation_record([found])
    assert record["number"]["made"]["n"] == 0
    assert "6 rows unscored: no number" in validation_markdown(record)
    assert "<svg" in validation_plot(record)


def test_length_control_learns_its_sign_from_the_validation_part():
    rows = tuple(
        AnnotatedRow(
            ("1",),
            "word " * (2 + 3 * (i % 2 == 0) + i % 3),
            float(i % 2),
            bool(i % 2),
            str(i),
            "validation" if i < 12 else "test",
        )
        for i in range(24)
    )
    annotated = AnnotatedSet(SPEC, rows, {})
    sign, found = evaluate(score_rows(Number(), annotated), annotated, FAST).controls["length_only"]
    assert sign == -1
    assert found.figures["roc_auc"].value > 0.9


@given(st.permutations(range(16)))
@settings(max_examples=10, deadline=None)
def test_figures_do_not_depend_on_the_order_of_rows(order):
    rng = np.random.default_rng(0)
    values, labels = rng.integers(0, 5, 16), [bool(i % 2) for i in range(16)]
    annotated = made(values, labels, part=lambda i: "validation" if i % 4 < 2 else "test")
    shuffled = AnnotatedSet(SPEC, tuple(annotated.rows[i] for i in order), {})
    one, other = (
        validation_record([evaluate(score_rows(Number(), a), a, FAST)])["number"]["made"] for a in (annotated, shuffled)
    )
    for entry in (one, other):
        del entry["seconds"]
    assert one["roc_auc"] == other["roc_auc"]
    assert one["pearson"]["ci_low"] == pytest.approx(other["pearson"]["ci_low"])
    assert one["balanced_accuracy"] == other["balanced_accuracy"]


def test_two_scorers_are_compared_on_what_both_scored():
    values = [3, 1, 4, 1, 5, 0, 6, 2, 7, 1, 8, 3]
    labels = [True, False] * 6
    annotated = made(values, labels, part=lambda i: "validation" if i < 6 else "test")
    first = score_rows(Number(), annotated)
    patchy = made(
        ["none" if i == 2 else v for i, v in enumerate(values)],
        labels,
        part=lambda i: "validation" if i < 6 else "test",
    )
    second = score_rows(Number(), patchy)
    found = compare(first, second, annotated, FAST)
    assert found.n == 11
    assert found.differences["roc_auc"].delta == 0
    assert found.differences["balanced_accuracy"].delta == 0


@pytest.mark.parametrize(
    ("value", "text"), [(0.6634, ".663"), (-0.04, "−.040"), (1.0, "1.000"), (-0.0001, ".000"), (0.0, ".000")]
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_markdown_cannot_be_broken_by_a_name():
    annotated = made([1, 2, 3, 4, 5, 6], [True, False] * 3)
    record = validation_record([evaluate(score_rows(Number(), annotated), annotated, FAST)])
    hostile = {"a|b<script>": record["number"]}
    text = validation_markdown(hostile)
    assert "a\\|b&lt;script>" in text
    assert "<script>" not in validation_plot(hostile)


class Counting(Number):
    """Counts the pairs that it is asked for."""

    asked = 0

    def verdicts(self, pairs, advance):
        self.asked += len(pairs)
        return super().verdicts(pairs, advance)


def test_kept_scores_are_used_again_for_the_same_rows_and_identity_alone(tmp_path):
    annotated = made([0.9, "none", "7", 0.3], [True, False, True, False])
    keeper = KeptScores(tmp_path, write_atomically)

    def figures(scorer, rows=annotated):
        (found,) = validate([scorer], [rows], FAST, keeper=keeper)
        record = validation_record([found])["number"]["made"]
        return {**record, "seconds": 0}

    first, again = Counting(), Counting()
    assert figures(first) == figures(again)
    assert (first.asked, again.asked) == (4, 0)
    newer = Counting()
    newer.version = 2
    figures(newer)
    other = Counting()
    figures(other, replace(annotated, rows=annotated.rows[:3]))
    assert (newer.asked, other.asked) == (4, 3)
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps({"rows_sha256": "x"}))
    broken = Counting()
    figures(broken)
    assert broken.asked == 4


class Silent(Number):
    """Holds that sources of zero were no answers."""

    name = "factscore"

    def verdicts(self, pairs, advance):
        found = super().verdicts(pairs, advance)
        return [Verdict.unscored("abstains") if p.source == "0" else v for p, v in zip(pairs, found, strict=True)]


def test_the_answer_rate_stands_beside_a_scorer_that_gives_abstentions_no_score():
    annotated = made(["1", "0", "none", "2"], [True, False] * 2)
    record = validation_record(
        evaluate(score_rows(scorer(), annotated), annotated, FAST) for scorer in (Silent, Number)
    )
    rate = record["factscore"]["made"]["answer_rate"]
    assert (rate["value"], rate["n"]) == (0.75, 4)
    assert 0.3 < rate["ci_low"] < 0.75 < rate["ci_high"] < 1
    assert "answer_rate" not in record["number"]["made"]
    line = "factscore on made: answer rate .750 [.30, .95]: the share of claims that are neither empty nor a refusal"
    assert line in reasons_of(record)
    assert line in validation_markdown(record)
