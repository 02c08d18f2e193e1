import json
import os
import shutil

import pytest
import torch
from small_models import save_causal

from halueval.backends.devices import resolve_device, resolve_dtype, usable_cores
from halueval.backends.fingerprint import adapter_sha256, chat_template, tokenizer_sha256, weights_sha256
from halueval.backends.loading import load, locate
from halueval.config import ModelSpec
from halueval.errors import ModelError, SourceError, UsageError


def spec(directory, **more):
    return ModelSpec(name="small", source=str(directory), **more)


@pytest.fixture
def copy(models, tmp_path):
    return shutil.copytree(models("causal"), tmp_path / "model")


def test_other_weights_under_the_same_name_have_another_digest(copy):
    before = weights_sha256(copy)
    assert weights_sha256(copy) == before
    save_causal(copy, seed=1)
    assert weights_sha256(copy) != before


def test_identity_says_what_a_model_is_and_not_where(models, copy):
    here, there = locate(spec(models("causal")), adapter=None), locate(spec(copy), adapter=None)
    a, b = here.identity("float32"), there.identity("float32")
    assert (a.weights_sha256, a.config_sha256, a.tokenizer_sha256) == (
        b.weights_sha256,
        b.config_sha256,
        b.tokenizer_sha256,
    )
    assert a != here.identity("bfloat16")


def test_pickled_weights_are_refused_with_the_reason(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match=r"only pickled weights .* can run any code"):
        locate(spec(copy), adapter=None)


def test_a_directory_without_weights_or_tokenizer_or_config_says_which(copy):
    for name in ("tokenizer.json", "config.json", "model.safetensors"):
        saved = (copy / name).read_bytes()
        (copy / name).unlink()
        with pytest.raises(ModelError, match={"t": "no tokenizer", "c": "config.json", "m": "no weights"}[name[0]]):
            locate(spec(copy), adapter=None)
        (copy / name).write_bytes(saved)


def test_missing_shards_are_noticed(copy):
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-2.safetensors"}}))
    with pytest.raises(ModelError, match=r"model-2\.safetensors, which is not there"):
        locate(spec(copy), adapter=None)


def test_layers_that_the_weights_lack_are_never_left_random(copy):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack model\.layers\.1\.mlp\.up_proj\.weight"):
        load(locate(spec(copy), adapter=None), device="cpu", dtype="float32", trust_remote_code=False)


def test_architecture_is_read_from_the_configuration_and_held_against_the_card(models):
    assert locate(spec(models("t5")), adapter=None).architecture == "seq2seq"
    assert locate(spec(models("bert")), adapter=None).architecture == "classifier"
    with pytest.raises(ModelError, match="card says architecture 'causal'"):
        locate(spec(models("t5"), architecture="causal"), adapter=None)


def test_code_that_comes_with_a_model_is_not_run_unless_asked(copy):
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Model"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "own.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(ModelError, match="--trust-remote-code"):
        load(locate(spec(copy), adapter=None), device="cpu", dtype="float32", trust_remote_code=False)


def test_broken_weights_give_one_line(copy):
    (copy / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load(locate(spec(copy), adapter=None), device="cpu", dtype="float32", trust_remote_code=False)
    assert "\n" not in str(caught.value)


def test_a_missing_model_path_is_a_source_error(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        locate(spec(tmp_path / "nowhere"), adapter=None)


def test_adapters_are_checked_before_loading(tmp_path):
    with pytest.raises(ModelError, match=r"expected adapter_config\.json"):
        adapter_sha256(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="pickled"):
        adapter_sha256(tmp_path)


def test_chat_template_is_found_in_either_place(copy):
    assert chat_template(copy) is None
    config = json.loads((copy / "tokenizer_config.json").read_text())
    named = [{"name": "tool", "template": "T"}, {"name": "default", "template": "D"}]
    (copy / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": named}))
    before = tokenizer_sha256(copy)
    assert chat_template(copy) == "D"
    (copy / "chat_template.jinja").write_text("J")
    assert chat_template(copy) == "J"
    assert tokenizer_sha256(copy) == before


def test_devices_and_dtypes(monkeypatch):
    assert resolve_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="use auto, cpu, cuda"):
        resolve_device("gpu0")
    if not torch.cuda.is_available():
        assert resolve_device("auto") in ("cpu", "mps")
        with pytest.raises(UsageError, match="has 0 CUDA devices"):
            resolve_device("cuda")
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    assert resolve_dtype("auto", spec("x"), "cpu") == "float32"
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True)
    assert resolve_dtype("auto", spec("x"), "cpu") == "bfloat16"
    assert resolve_dtype("auto", spec("x", dtype="bfloat16"), "cpu") == "bfloat16"
    assert resolve_dtype("float16", spec("x", dtype="bfloat16"), "cpu") == "float16"
    with pytest.raises(UsageError, match="float8"):
        resolve_dtype("float8", spec("x"), "cpu")


@pytest.mark.parametrize(("text", "most"), [("150000 100000", 2), ("50000 100000", 1), ("1 100000", 1)])
def test_a_container_has_the_cores_of_its_share(tmp_path, text, most):
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path / "cpu.max") == min(most, len(os.sched_getaffinity(0)))
    (tmp_path / "cpu.max").write_text("max 100000")
    assert usable_cores(tmp_path / "cpu.max") == usable_cores(tmp_path / "none") == len(os.sched_getaffinity(0))
