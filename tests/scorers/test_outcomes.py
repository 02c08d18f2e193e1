"""Rates, SimpleQA, confidence targets, perplexities and probes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import JUDGED, said, sample

from halueval.config import TaskSpec
from halueval.errors import UsageError
from halueval.schema import Judged, LoglikelihoodResponse, Outcome, State
from halueval.scorers.base import finite, score_sample
from halueval.scorers.catalog import create

STATES = st.lists(st.sampled_from(list(State)), min_size=1, max_size=20)


def figure(name, states):
    scorer = create(name)
    scores = [scorer.score(sample(), said("x"), Judged(s, reason="why" if s == "unscored" else None)) for s in states]
    if all(s.value is None for s in scores):
        return None
    return float(scorer.statistic(scores, np.ones((1, len(states))))[0])


# 3 correct, 1 hallucinated, 4 abstained, 2 unscored, worked by hand.
STATES_BY_HAND = [State.CORRECT] * 3 + [State.HALLUCINATED] + [State.ABSTAINED] * 4 + [State.UNSCORED] * 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hallucination_rate", 1 / 4),
        ("answer_rate", 4 / 8),
        ("is_correct", 3 / 8),
        ("is_incorrect", 1 / 8),
        ("is_not_attempted", 4 / 8),
        ("accuracy_given_attempted", 3 / 4),
        ("simpleqa_f1", 1 / 2),  # harmonic mean of 3/4 and 3/8
        ("confidence_target_0", 3 / 8),
        ("confidence_target_0.5", 2 / 8),
        ("confidence_target_0.75", 0.0),  # a wrong answer costs 3
        ("confidence_target_0.9", -6 / 8),
    ],
)
def test_figures_of_states(name, expected):
    assert figure(name, STATES_BY_HAND) == pytest.approx(expected)


@given(STATES)
def test_simpleqa_f1_is_the_harmonic_mean(states):
    correct, given_attempted = figure("is_correct", states), figure("accuracy_given_attempted", states)
    if correct is None:
        assert figure("simpleqa_f1", states) is None
    elif not correct:
        assert figure("simpleqa_f1", states) == 0
    else:
        harmonic = 2 / (1 / correct + 1 / given_attempted)
        assert figure("simpleqa_f1", states) == pytest.approx(harmonic)


@given(STATES)
def test_confidence_targets_follow_their_formula(states):
    for target in (0, 0.5, 0.75, 0.9):
        got = figure(f"confidence_target_{target:g}", states)
        if got is not None:
            expected = figure("is_correct", states) - target / (1 - target) * figure("is_incorrect", states)
            assert got == pytest.approx(expected)


def test_abstained_and_unscored_samples_are_left_out_with_reasons():
    scorer = create("hallucination_rate")
    assert scorer.score(sample(), said("x"), Judged(State.ABSTAINED)).reason == "abstained"
    assert scorer.score(sample(), said("x"), Judged(State.UNSCORED, "bad label")).reason == "bad label"


def test_rates_of_form_count_unscored_samples_too():
    judged = Judged(State.UNSCORED, "unparsable", unparsable=True, truncated=True)
    got = {
        name: create(name).score(sample(), said("x"), judged).value
        for name in ("refusal_rate", "empty_rate", "truncated_rate", "unparsable_rate")
    }
    assert got == {"refusal_rate": 0, "empty_rate": 0, "truncated_rate": 1, "unparsable_rate": 1}
    assert score_sample(create("unparsable_rate"), sample(), Outcome(), judged).value == 1


def test_lengths():
    assert create("response_tokens").score(sample(), said("x", num_response_tokens=7), JUDGED).value == 7
    assert create("response_tokens").score(sample(), said("x"), JUDGED).value is None
    assert create("response_words").score(sample(), said(" a b\nc "), JUDGED).value == 3
    assert create("response_words", language="zh").score(sample(), said("北京 ab"), JUDGED).value == 3


def rolling_task():
    return TaskSpec.model_validate(
        {"task": "t", "output_type": "loglikelihood_rolling", "kind": "language_modeling", "doc_to_target": "{{text}}"}
    )


def test_perplexities_of_a_corpus_by_hand():
    # Two texts: "a b" (3 bytes, 2 words) at -6 nats in 3 tokens, "北" (3 bytes, 1 word) at -3 nats in 1 token.
    texts = [("a b", LoglikelihoodResponse(-6.0, 3)), ("北", LoglikelihoodResponse(-3.0, 1))]
    expected = {
        "token_perplexity": math.exp(9 / 4),
        "word_perplexity": math.exp(9 / 3),
        "byte_perplexity": math.exp(9 / 6),
        "bits_per_byte": 9 / 6 / math.log(2),
    }
    for name, figure in expected.items():
        scorer = create(name, task=rolling_task())
        assert scorer.needs == {"rolling"}
        scores = [scorer.score(sample(target=t), Outcome(rolling=r), JUDGED) for t, r in texts]
        assert [s.value for s in scores] == [6.0, 3.0]
        assert scorer.statistic(scores, np.ones((1, 2)))[0] == pytest.approx(figure), name


def test_conditional_perplexity_counts_the_first_reference():
    scorer = create("byte_perplexity")
    assert scorer.needs == {"reference", "references"}
    outcome = Outcome(reference=LoglikelihoodResponse(-8.0, 2))
    got = scorer.score(sample(["Rome", "the city of Rome"], target="ignored"), outcome, JUDGED)
    assert got.stats == (8.0, 4.0)
    nll = create("reference_nll").score(sample(["Rome"]), outcome, JUDGED)
    assert nll.value == 8.0
    assert score_sample(scorer, sample([""]), outcome, JUDGED).reason == "no text to score"


def test_infinite_likelihoods_never_become_scores():
    outcome = Outcome(reference=LoglikelihoodResponse(-math.inf, 2))
    for name in ("token_perplexity", "reference_nll"):
        assert "not a finite number" in score_sample(create(name), sample(["x"]), outcome, JUDGED).reason
    assert finite(math.nan).value is None
    assert finite(1.0, (math.inf,)).value is None


def test_failures_and_missing_needs_come_before_scoring():
    scorer = create("exact_match")
    assert score_sample(scorer, sample(["x"]), Outcome(failure="too long"), JUDGED).reason == "too long"
    assert score_sample(scorer, sample(), Outcome(), JUDGED).reason == "no references, response"


def test_probes_on_choices():
    # Right is shorter and ends in a line break.
    item = sample(choices=("long wrong text", "right\n"), gold=[1])
    for name in ("length_probe", "newline_probe"):
        assert create(name).score(item, Outcome(), JUDGED).value == 1
    same = sample(choices=("ab", "cd"), gold=[0])
    for name in ("length_probe", "newline_probe"):
        assert create(name).score(same, Outcome(), JUDGED).value == 0.5
    assert create("length_probe").score(sample(choices=("a", "bcd"), gold=[1]), Outcome(), JUDGED).value == 0


def test_probes_on_columns_read_the_raw_text():
    item = sample(doc={"right": "ok\n", "wrong": "no"})
    options = {"columns": ["right", "wrong"]}
    assert create("newline_probe", options=options).score(item, Outcome(), JUDGED).value == 1
    assert create("length_probe", options=options).score(item, Outcome(), JUDGED).value == 0
    absent = create("length_probe", options={"columns": ["right", "lost"]}).score(item, Outcome(), JUDGED)
    assert absent.reason == "no text in column 'lost'"
    with pytest.raises(UsageError, match="must name two"):
        create("length_probe", options={"columns": "right"})
