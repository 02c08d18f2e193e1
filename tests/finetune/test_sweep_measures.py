"""From rows of samples to ratios, and the sentence over the tables; all numbers are worked by hand."""

import numpy as np
import pytest

from halueval.errors import DataError
from halueval.schema import Judged, State
from halueval.scorers.calibration import Brier
from halueval.sweep.cells import headline
from halueval.sweep.measures import known_by_base, training_tables


def row(i, state, confidence=None, **more):
    return {
        "task": "t",
        "sample_id": str(i),
        "prompt_hash": f"p{i}",
        "doc_hash": f"d{i}",
        "cluster": str(i),
        "state": state,
        "confidence": confidence,
        **more,
    }


def rows(states, bits=(), learnt=(), confidence=None):
    return {
        "learnt": [row(i, state) for i, state in enumerate(learnt)],
        "answers": [row(i, state, confidence) for i, state in enumerate(states)],
        "texts": [row(i, "unscored", stats={"bits_per_byte": [b, 10.0]}) for i, b in enumerate(bits)],
    }


BASE = rows(["correct", "correct", "abstained", "hallucinated", "correct"], [10.0, 20.0], ["hallucinated"] * 2, 0.5)
AFTER = rows(
    ["correct", "hallucinated", "hallucinated", "hallucinated", "unscored"],
    [12.0, 21.0],
    ["correct", "hallucinated"],
    0.75,
)


def ratio(table):
    return (table.top.sum(axis=1) / table.bottom.sum(axis=1)).tolist()


def test_figures_of_a_training_are_those_of_its_rows():
    tables = training_tables(BASE, [AFTER], known_by_base(BASE, None), "arm")
    assert ratio(tables["learnt"]) == [0.0, 0.5]
    # Of the four that the base did not hallucinate on three are scored: two are hallucinated now.
    assert ratio(tables["induced"]) == pytest.approx([0.0, 2 / 3])
    assert ratio(tables["hallucinated"]) == pytest.approx([1 / 5, 3 / 4])
    # Of the three that the base had right two are scored: one is right still.
    assert ratio(tables["known_accuracy"]) == [1.0, 0.5]
    # Base: all four that it answered are .5 off. After: one right at .75 (.0625), three wrong (.5625).
    assert ratio(tables["brier"]) == pytest.approx([0.25, (0.0625 + 3 * 0.5625) / 4])
    assert ratio(tables["confidence_gap"]) == pytest.approx([0.5 - 3 / 4, 0.75 - 1 / 4])
    # (12 - 10 + 21 - 20) bits over 20 bytes.
    assert ratio(tables["forgetting"]) == pytest.approx([0.0, 0.15])


def test_calibration_is_that_of_a_run_and_leaves_abstentions_out():
    # Declining at .95 is no claim at .95; the other is right at .95: .05² = .0025.
    sure = [row(0, "abstained", 0.95), row(1, "correct", 0.95)]
    asked = {"learnt": [row(0, "correct")], "answers": sure, "texts": []}
    tables = training_tables(asked, [asked], known_by_base(asked, None), "arm")
    assert ratio(tables["brier"]) == pytest.approx([0.0025, 0.0025])
    assert ratio(tables["confidence_gap"]) == pytest.approx([-0.05, -0.05])
    scorer = Brier()
    of_run = []
    for one in sure:
        judged = Judged(State(one["state"]), confidence=one["confidence"])
        of_run.append(scorer.score(None, None, judged).value)
    assert of_run == [None, pytest.approx(0.0025)]


def test_labels_of_a_probe_say_what_was_known():
    labels = {"d0": "HighlyKnown", "d1": "MaybeKnown", "d2": "WeaklyKnown", "d3": "Unknown"}
    assert known_by_base(BASE, labels).tolist() == [True, True, False, False, False]


def test_what_the_tasks_do_not_give_is_left_out():
    tables = training_tables(
        rows(["correct"], [], ["correct"]), [rows(["correct"], [], ["correct"])], np.array([True]), "a"
    )
    assert set(tables) == {"learnt", "induced", "hallucinated", "known_accuracy"}


def test_rows_of_other_questions_are_refused():
    other = rows(["correct"] * 5, [10.0, 20.0], ["correct"] * 2)
    other["answers"][2]["prompt_hash"] = "another"
    with pytest.raises(DataError, match="plain-seed-0: its samples are not those of the base"):
        training_tables(BASE, [other], known_by_base(BASE, None), "plain-seed-0")


def arm(name, induced, low, high, change=None):
    def figure(value, ends):
        return {"value": value, "ci_low": ends[0], "ci_high": ends[1]}

    return {
        "name": name,
        "matched": {"induced": figure(induced, (low, high))},
        "difference": {"induced": figure(*(change or (0.0, (0.0, 0.0))))},
    }


def record(*arms, score=0.8, left_out=0):
    return {
        "match": {
            "score": score,
            "reason": "nothing was learnt",
            "facts": {"scored": 8 - left_out, "of": 8, "left_out": {"drop": left_out} if left_out else {}},
        },
        "study": {"reference": "plain"},
        "arms": list(arms),
    }


def test_the_headline_claims_no_more_than_the_interval_holds():
    plain = arm("plain", 0.3, 0.2, 0.4)
    better = arm("lora", 0.1, 0.05, 0.15, (-0.2, (-0.3, -0.1)))
    perhaps = arm("lora", 0.25, 0.1, 0.4, (-0.05, (-0.2, 0.1)))
    never = {**arm("late", 0, 0, 0), "matched": {}}
    assert headline(record(plain, better, never)) == (
        "At 80.0 % of the trained facts learnt, lora induces least of the 2 arms that get there: 10.0 [5.0, 15.0] %, "
        "−20.0 [−30.0, −10.0] points from plain"
    )
    assert headline(record(plain, perhaps)).endswith("from plain: the interval holds 0, so this may be chance")
    assert headline(record(plain, never)).startswith(
        "At 80.0 % of the trained facts learnt, the one arm that gets there, plain, induces 30.0"
    )
    assert headline(record(plain, better, left_out=3)).startswith("At 80.0 % of 5 of 8 facts learnt, lora induces")
    assert headline(record(never)) == "At 80.0 % of the trained facts learnt: no arm gets there"
    assert headline(record(plain, score=None)) == "Arms cannot be compared at a matched score: nothing was learnt"
