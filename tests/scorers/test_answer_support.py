"""The figure `answer_support`, and the state of a sample in a task that grades by it."""

import pytest
from make import ABSTAINED, JUDGED, said, sample

from halueval.config import TaskSpec
from halueval.errors import ConfigError, UsageError
from halueval.registry import task_hash
from halueval.schema import Kind, OutputType, Score, State
from halueval.scorers.catalog import create
from halueval.scorers.state import judge
from halueval.taskcheck import check_task

CARD = {"task": "t", "output_type": "generate_until", "doc_to_target": "{{a}}"}


def score(answer, references, judged=JUDGED, language="en", **options):
    scorer = create("answer_support", language=language, options=options)
    return scorer.score(sample(references), said(answer), judged)


def state(answer, references, grading="support", language="en"):
    return judge(Kind.QA, OutputType.GENERATE_UNTIL, sample(references), said(answer), language, (), grading)


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("Paris", ["paris."], Score(1.0, "equal")),
        ("It is Paris.", ["London", "Paris"], Score(1.0, "contained")),
        ("It is not Paris.", ["Paris"], Score(0.0, "denied")),
        ("Rome", ["Paris"], Score(0.0, "none")),
        ("", ["Paris"], Score(0.0, "empty")),
        ("Paris", [""], Score(0.0)),
    ],
)
def test_value_and_the_rule_that_decided(answer, references, expected):
    assert score(answer, references) == expected


def test_abstention():
    assert score("I don't know", [""], ABSTAINED) == Score(1.0)
    assert score("I don't know whether it is Paris", ["Paris"], ABSTAINED) == Score(0.0, "refusal")
    assert score("I have no comment.", ["I have no comment"], ABSTAINED) == Score(1.0, "equal")


def test_language_of_the_task():
    assert score("首都是北京", ["北京"], language="zh") == Score(1.0, "contained")


def test_guard_of_length():
    assert score("so it is Paris", ["Paris"], max_extra_words=3).value == 1
    assert score("so it is Paris", ["Paris"], max_extra_words=2) == Score(0.0, "too long")


@pytest.mark.parametrize("value", [-1, 2.5, "3", True])
def test_nonsense_for_the_guard_is_refused(value):
    with pytest.raises(UsageError, match="max_extra_words must be a whole number from 0"):
        create("answer_support", options={"max_extra_words": value})


@pytest.mark.parametrize(
    ("answer", "references", "grading", "expected", "reason"),
    [
        ("It is Paris.", ["Paris"], "exact", State.HALLUCINATED, None),
        ("It is Paris.", ["Paris"], "support", State.CORRECT, "contained"),
        ("Paris", ["Paris"], "support", State.CORRECT, None),
        ("Rome", ["Paris"], "support", State.HALLUCINATED, None),
        ("Paris or Rome", ["Paris"], "support", State.HALLUCINATED, "one of several candidates"),
        ("I don't know if Paris", ["Paris"], "support", State.ABSTAINED, "refusal"),
        ("Paris", [""], "support", State.HALLUCINATED, "answers an unanswerable question"),
    ],
)
def test_state_by_grading(answer, references, grading, expected, reason):
    judged = state(answer, references, grading)
    assert (judged.state, judged.reason) == (expected, reason)


def test_grading_is_exact_unless_said_and_part_of_the_hash():
    plain, exact = TaskSpec.model_validate(CARD), TaskSpec.model_validate({**CARD, "grading": "exact"})
    support = TaskSpec.model_validate({**CARD, "grading": "support"})
    assert plain.grading == "exact"
    assert task_hash(plain) == task_hash(exact) != task_hash(support)
    check_task(support)


@pytest.mark.parametrize(
    "more", [{"kind": "summarization"}, {"output_type": "multiple_choice", "doc_to_choice": "{{c}}"}]
)
def test_grading_by_support_is_for_generated_answers(more):
    with pytest.raises(ConfigError, match="t: grading: support is for kind qa with output_type generate_until only"):
        check_task(TaskSpec.model_validate({**CARD, "grading": "support", **more}))
