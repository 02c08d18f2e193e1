"""Figures of uncertainty by inference: by hand with a scripted classifier, faults, and a small NLI model in a run."""

import json
import math

import pytest
from neural_models import NLI, Scripted, save_pairs
from runs import write_task
from small_models import save_bert

from halueval.errors import ModelError, UsageError
from halueval.schema import Draw, FailedResponse, Outcome, Score
from halueval.uncertainty.inference import NO_MASS, InferenceModel, NoInferenceError
from halueval.uncertainty.measures import uncertainties
from halueval.uncertainty.settings import NO_NLI, UncertaintySettings, make_settings

BY_INFERENCE = ("selfcheck_nli", "semantic_entropy_nli", "semantic_entropy_nli_discrete")
QUESTION = "What is the capital of France?"
SAME = {"Paris", "It is Paris"}


def inference(rule, roles=NLI):
    model = InferenceModel("scripted")
    model._classifier = Scripted(rule, roles)
    return model


def by_meaning(premise, hypothesis):
    """Entailment between the two ways of saying Paris, contradiction between all others."""
    said = [text.removeprefix(QUESTION).strip() for text in (premise, hypothesis)]
    same = said[0] == said[1] or set(said) <= SAME
    return (0.8, 0.1, 0.1) if same else (0.15, 0.25, 0.6)


def figures(model, texts, response="Paris"):
    draws = tuple(Draw(text, -1.0, 1) for text in texts)
    settings = UncertaintySettings(num_draws=len(texts), nli=model)
    outcome = Outcome(response, 1, "stop", -0.5, draws=draws)
    return uncertainties(outcome, Score(0.5), settings, question=QUESTION)


def test_entropy_over_meanings_and_contradiction_by_hand():
    found = figures(inference(by_meaning), ["Paris", "It is Paris", "Rome", "Rome"])
    # Two draws mean Paris and two are Rome; all are as likely.
    assert found["semantic_entropy_nli_discrete"].value == pytest.approx(math.log(2))
    assert found["semantic_entropy_nli"].value == pytest.approx(math.log(2))
    # Of entailment and contradiction alone: .1/.9 for the two, .6/.75 for Rome.
    assert found["selfcheck_nli"].value == pytest.approx((2 * 0.1 / 0.9 + 2 * 0.6 / 0.75) / 4, abs=1e-6)


def test_entailment_must_hold_both_ways():
    one_way = inference(lambda premise, hypothesis: (0.9, 0.1, 0.0) if "It is" in premise else (0.2, 0.7, 0.1))
    found = figures(one_way, ["Paris", "It is Paris"])
    assert found["semantic_entropy_nli_discrete"].value == pytest.approx(math.log(2))


def test_a_tie_is_no_entailment():
    model = inference(lambda premise, hypothesis: (0.4, 0.4, 0.2) if premise == "a" else (0.0, 1.0, 0.0))
    assert model.entails([("a", "b"), ("c", "d")]) == [False, False]


def test_no_mass_on_either_class_is_no_number():
    model = inference(lambda premise, hypothesis: (0.0, 1.0, 0.0) if "Rome" in hypothesis else (0.8, 0.1, 0.1))
    with pytest.raises(NoInferenceError, match="neither entailment nor contradiction any probability"):
        model.contradiction([("Paris", "Rome")])
    found = figures(model, ["Paris", "Rome"])
    assert (found["selfcheck_nli"].value, found["selfcheck_nli"].reason) == (None, NO_MASS)
    assert found["semantic_entropy_nli"].value is not None  # the likeliest class is neutral, which is no failure


def test_classes_are_found_by_their_role_and_pairs_asked_once():
    model = inference(lambda premise, hypothesis: (0.6, 0.3, 0.1), roles=("contradiction", "entailment", "neutral"))
    assert model.contradiction([("a", "b")] * 2) == pytest.approx([0.6 / 0.9] * 2)
    assert model.entails([("a", "b")]) == [False]
    assert model._classifier.asked == [("a", "b")]


def test_a_pair_that_cannot_be_judged_costs_its_figures_alone():
    found = figures(inference(lambda premise, hypothesis: FailedResponse("no room")), ["Paris", "Rome"])
    for name in BY_INFERENCE:
        assert (found[name].value, found[name].reason) == (None, "the NLI model cannot judge a pair: no room")
    assert found["exact_match_entropy"].value == pytest.approx(math.log(2))
    with pytest.raises(NoInferenceError):
        inference(lambda premise, hypothesis: FailedResponse("no room")).entails([("a", "b")])


