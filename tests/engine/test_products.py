"""Packed matrix products: the same numbers as torch's own, in every layer that a model has, and only where they pay."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration
from transformers.pytorch_utils import Conv1D

from halueval.engine import products
from halueval.engine.products import PackedLinear, pack_products, packing_pays
from halueval.engine.utilisation import ModelCost, matmul_rate


def test_a_packed_product_by_hand() -> None:
    layer = PackedLinear(torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]), torch.tensor([10.0, 0.0, 1.0]))
    assert layer(torch.tensor([[[1.0, 1.0], [2.0, 4.0]]])).tolist() == [[[13.0, -1.0, 4.5], [20.0, -4.0, 9.0]]]
    assert (layer.in_features, layer.out_features) == (2, 3)


@pytest.mark.parametrize("rows", [1, 3, 64, 300])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_products_are_no_less_exact_than_torchs(rows: int, bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(96, 160, bias=bias)
    packed = PackedLinear(plain.weight, plain.bias)
    inputs = torch.randn(2, rows, 96)
    with torch.inference_mode():
        exact = nn.functional.linear(
            inputs.double(), plain.weight.double(), None if plain.bias is None else plain.bias.double()
        )
        assert float((packed(inputs) - exact).abs().max()) <= 5e-6
        assert float((plain(inputs) - exact).abs().max()) <= 5e-6


def test_every_linear_layer_of_a_model_is_packed_and_its_answers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "packing_pays", lambda _: True)
    torch.manual_seed(0)
    ids = torch.tensor([[1, 2, 3, 4]])
    gpt = GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=40, n_positions=16)).eval()
    t5 = T5ForConditionalGeneration(
        T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=40)
    ).eval()
    for model, inputs, layers in (
        (gpt, {"input_ids": ids}, 4 * 2 + 1),
        (t5, {"input_ids": ids, "decoder_input_ids": ids}, 2 * (4 + 2) + 2 * (8 + 2) + 1),
    ):
        with torch.inference_mode():
            before, cost = model(**inputs).logits, ModelCost.of(model)
            assert pack_products(model) == layers
            assert not any(type(module) in (nn.Linear, Conv1D) for module in model.modules())
            assert torch.allclose(model(**inputs).logits, before, atol=1e-5)
        assert ModelCost.of(model) == cost
        assert model.dtype == torch.float32
        assert model.device.type == "cpu"


def test_products_that_would_be_slower_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_seconds", lambda layer, _: 1.0)
    assert not packing_pays(torch.float32)
    monkeypatch.setattr(products, "_seconds", lambda layer, _: 1.0 if isinstance(layer, PackedLinear) else 2.0)
    assert packing_pays(torch.float32) == torch.backends.mkldnn.is_available()
    assert not packing_pays(torch.float64)


def test_the_rate_of_packed_products_is_measured_with_them() -> None:
    assert matmul_rate(torch.device("cpu"), torch.float32, packed=True) > 1e8


def test_an_encoder_decoders_arithmetic_is_that_of_its_halves() -> None:
    """T5 by hand: d 16, heads 2 × 8, ff 32; a layer of the encoder has 4·256 + 2·512 weights and two norms of 16."""
    config = T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=3, num_heads=2, vocab_size=40)
    model = T5ForConditionalGeneration(config)
    buckets = 32 * 2  # relative positions, in the first layer of each half
    layer = 4 * 256 + 2 * 512
    encoder = 2 * (layer + 2 * 16) + 16 + buckets
    decoder = 3 * (layer + 4 * 256 + 3 * 16) + 16 + buckets
    assert ModelCost.of_encoder(model).per_token == 2 * encoder
    assert ModelCost.of_decoder(model).per_token == 2 * decoder
