"""Runs with uncertainty: draws, figures, files, identity, faults, with a scripted model."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import CAPITALS, identity, knows, prepared, run_fake, write_task
from unsure import KNOWN, SETTINGS, backend, draws, encode, verdict

from halueval.backends.fake import FakeBackend
from halueval.errors import IncompleteError, ModelError, UsageError
from halueval.job import ModelHandle, RunSettings
from halueval.plan import P_TRUE_CUT
from halueval.runner import run_task
from halueval.schema import Draw, FailedResponse, GenerationRequest, LoglikelihoodRequest, Outcome, Score
from halueval.uncertainty.measures import MEASURES, NO_FILTERED, ONE_DRAW, SILENT, uncertainties
from halueval.uncertainty.settings import NO_ENCODER, UncertaintySettings, make_settings


def run(tmp_path, model=None, settings=SETTINGS, out="out", **options):
    model = model or backend()
    done, _ = run_fake(write_task(tmp_path), tmp_path / out, model, uncertainty=settings, **options)
    return done, model


def rows(done):
    return [json.loads(line) for line in (done.path / "samples.jsonl").read_text().splitlines()]


def test_a_model_that_is_unsure_of_what_it_invents(tmp_path):
    done, model = run(tmp_path)
    by_country = {row["group"]["country"]: row for row in rows(done)}
    france, japan = by_country["France"], by_country["Japan"]
    assert [draw["text"] for draw in france["draws"]] == [" Paris"] * 6
    assert france["draws"][0] == {"text": " Paris", "loglikelihood": -0.1, "num_tokens": 1}
    assert france["uncertainty"]["exact_match_entropy"] == 0.0
    assert france["uncertainty"]["lexical_dissimilarity"] == 0.0
    assert france["uncertainty"]["p_false"] == pytest.approx(0.1)
    # Of "Paris" and six times "Paris" all seven tokens are the same.
    assert france["uncertainty"]["selfcheck_unigram"] == 0.0
    texts = [draw["text"].strip() for draw in japan["draws"]]
    assert len(set(texts)) > 1
    shares = [texts.count(text) / 6 for text in set(texts)]
    expected = -sum(share * math.log(share) for share in shares)
    for name in ("exact_match_entropy", "semantic_entropy_discrete", "semantic_entropy"):
        assert japan["uncertainty"][name] == pytest.approx(expected)
    assert japan["uncertainty"]["max_token_entropy"] == 0.3
    assert set(japan["uncertainty"]) == set(MEASURES)
    for name in ("exact_match_entropy", "p_false", "lexical_dissimilarity", "selfcheck_embedding"):
        found = done.record["uncertainty"][name]
        # Four right and five wrong; Fiji was declined and is neither.
        assert (found["n"], found["n_unscored"], found["accuracy"]) == (9, 0, pytest.approx(4 / 9))
        assert found["auroc"]["value"] == 1.0
        assert found["prr"]["value"] == pytest.approx(1.0)
    constant = done.record["uncertainty"]["mean_token_entropy"]
    assert (constant["auroc"]["value"], constant["aurac"]["value"]) == (0.5, pytest.approx(4 / 9))
    assert constant["auroc"]["ci_low"] is None
    assert any(isinstance(request, LoglikelihoodRequest) for batch in model.batches for request in batch)


def test_states_and_figures_come_from_the_answer_and_never_from_a_draw(tmp_path):
    with_draws, _ = run(tmp_path)
    without, _ = run_fake(write_task(tmp_path), tmp_path / "out", backend())
    assert with_draws.run_id != without.run_id
    assert with_draws.record["metrics"] == without.record["metrics"]
    assert with_draws.record["states"] == without.record["states"]
    assert "uncertainty" not in without.record
    assert "draws" not in rows(without)[0]


def test_draws_have_a_seed_each_the_same_prompt_and_the_temperature(tmp_path):
    _, model = run(tmp_path, settings=UncertaintySettings(num_draws=3, temperature=0.7, encode=encode))
    generated = [r for batch in model.batches for r in batch if isinstance(r, GenerationRequest)]
    drawn = [r for r in generated if r.temperature]
    assert len(drawn) == 3 * len(CAPITALS)
    assert {r.temperature for r in drawn} == {0.7}
    assert len({r.seed for r in drawn}) == len(drawn)
    assert {r.context for r in drawn} == {r.context for r in generated if not r.temperature}
    assert [r.entropies for r in generated if not r.temperature] == [True] * len(CAPITALS)


@pytest.mark.parametrize(
    "changed",
    [
        UncertaintySettings(num_draws=5, encode=encode, encoder="fake"),
        UncertaintySettings(num_draws=6, temperature=0.9, encode=encode, encoder="fake"),
        UncertaintySettings(num_draws=6),
        None,
    ],
)
def test_it_is_part_of_the_identity(tmp_path, changed):
    task = write_task(tmp_path)
    ids = {
        prepared(task, RunSettings(output=tmp_path, uncertainty=settings)).directory.name
        for settings in (SETTINGS, changed)
    }
    assert len(ids) == 2


def test_an_interrupted_run_ends_in_the_same_samples(tmp_path):
    whole, _ = run(tmp_path, batch_size=4)
    done, attempts = None, 0
    while done is None and attempts < 60:
        attempts += 1
        try:
            done, _ = run(tmp_path, backend(fail_after=1), out="again", batch_size=4)
        except KeyboardInterrupt:
            continue
    assert attempts > 10
    assert (done.path / "samples.jsonl").read_bytes() == (whole.path / "samples.jsonl").read_bytes()


def test_scored_again_without_the_model(tmp_path):
    assert run(tmp_path, predict_only=True)[0] is None
    silent = backend(fail_after=0)
    done, _ = run(tmp_path, silent)
    assert silent.batches == []
    assert done.record["uncertainty"]["p_false"]["auroc"]["value"] == 1.0


def test_without_an_encoder_its_figures_have_a_reason_and_the_others_a_value(tmp_path):
    done, _ = run(tmp_path, settings=UncertaintySettings(num_draws=4, no_encoder=f"{NO_ENCODER}: not packaged"))
    for row in rows(done):
        reasons = row["uncertainty_reasons"]
        for name in ("selfcheck_embedding", "semantic_entropy", "semantic_entropy_discrete"):
            assert row["uncertainty"][name] is None
            assert reasons[name] == f"{NO_ENCODER}: not packaged"
        assert row["uncertainty"]["exact_match_entropy"] is not None
    found = done.record["uncertainty"]["semantic_entropy"]
    assert (found["auroc"]["value"], found["auroc"]["reason"], found["n"]) == (None, "no answer to judge", 0)
    assert found["unscored_reasons"] == {f"{NO_ENCODER}: not packaged": 9}


def test_one_draw_is_no_comparison(tmp_path):
    done, _ = run(tmp_path, settings=UncertaintySettings(num_draws=1, encode=encode))
    row = rows(done)[0]
    assert row["uncertainty"]["semantic_entropy"] is None
    assert row["uncertainty_reasons"]["semantic_entropy"] == ONE_DRAW
    assert row["uncertainty"]["sequence_nll"] == pytest.approx(0.1)
    assert row["uncertainty"]["p_false"] is not None


def test_all_right_is_no_number(tmp_path):
    model = FakeBackend(lambda prompt: CAPITALS[prompt.rsplit("capital of ", 1)[1].split("?")[0]])
    done, _ = run(tmp_path, model)
    found = done.record["uncertainty"]["sequence_nll"]
    assert (found["auroc"]["value"], found["auroc"]["reason"]) == (None, "no wrong answer among those judged")


class FailsDraws(FakeBackend):
    """Cannot draw for Japan, and cannot be asked about Peru."""

    def _answer(self, request):
        if isinstance(request, GenerationRequest) and request.temperature and "Japan" in request.context:
            return FailedResponse("too long")
        if isinstance(request, LoglikelihoodRequest) and "Peru" in request.context and request.continuation == " A":
            return FailedResponse("not a number")
        return super()._answer(request)


def test_a_failed_draw_costs_its_figures_and_not_the_answer(tmp_path):
    done, _ = run(tmp_path, FailsDraws(knows(*KNOWN), draws=draws))
    by_country = {row["group"]["country"]: row for row in rows(done)}
    japan, peru = by_country["Japan"], by_country["Peru"]
    assert japan["state"] == "hallucinated"
    assert japan["draws"][0] == {"text": None, "loglikelihood": None, "num_tokens": 0, "reason": "too long"}
    assert japan["uncertainty"]["lexical_dissimilarity"] is None
    assert japan["uncertainty_reasons"]["lexical_dissimilarity"] == "a draw failed: too long"
    assert japan["uncertainty"]["sequence_nll"] is not None
    assert (peru["uncertainty"]["p_false"], peru["uncertainty_reasons"]["p_false"]) == (None, "not a number")


class SmallWindow(FakeBackend):
    """Of what is asked about Peru's answer the beginning is cut, which is the question."""

    def _answer(self, request):
        answer = super()._answer(request)
        cut = isinstance(request, LoglikelihoodRequest) and "Peru" in request.context
        return replace(answer, num_truncated=7) if cut else answer


