"""The state of a sample, by kind of task."""

import math

import pytest
from make import said, sample

from halueval.schema import Kind, Outcome, OutputType, State
from halueval.scorers.state import judge, parse_label

GENERATE, CHOICE = OutputType.GENERATE_UNTIL, OutputType.MULTIPLE_CHOICE


def qa(answer, references=("Paris",), **more):
    return judge(Kind.QA, GENERATE, sample(references), said(answer, **more))


@pytest.mark.parametrize(
    ("answer", "references", "state"),
    [
        ("Paris.", ["London", "paris"], State.CORRECT),
        ("London", ["Paris"], State.HALLUCINATED),
        ("I don't know", ["Paris"], State.ABSTAINED),
        (" \n", ["Paris"], State.ABSTAINED),
        ("I don't know", [""], State.ABSTAINED),
        ("", [""], State.ABSTAINED),
        ("Paris", [""], State.HALLUCINATED),
        ("I have no comment.", ["I have no comment."], State.ABSTAINED),
        ("Paris", [], State.UNSCORED),
    ],
)
def test_question_answering(answer, references, state):
    assert qa(answer, references).state is state


def test_facts_of_form_are_kept_apart():
    refused, empty = qa("I don't know"), qa("")
    assert (refused.refused, refused.empty) == (True, False)
    assert (empty.refused, empty.empty) == (False, True)
    cut = qa("Paris", finish_reason="length")
    assert (cut.state, cut.truncated) == (State.CORRECT, True)


def test_own_patterns_of_abstention():
    pattern = [r"^pass$"]
    assert judge(Kind.QA, GENERATE, sample(["x"]), said("Pass"), "en", pattern).state is State.ABSTAINED


def test_confidence_of_a_response_is_its_probability():
    assert qa("Paris", response_loglikelihood=math.log(0.25)).confidence == pytest.approx(0.25)
    assert qa("Paris").confidence is None


def test_a_failure_is_unscored_with_its_reason():
    judged = judge(Kind.QA, GENERATE, sample(["x"]), Outcome(failure="longer than the window"))
    assert (judged.state, judged.reason) == (State.UNSCORED, "longer than the window")


def test_multiple_choice():
    item = sample(choices=("a", "b"), gold=[1])
    right = judge(Kind.QA, CHOICE, item, Outcome(loglikelihoods=(math.log(0.1), math.log(0.3))))
    assert (right.state, right.prediction) == (State.CORRECT, 1)
    assert right.confidence == pytest.approx(0.75)  # .3/(.1 + .3)
    tie = judge(Kind.SUMMARIZATION, CHOICE, item, Outcome(loglikelihoods=(-1.0, -1.0)))
    assert (tie.state, tie.prediction, tie.confidence) == (State.HALLUCINATED, 0, pytest.approx(0.5))


@pytest.mark.parametrize("values", [None, (-1.0,), (-1.0, math.nan), (-1.0, -math.inf)])
def test_multiple_choice_without_all_likelihoods_is_unscored(values):
    judged = judge(Kind.QA, CHOICE, sample(choices=("a", "b"), gold=[1]), Outcome(loglikelihoods=values))
    assert judged.state is State.UNSCORED
    assert judged.reason


LETTERS = ("A", "B", "Both")


@pytest.mark.parametrize(
    ("answer", "labels", "index"),
    [
        ("B", LETTERS, 1),
        ("Both", LETTERS, 2),
        ("both.", LETTERS, 2),
        ("Both", ("A", "B"), None),  # contains B: a search for it would find one
        ("NOT_ATTEMPTED", ("A", "B", "C"), None),
        ("(b) Paris", LETTERS, 1),
        ("B) Paris", LETTERS, 1),
        ("A\nbecause B is wrong", LETTERS, 0),
        ("a", LETTERS, 0),
        ("no, because", ("yes", "no"), 1),
        ("No one knows", ("yes", "no"), None),
        ("yes and no", ("yes", "no"), None),
        ("Positive review", ("positive", "negative"), None),
        ("not enough information", ("true", "not enough information"), 1),
        ("是。", ("是", "否"), 0),
        ("3.5", ("3", "5"), None),
        ("", ("a", "b"), None),
        ("x", ("x", "X"), None),  # names two labels
    ],
)
def test_labels_are_parsed_whole(answer, labels, index):
    assert parse_label(answer, labels) == index


@pytest.mark.parametrize(
    ("answer", "state", "unparsable"),
    [
        ("yes", State.CORRECT, False),
        ("no", State.HALLUCINATED, False),
        ("I don't know", State.ABSTAINED, False),
        ("", State.ABSTAINED, False),
        ("perhaps so", State.UNSCORED, True),
        (None, State.UNSCORED, True),
    ],
)
def test_classification_by_generation(answer, state, unparsable):
    judged = judge(Kind.CLASSIFICATION, GENERATE, sample(choices=("yes", "no"), gold=[0]), said(answer))
    assert (judged.state, judged.unparsable) == (state, unparsable)


@pytest.mark.parametrize(
    ("summary", "source", "state"),
    [
        ("Two men met in Paris.", "In Paris met 2 men.", State.CORRECT),
        ("Two men met in Rome.", "In Paris met 2 men.", State.HALLUCINATED),
        ("they met again", "In Paris met 2 men.", State.UNSCORED),
        ("Two men met", None, State.UNSCORED),
        ("I cannot provide a summary", "x", State.ABSTAINED),
        ("", "x", State.ABSTAINED),
    ],
)
def test_summarization(summary, source, state):
    judged = judge(Kind.SUMMARIZATION, GENERATE, sample(["r"], source=source), said(summary))
    assert judged.state is state


def test_a_hallucinated_summary_names_what_is_not_in_the_source():
    judged = judge(Kind.SUMMARIZATION, GENERATE, sample(["r"], source="nothing"), said("They saw Rome in 1999."))
    assert judged.reason == "not in the source: Rome, 1999"


def test_plain_text_has_no_right_answer():
    for output_type in (OutputType.LOGLIKELIHOOD_ROLLING, GENERATE):
        judged = judge(Kind.LANGUAGE_MODELING, output_type, sample(["x"]), said("x"))
        assert (judged.state, judged.reason) == (State.UNSCORED, "language modeling has no right answer")