def test_a_pair_beyond_the_window_has_no_verdict_since_the_answer_is_what_would_be_cut(tmp_path):
    save_pairs(tmp_path / "nli", window=32)
    model = InferenceModel(str(tmp_path / "nli"), device="cpu")
    passage = "The film was good. " * 3  # 22 tokens: one text with it fits, two do not
    whole, cut = (QUESTION + " Paris", "Paris"), (passage + QUESTION + " Paris", "Paris")
    assert len(model.contradiction([whole])) == len(model.entails([whole])) == 1
    for ask in (model.contradiction, model.entails):
        with pytest.raises(NoInferenceError, match="cannot judge a pair: it is longer than the window of 32 tokens"):
            ask([whole, cut])
    outcome = Outcome("Paris", 1, "stop", -0.5, draws=(Draw("Paris", -1.0, 1), Draw("Rome", -1.0, 1)))
    found = uncertainties(outcome, Score(0.5), UncertaintySettings(num_draws=2, nli=model), question=passage)
    assert found["semantic_entropy_nli"].value is None
    assert "longer than the window" in found["semantic_entropy_nli"].reason
    assert found["selfcheck_nli"].value is not None  # its pairs hold no question
    said = Outcome("A good film, not a bad film.", 9, "stop", -0.5, draws=(Draw(passage, -9.0, 9), Draw("Rome", -1, 1)))
    found = uncertainties(said, Score(0.5), UncertaintySettings(num_draws=2, nli=model), question=QUESTION)
    assert found["selfcheck_nli"].value is None  # a long draw would have cut the very sentence that is checked
    assert "longer than the window" in found["selfcheck_nli"].reason


def test_without_a_model_there_is_no_figure_and_a_reason():
    found = figures(None, ["Paris", "Rome"])
    assert {(found[name].value, found[name].reason) for name in BY_INFERENCE} == {(None, NO_NLI)}


def test_a_named_model_that_is_not_there_or_is_none_is_an_error(tmp_path, models, monkeypatch):
    monkeypatch.setattr("halueval.uncertainty.settings.packaged_encoder", lambda _: (None, "x"))
    with pytest.raises(UsageError, match="absent"):
        make_settings(3, 1.0, nli=str(tmp_path / "absent"))
    with pytest.raises(ModelError, match="needed is a sequence-classification model"):
        make_settings(3, 1.0, nli=str(models("causal")))


def test_outputs_that_say_nothing_cost_the_figures_that_ask_them_and_are_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("halueval.uncertainty.settings.packaged_encoder", lambda _: (None, "x"))
    outcome = Outcome("Paris", 1, "stop", -0.5, draws=(Draw("Paris", -1.0, 1), Draw("Rome", -1.0, 1)))
    digests = set()
    for labels, lost in ((("LABEL_0", "LABEL_1"), BY_INFERENCE), (("entailment", "not_entailment"), BY_INFERENCE[:1])):
        settings = make_settings(2, 1.0, nli=str(save_bert(tmp_path / "two", labels)), device="cpu")
        digests.add(settings.identity()["nli"])
        found = uncertainties(outcome, Score(0.5), settings, question=QUESTION)
        assert [name for name in BY_INFERENCE if found[name].value is None] == list(lost)
        reasons = {found[name].reason for name in lost}
        assert len(reasons) == 1
        assert f"model two: its {'configuration calls its ' if len(lost) > 1 else ''}outputs" in reasons.pop()
    assert len(digests) == 2
    assert (
        "figures by an NLI model have no value: model two: its configuration calls its outputs LABEL_0" in caplog.text
    )
    assert "selfcheck_nli has no value: model two: its outputs are entailment, not_entailment; needed is" in caplog.text


def test_a_run_with_a_small_nli_model(models, tmp_path, invoke, monkeypatch):
    def missing(_):
        raise ModelError("not here")

    monkeypatch.setattr("halueval.uncertainty.settings.packaged_encoder", missing)
    nli = save_bert(tmp_path / "nli", NLI, seed=3)
    arguments = ["run", "-m", models("causal"), "-t", write_task(tmp_path), "-o", tmp_path / "out", "--device", "cpu"]
    refused = invoke(*arguments, "--uncertainty-nli", nli)
    assert refused.returncode == 2
    assert "need --uncertainty" in refused.stderr
    done = invoke(*arguments, "--uncertainty", "--num-draws", 3, "--uncertainty-nli", nli, "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert len(record["identity"]["uncertainty"]["nli"]) == 64
    (samples,) = (tmp_path / "out").rglob("samples.jsonl")
    for row in map(json.loads, samples.read_text(encoding="utf-8").splitlines()):
        found = row["uncertainty"]
        assert 0 <= found["selfcheck_nli"] <= 1
        assert 0 <= found["semantic_entropy_nli_discrete"] <= math.log(3) + 1e-9
    assert record["uncertainty"]["selfcheck_nli"]["n_unscored"] == 0