def test_a_prompt_that_lost_its_question_gives_no_p_true(tmp_path):
    done, _ = run(tmp_path, SmallWindow(knows(*KNOWN), draws=draws, loglikelihood=verdict))
    by_country = {row["group"]["country"]: row for row in rows(done)}
    assert by_country["Peru"]["uncertainty"]["p_false"] is None
    assert by_country["Peru"]["uncertainty_reasons"]["p_false"] == P_TRUE_CUT
    assert by_country["Peru"]["uncertainty"]["sequence_nll"] is not None
    assert done.record["uncertainty"]["p_false"]["unscored_reasons"] == {P_TRUE_CUT: 1}
    assert done.record["uncertainty"]["p_false"]["n"] == 8


def test_what_does_not_fit_into_memory_is_asked_again(tmp_path):
    from halueval.engine.memory import OUT_OF_MEMORY

    class Small(FakeBackend):
        def _answer(self, request):
            if isinstance(request, LoglikelihoodRequest) and "Possible answer" in request.context:
                return FailedResponse(OUT_OF_MEMORY)
            return super()._answer(request)

    with pytest.raises(IncompleteError, match="did not fit into the memory"):
        run(tmp_path, Small(knows(*KNOWN), draws=draws))
    done, _ = run(tmp_path)
    assert done.record["uncertainty"]["p_false"]["n"] == 9


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "summarization"},
        {
            "output_type": "loglikelihood_rolling",
            "metric_list": ["token_perplexity"],
            "primary_metric": "token_perplexity",
        },
    ],
)
def test_only_generated_question_answering_has_it(tmp_path, changes):
    with pytest.raises(UsageError, match="--uncertainty is for question answering by generation; task capitals"):
        prepared(write_task(tmp_path, **changes), RunSettings(output=tmp_path, uncertainty=SETTINGS), identity())


