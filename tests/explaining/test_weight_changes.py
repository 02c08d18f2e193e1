"""Change of weights against matrices whose norms are known, and adapters against their full difference."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import save_file
from small_models import save_adapter, save_causal

from halueval.errors import ModelError
from halueval.explaining.adapter import adapter_changes
from halueval.explaining.weights import matrix_spectral_norm, place, weight_changes


def saved(directory, **tensors):
    directory.mkdir(exist_ok=True)
    save_file({name.replace("__", "."): tensor for name, tensor in tensors.items()}, directory / "model.safetensors")
    return directory


def test_relative_change_and_spectral_norm_by_hand(tmp_path):
    base = saved(
        tmp_path / "a",
        model__layers__0__self_attn__q_proj__weight=torch.diag(torch.tensor([3.0, 4.0])),
        model__layers__0__input_layernorm__weight=torch.tensor([1.0, 1.0]),
        model__embed_tokens__weight=torch.ones(2, 2),
    )
    moved = saved(
        tmp_path / "b",
        model__layers__0__self_attn__q_proj__weight=torch.diag(torch.tensor([3.0, 5.0])),
        model__layers__0__input_layernorm__weight=torch.tensor([1.0, 2.0]),
        model__embed_tokens__weight=torch.ones(2, 2),
    )
    found = weight_changes(base, moved)
    groups = {(g["layer"], g["kind"]): g for g in found["groups"]}
    attention = groups["0", "attention"]
    assert attention["relative_change"] == pytest.approx(1 / 5)
    assert attention["spectral_norm"] == pytest.approx(1.0)
    assert attention["spectral_ratio"] == pytest.approx(1 / 4, rel=1e-3)
    assert groups["0", "norm"]["relative_change"] == pytest.approx(1 / math.sqrt(2))
    assert groups["0", "norm"]["spectral_norm"] is None
    assert groups["", "embedding"]["relative_change"] == 0
    assert found["relative_change"] == pytest.approx(math.sqrt(2 / (25 + 2 + 4)))
    assert (found["n_parameters"], found["n_unchanged"]) == (10, 4)


def test_the_same_weights_have_not_moved(tmp_path):
    found = weight_changes(save_causal(tmp_path / "a"), save_causal(tmp_path / "b"))
    assert found["relative_change"] == 0
    assert found["n_unchanged"] == found["n_parameters"] > 0
    assert {g["kind"] for g in found["groups"]} == {"attention", "mlp", "norm", "embedding", "head"}


def test_power_iteration_comes_close():
    matrix = torch.randn(30, 20, generator=torch.Generator().manual_seed(1))
    exact = float(torch.linalg.matrix_norm(matrix, 2))
    assert 0.95 * exact < matrix_spectral_norm(matrix) <= exact * 1.0001


def test_tensors_that_do_not_fit_are_named(tmp_path):
    base = saved(tmp_path / "a", w__weight=torch.ones(2), only__weight=torch.ones(1), big=torch.ones(2, 2))
    moved = saved(tmp_path / "b", w__weight=torch.ones(2).bfloat16(), new__weight=torch.ones(1), big=torch.ones(3, 2))
    notes = " | ".join(weight_changes(base, moved)["notes"])
    for text in ("only.weight", "new.weight", "differ in shape", "BF16", "rounding"):
        assert text in notes
    nothing = weight_changes(base, saved(tmp_path / "c", other=torch.ones(7)))
    assert nothing["relative_change"] is None
    assert "no tensor" in nothing["reason"]


def test_a_weight_that_is_no_number_gives_no_figure(tmp_path):
    found = weight_changes(
        saved(tmp_path / "a", w=torch.ones(2)), saved(tmp_path / "b", w=torch.tensor([1.0, math.nan]))
    )
    assert found["relative_change"] is None
    assert found["groups"][0]["relative_change"] is None
    json.dumps(found, allow_nan=False)


def test_pickles_and_broken_files_are_refused(tmp_path):
    good = saved(tmp_path / "a", w=torch.ones(2))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="not readable as safetensors"):
        weight_changes(good, tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.11.mlp.down_proj.weight", ("11", "mlp")),
        ("transformer.h.3.attn.c_attn.weight", ("3", "attention")),
        ("transformer.h.3.ln_1.weight", ("3", "norm")),
        ("encoder.block.2.layer.0.SelfAttention.q.weight", ("encoder 2", "attention")),
        ("decoder.block.2.layer.2.DenseReluDense.wo.weight", ("decoder 2", "mlp")),
        ("bert.encoder.layer.4.attention.output.LayerNorm.weight", ("encoder 4", "norm")),
        ("bert.encoder.layer.4.intermediate.dense.weight", ("encoder 4", "mlp")),
        ("lm_head.weight", ("", "head")),
        ("model.norm.weight", ("", "norm")),
        ("shared.weight", ("", "embedding")),
    ],
)
def test_where_a_tensor_belongs(name, expected):
    assert place(name) == expected


def test_an_adapter_equals_its_merged_weights(tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = save_causal(tmp_path / "base")
    adapter = save_adapter(base, tmp_path / "adapter", trained=True)
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    low, full = adapter_changes(base, adapter), weight_changes(base, tmp_path / "merged")
    assert low["relative_change"] == pytest.approx(full["relative_change"], rel=1e-4)
    assert low["n_unchanged"] == full["n_unchanged"]
    for a, b in zip(low["groups"], full["groups"], strict=True):
        assert (a["layer"], a["kind"]) == (b["layer"], b["kind"])
        assert a["relative_change"] == pytest.approx(b["relative_change"], rel=1e-4, abs=1e-9)
        assert (a["spectral_norm"] or 0) == pytest.approx(b["spectral_norm"] or 0, rel=1e-2, abs=1e-6)


def test_an_untrained_adapter_moves_nothing(tmp_path):
    base = save_causal(tmp_path / "base")
    found = adapter_changes(base, save_adapter(base, tmp_path / "adapter", trained=False))
    assert found["relative_change"] == 0


def test_adapters_of_other_kinds_are_not_measured(tmp_path):
    base = save_causal(tmp_path / "base")
    adapter = save_adapter(base, tmp_path / "adapter", trained=True)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    assert "DoRA" in adapter_changes(base, adapter)["reason"]
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "IA3"}))
    assert "IA3" in adapter_changes(base, adapter)["reason"]
