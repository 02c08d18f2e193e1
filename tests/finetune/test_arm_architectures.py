"""Mitigations on encoder-decoders and classifiers: what they change is what the model reads."""

import pytest
import torch

from halueval.errors import ModelError
from halueval.finetune.arms.adversarial import R3F, FreeLB, FreeLBSettings, R3FSettings
from halueval.finetune.arms.neftune import Neftune, NoiseSettings


@pytest.fixture(params=["t5", "bart", "bert"])
def kind(request):
    return request.param


@pytest.fixture
def loaded(models, kind):
    """Read from disk, where encoder and decoder have a module each for one weight; dropout off."""
    from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

    maker = AutoModelForSequenceClassification if kind == "bert" else AutoModelForSeq2SeqLM
    model = maker.from_pretrained(models(kind)).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    return model


@pytest.fixture
def inputs(kind):
    ids = {"input_ids": torch.tensor([[7, 8, 9], [10, 11, 0]]), "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}
    if kind == "bert":
        return {**ids, "labels": torch.tensor([1, 0])}
    return {
        **ids,
        "decoder_input_ids": torch.tensor([[0, 7], [0, 9]]),
        "labels": torch.tensor([[7, 2], [9, -100]]),
    }


def test_noise_reaches_the_predictions(loaded, inputs):
    plain = loaded(**inputs).logits
    assert torch.equal(loaded(**inputs).logits, plain)
    Neftune(NoiseSettings(alpha=5.0)).prepare_model(loaded)
    assert not torch.allclose(loaded(**inputs).logits, plain)
    assert torch.equal(loaded.eval()(**inputs).logits, plain)


def test_noise_reaches_the_predictions_of_adapters_too(models):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSeq2SeqLM

    model = get_peft_model(
        AutoModelForSeq2SeqLM.from_pretrained(models("t5")), LoraConfig(task_type="SEQ_2_SEQ_LM", r=2)
    )
    given = {"input_ids": torch.tensor([[7, 8, 9]]), "decoder_input_ids": torch.tensor([[0, 7]])}
    plain = model.eval()(**given).logits
    Neftune(NoiseSettings(alpha=5.0)).prepare_model(model)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert not torch.allclose(model(**given).logits, plain)
    assert torch.equal(model.eval()(**given).logits, plain)


def test_r3f_finds_predictions_that_moved(loaded, inputs):
    arm = R3F(R3FSettings(weight=1.0, scale=0.5))
    found = arm.loss(loaded, inputs, loaded(**inputs), torch.tensor(0.0), num_items=None)
    assert found.item() > 1e-3


def test_freelb_climbs(loaded, inputs):
    torch.manual_seed(0)
    losses = []
    for steps in (1, 4):
        torch.manual_seed(0)
        arm = FreeLB(FreeLBSettings(steps=steps, step_size=0.5, radius=2.0))
        found = arm.loss(loaded, inputs, None, torch.tensor(0.0), num_items=None)
        found.backward()
        losses.append(found.item())
    # The mean over the way up lies above the start.
    assert losses[1] > losses[0]


class Elsewhere(torch.nn.Module):
    """Names a module that it does not use."""

    def __init__(self):
        super().__init__()
        self.named, self.used = torch.nn.Embedding(12, 4), torch.nn.Embedding(12, 4)
        self.config = type("Config", (), {"is_encoder_decoder": False})()

    def get_input_embeddings(self):
        return self.named

    def forward(self, input_ids, attention_mask=None, labels=None):
        return type("Output", (), {"logits": self.used(input_ids)})()


@pytest.mark.parametrize("arm", [R3F(R3FSettings()), FreeLB(FreeLBSettings()), Neftune(NoiseSettings())])
def test_an_embedding_that_is_never_looked_up_is_told(arm):
    model = Elsewhere().train()
    inputs = {"input_ids": torch.tensor([[1, 2]]), "labels": torch.tensor([[-100, 2]])}
    arm.prepare_model(model)
    with pytest.raises(ModelError, match=r"Elsewhere does not look its input up in Embedding.*neftune"):
        arm.loss(model, inputs, model(input_ids=inputs["input_ids"]), torch.tensor(0.0), num_items=None)