def outcome(texts, response="Paris", tokens=1):
    made = tuple(
        Draw(text, -0.5 * (i + 1), 0 if text == "" else 1 if text else 0, None) for i, text in enumerate(texts)
    )
    return Outcome(response, tokens, "stop", -0.5, draws=made)


def test_draws_in_any_order_and_twice_over():
    texts = ["Paris", "Rome", "Paris.", "in Rome"]
    values = [
        {n: s.value for n, s in uncertainties(Outcome("Paris", 1, "stop", -0.5, draws=d), Score(0.5), SETTINGS).items()}
        for d in (outcome(texts).draws, outcome(texts).draws[::-1], outcome(texts).draws * 2)
    ]
    assert values[0] == values[1]
    for name in ("exact_match_entropy", "semantic_entropy", "semantic_entropy_discrete", "predictive_entropy"):
        assert values[2][name] == pytest.approx(values[0][name])


@pytest.mark.parametrize(
    ("texts", "name", "reason"),
    [
        (["Paris", None], "lexical_dissimilarity", NO_FILTERED),
        (["", ""], "selfcheck_unigram", SILENT),
        (["Paris", ""], "semantic_entropy", "a draw of no tokens, so no likelihood per token"),
        (["Paris"], "exact_match_entropy", ONE_DRAW),
        ([], "exact_match_entropy", ONE_DRAW),
    ],
)
def test_what_draws_do_not_give_has_a_reason(texts, name, reason):
    found = uncertainties(outcome(texts), Score(0.5), SETTINGS)
    assert (found[name].value, found[name].reason) == (None, reason)


