"""KL and forgetting, by hand and on small random models."""

from __future__ import annotations

import math

import pytest
import torch
from small_models import save_causal

from halueval.backends.fake import FakeBackend
from halueval.backends.loading import locate
from halueval.explaining.behaviour import kl_on_texts, kl_rows
from halueval.explaining.likelihood import bits_table, forgetting, forgetting_of, nll_measures, requests_for
from halueval.explaining.passes import cut, neutral_texts, open_backend
from halueval.registry import Registry
from halueval.schema import FailedResponse, LoglikelihoodResponse

LN2 = math.log(2)


def test_kl_by_hand():
    base = torch.log(torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.3, 0.7]]))
    candidate = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.3, 0.7]]))
    expected = [0.5 * math.log(2) + 0.5 * math.log(2 / 3), math.log(2), 0.0]
    assert kl_rows(base, candidate).tolist() == pytest.approx(expected, abs=1e-6)


def test_bits_per_byte_by_hand():
    # 8 bits over "abcd" (4 bytes), 6 over "é" (2 bytes); what failed counts nowhere.
    responses = [LoglikelihoodResponse(-8 * LN2, 3), LoglikelihoodResponse(-6 * LN2, 1), FailedResponse("memory")]
    table = bits_table(["abcd", "é", "zz"], responses)
    assert table.ravel().tolist() == pytest.approx([8, 4, 6, 2, 0, 0])
    after = bits_table(["abcd", "é", "zz"], [LoglikelihoodResponse(-12 * LN2, 3), *responses[1:]])
    found = forgetting_of(table, after)
    assert found["bits_per_byte_base"]["value"] == pytest.approx(14 / 6)
    assert found["bits_per_byte_change"]["value"] == pytest.approx(4 / 6)
    assert found["bits_per_byte_change"]["n"] == 2
    assert found["bits_per_byte_change"]["ci_low"] < 4 / 6 < found["bits_per_byte_change"]["ci_high"]


def test_no_text_in_common_gives_a_reason():
    nothing = bits_table(["a"], [FailedResponse("memory")])
    assert forgetting_of(nothing, nothing)["bits_per_byte_change"]["reason"] == "no text could be scored by both"


def test_forgetting_needs_two_backends_and_texts_only():
    found = forgetting(FakeBackend(), FakeBackend(), ["one text", "another text", "a third"])
    assert found["bits_per_byte_change"]["value"] == 0
    assert found["bits_per_byte_change"]["ci_low"] is None
    assert "nothing varies" in found["bits_per_byte_change"]["reason"]


def test_likelihood_of_training_data_and_task():
    training, task = [("q1", " a"), ("", "text")], [("q2", " bb"), ("q3", " cc")]
    asked = requests_for(training, "causal")
    assert [len(asked["whole"]), len(asked["completion"])] == [2, 1]
    lengths = {" a": 2, " bb": 9, " cc": 6}

    def answer(request):
        text = getattr(request, "continuation", None)
        return LoglikelihoodResponse(-LN2 * (lengths[text] if text else 6), 2)

    found = nll_measures(training, task, answer, "causal")
    assert found["nll_whole_training"]["value"] == pytest.approx(12 / 8)
    assert found["nll_completion_training"]["value"] == pytest.approx(1.0)
    assert found["nll_completion_task"]["value"] == pytest.approx(15 / 6)
    assert found["nll_completion_difference"]["value"] == pytest.approx(-1.5)
    assert found["nll_completion_difference"]["ci_low"] is None
    none = nll_measures(training, task, answer, "classifier")
    assert none["nll_whole_task"]["reason"] == "a classifier model gives none"


def test_kl_of_models(tmp_path):
    paths = [save_causal(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    one, other = (
        open_backend(locate(Registry().model(str(path)), adapter=None), device="cpu", dtype="float32") for path in paths
    )
    rows = [one.texts.encode(text) for text in ("The capital of France is Paris.", "yes no maybe", "12 people came")]
    assert kl_on_texts(one.model, one.model, rows)["value"] == pytest.approx(0, abs=1e-6)
    found = kl_on_texts(one.model, other.model, rows)
    with torch.inference_mode():
        logs = [
            [m(torch.tensor([ids])).logits[0].double().log_softmax(-1) for ids in rows]
            for m in (one.model, other.model)
        ]
    expected = torch.cat([(a.exp() * (a - b)).sum(-1) for a, b in zip(*logs, strict=True)]).mean()
    assert found["value"] == pytest.approx(float(expected), rel=1e-4)
    assert found["ci_low"] < found["value"] < found["ci_high"]


def test_general_text_is_cut_at_white_space(tmp_path):
    assert cut("word " * 300).endswith("word")
    assert len(cut("x" * 5000)) == 1000
    file = tmp_path / "n.jsonl"
    file.write_text('{"text": "one"}\n{"document": "two"}\n{"text": "three"}\n')
    assert neutral_texts(file, 2, Registry())[0] == ["one", "two"]
