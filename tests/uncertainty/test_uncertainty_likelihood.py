"""Uncertainty from likelihoods, and from the model's own verdict: by hand, and with nothing to go on."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.uncertainty.p_true import bare_question, p_true, p_true_prompt
from halueval.uncertainty.sequence import mean_token_nll, sequence_nll


def test_likelihood_with_its_sign_turned_and_per_token():
    assert sequence_nll(-6.0) == 6.0
    assert mean_token_nll(-6.0, 4) == 1.5
    assert math.copysign(1, sequence_nll(0.0)) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_refused(value):
    with pytest.raises(ValueError, match="log-likelihood"):
        sequence_nll(value)
    with pytest.raises(ValueError, match="log-likelihood"):
        p_true(value, -1.0)


def test_an_answer_of_no_tokens_has_no_likelihood_per_token():
    with pytest.raises(ValueError, match="no tokens"):
        mean_token_nll(0.0, 0)


def test_p_true_is_the_share_of_the_first_letter():
    assert p_true(math.log(0.06), math.log(0.02)) == pytest.approx(0.75)
    assert p_true(-900.0, -1.0) == 0.0
    assert p_true(-1.0, -900.0) == 1.0


@given(st.floats(-50, 0), st.floats(-50, 0))
def test_p_true_and_p_false_add_up_to_one(a, b):
    assert p_true(a, b) + p_true(b, a) == pytest.approx(1)


def test_the_prompt_shows_question_draws_answer_and_choices_in_this_order():
    assert p_true_prompt("Who?", " Ann\n", ["Bob ", "", "Ann\nLee"]) == (
        "Question: Who?\nBrainstormed answers:\nBob\nAnn Lee\nPossible answer: Ann\n"
        "Is the possible answer:\nA) True\nB) False\nThe possible answer is:"
    )
    with pytest.raises(ValueError, match="empty answer"):
        p_true_prompt("Who?", " \n", ["Ann"])


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Q: What is the capital of Peru?\nA:", "What is the capital of Peru?"),
        ("问题：谁写的？\n答案：", "谁写的？"),
        ("Passage: It rains.\nQuestion: Does it?\nAnswer:", "Passage: It rains.\nQuestion: Does it?"),
        ("Where: here", "Where: here"),
        ("Quick question: why?", "Quick question: why?"),
    ],
)
def test_labels_around_a_question_are_dropped(text, question):
    assert bare_question(text) == question