def test_an_empty_answer_and_a_failed_one():
    empty = uncertainties(outcome(["Paris", "Rome"], response="", tokens=0), Score.unscored("no answer"), SETTINGS)
    assert empty["selfcheck_unigram"].reason == "empty answer"
    assert empty["mean_token_nll"].reason == "no tokens, so no likelihood per token"
    assert empty["p_false"].reason == "no answer"
    assert empty["exact_match_entropy"].value == pytest.approx(math.log(2))
    failed = uncertainties(Outcome(failure="too long"), Score.unscored("too long"), SETTINGS)
    assert {(score.value, score.reason) for score in failed.values()} == {(None, "too long")}


def test_the_encoder_runs_where_the_run_does(monkeypatch):
    asked = []
    monkeypatch.setattr("halueval.uncertainty.settings.packaged_encoder", lambda d: asked.append(d) or (encode, "abc"))
    make_settings(10, 1.0, device="cuda:1")
    assert asked == ["cuda:1"]


def test_the_encoder_or_why_there_is_none(monkeypatch):
    def missing(_):
        raise ModelError("not to be had")

    monkeypatch.setattr("halueval.uncertainty.settings.packaged_encoder", lambda _: (encode, "abc"))
    assert make_settings(10, 1.0).identity()["encoder"] == "abc"
    monkeypatch.setattr("halueval.uncertainty.settings.packaged_encoder", missing)
    lacking = make_settings(10, 1.0)
    assert (lacking.encode, lacking.no_encoder) == (None, f"{NO_ENCODER}: not to be had")
    assert lacking.identity()["encoder"] is None


@pytest.mark.parametrize(("number", "temperature"), [(0, 1.0), (3, 0.0), (3, math.nan), (3, math.inf), (3, -1.0)])
def test_draws_that_are_none_are_refused(number, temperature):
    with pytest.raises(UsageError, match="--num-draws"):
        make_settings(number, temperature)


def test_rounding_of_vectors_puts_nothing_in_order():
    rng = np.random.default_rng(0)

    def noisy(texts):
        return np.array([[1.0, 0.0]] * len(texts)) + rng.normal(size=(len(texts), 2)) * 1e-8

    settings = UncertaintySettings(num_draws=2, encode=noisy)
    values = {
        uncertainties(outcome(["Rome", "Rome."]), Score(0.5), settings)["selfcheck_embedding"].value for _ in "abc"
    }
    assert values == {0.0}


def near(texts):
    """Vectors on an arc, 20 degrees apart: neighbours mean the same, and what lies farther apart does not."""
    angles = np.radians([20.0 * (sum(text.encode()) % 7) for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@given(
    st.lists(st.tuples(st.text("abc.", min_size=1, max_size=3), st.floats(-5, -0.1)), min_size=2, max_size=6),
    st.randoms(use_true_random=False),
)
def test_no_figure_depends_on_the_order_of_draws(made, random):
    settings = UncertaintySettings(num_draws=len(made), encode=near)
    draws = [Draw(text, value, 2) for text, value in made]
    shuffled = list(draws)
    random.shuffle(shuffled)
    ours, theirs = (
        uncertainties(Outcome("a b", 2, "stop", -0.5, draws=tuple(d)), Score(0.5), settings) for d in (draws, shuffled)
    )
    assert ours == theirs
    assert ours["semantic_entropy"].value is not None


def test_the_figures_are_told_of_sample_by_sample(tmp_path):
    told = []

    class Recorder:
        def begin(self, title, total, done):
            told.append([title, total, done, 0])

        def advance(self, requests):
            told[-1][3] += requests

        def end(self):
            told[-1].append("end")

    settings = RunSettings(output=tmp_path / "out", n_resamples=200, uncertainty=SETTINGS)
    model = backend()
    run_task(prepared(write_task(tmp_path), settings), ModelHandle(identity(), lambda: model), settings, Recorder())
    assert told[-1] == ["fake · capitals · uncertainty", 10, 0, 10, "end"]
