"""Weights out of ONNX files: whole and in eight bits, by name and by the path of their product, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from small_models import save_bert

from halueval.backends.conversion import parameter_shapes
from halueval.backends.loading import load, locate
from halueval.backends.onnx_weights import read_weights
from halueval.config import ModelSpec, OnnxSpec
from halueval.errors import ConfigError, ModelError
from halueval.registry import Registry

PREFIX = "m."


def export(weights, *, eight_bits, prefix=PREFIX, whole=()):
    """A graph as an exporter writes it: linear weights transposed and nameless, their products called by the module."""
    tensors, nodes = [], []
    for i, (name, value) in enumerate(weights.items()):
        linear = value.ndim == 2 and "embeddings" not in name
        stored = np.ascontiguousarray(value.T) if linear else value
        label = f"onnx::MatMul_{i}" if linear else f"{prefix}{name}"
        if linear:
            module = f"{prefix}{name}".removesuffix(".weight").replace(".", "/")
            key = f"{label}_quantized" if eight_bits else label
            nodes.append(
                helper.make_node(
                    "MatMulInteger" if eight_bits else "MatMul",
                    ["x", key, "z"] if eight_bits else ["x", key],
                    [f"y{i}"],
                    name=f"/{module}/MatMul_quant" if eight_bits else f"/{module}/MatMul",
                )
            )
        if eight_bits and value.ndim == 2:
            scale = np.float32(np.abs(stored).max() / 127)
            tensors += [
                numpy_helper.from_array(np.round(stored / scale).astype(np.int8), f"{label}_quantized"),
                numpy_helper.from_array(scale, f"{label}_scale"),
                numpy_helper.from_array(np.int8(0), f"{label}_zero_point"),
            ]
        if not eight_bits or value.ndim < 2 or name in whole:
            tensors.append(numpy_helper.from_array(stored, label))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    graph = helper.make_graph(nodes, "exported", inputs, [], initializer=tensors)
    return helper.make_model(graph).SerializeToString()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small classifier's directory, its weights and configuration."""
    directory = save_bert(tmp_path_factory.mktemp("onnx") / "bert")
    model, _ = load(locate(ModelSpec(name="s", source=str(directory)), adapter=None), **HOW)
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    return directory, weights, json.loads((directory / "config.json").read_text())


HOW = {"device": "cpu", "dtype": "float32", "trust_remote_code": False}


@pytest.fixture
def packed(small, tmp_path, monkeypatch):
    """Writes a directory as a package has it, the tokenizer in a folder of its own; gives its card."""
    monkeypatch.setenv("HALUEVAL_CACHE", str(tmp_path / "cache"))
    directory, weights, config = small

    def write(content=None, **more):
        home = tmp_path / "package"
        (home / "words").mkdir(parents=True, exist_ok=True)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(directory / name, home / "words" / name)
        content = export(weights, eight_bits=False) if content is None else content
        (home / "model.onnx").write_bytes(content)
        onnx_spec = {"file": "model.onnx", "tokenizer": "words", "prefix": PREFIX, "config": config, **more}
        return ModelSpec(name="exported", source=str(home), onnx=onnx_spec)

    return write


def logits(directory_or_spec):
    found = directory_or_spec
    spec = found if isinstance(found, ModelSpec) else ModelSpec(name="s", source=str(found))
    model, tokenizer = load(locate(spec, adapter=None), **HOW)
    with torch.inference_mode():
        return model(**tokenizer(["the cat sat", "a dog"], padding=True, return_tensors="pt")).logits


def test_an_exported_model_answers_as_the_one_it_was_exported_from(small, packed):
    torch.testing.assert_close(logits(packed()), logits(small[0]), rtol=0, atol=0)


def test_eight_bits_are_within_half_a_step_of_the_weight(small, tmp_path):
    _, weights, config = small
    path = tmp_path / "q.onnx"
    path.write_bytes(export(weights, eight_bits=True))
    found = read_weights(path, parameter_shapes(config, path), PREFIX)
    assert set(found) == set(weights)
    for name, value in weights.items():
        step = np.abs(value).max() / 127 if value.ndim == 2 else 0
        assert np.abs(found[name] - value).max() <= step / 2 + 1e-7, name


def test_a_weight_that_is_there_whole_is_taken_whole(small, tmp_path):
    _, weights, config = small
    name = next(key for key, value in weights.items() if value.ndim == 2 and "query" in key)
    path = tmp_path / "q.onnx"
    path.write_bytes(export(weights, eight_bits=True, whole=(name,)))
    np.testing.assert_array_equal(read_weights(path, parameter_shapes(config, path), PREFIX)[name], weights[name])


def test_a_conversion_is_made_once_and_known_by_weights_and_configuration(packed, small):
    spec = packed()
    first = locate(spec, adapter=None)
    written = (first.directory / "model.safetensors").stat().st_mtime_ns
    again = locate(spec, adapter=None)
    assert again.directory == first.directory
    assert (again.directory / "model.safetensors").stat().st_mtime_ns == written
    other = locate(packed(config={**small[2], "layer_norm_eps": 0.1}), adapter=None)
    assert other.directory != first.directory
    assert other.weights_sha256 == first.weights_sha256
    assert other.identity("float32").config_sha256 != first.identity("float32").config_sha256


def test_a_tokenizer_that_was_mended_is_another_conversion(packed):
    spec = packed()
    first = locate(spec, adapter=None)
    words = Path(spec.source[0].source) / "words" / "tokenizer.json"
    changed = json.loads(words.read_text())
    changed["model"]["vocab"]["the_new_word"] = len(changed["model"]["vocab"])
    words.write_text(json.dumps(changed))
    other = locate(spec, adapter=None)
    assert other.directory != first.directory
    assert (other.directory / "tokenizer.json").read_text() == words.read_text()
    assert other.weights_sha256 == first.weights_sha256


def test_a_source_without_tokenizer_is_named_and_heals_when_it_gets_one(packed, tmp_path):
    spec = packed()
    words = Path(spec.source[0].source) / "words"
    words.rename(tmp_path / "away")
    with pytest.raises(ModelError, match=rf"^{re.escape(str(words))}: has no tokenizer"):
        locate(spec, adapter=None)
    assert not (tmp_path / "cache" / "converted").exists()
    (tmp_path / "away").rename(words)
    assert (locate(spec, adapter=None).directory / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        (b"no such thing", {}, "is no ONNX file"),
        (None, {"prefix": "other."}, r"lacks .* of \d+ parameters missing.*prefix"),
        (None, {"file": "gone.onnx"}, "no such file.*`onnx: file:`"),
        (None, {"config": {"model_type": "bert"}}, "makes no model of transformers"),
        (None, {"config": {"model_type": "bert", "architectures": ["Nothing"]}}, "makes no model of transformers"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(packed, tmp_path, content, more, said):
    with pytest.raises(ModelError, match=said):
        locate(packed(content, **more), adapter=None)
    left = list((tmp_path / "cache" / "converted").glob("*")) if (tmp_path / "cache").exists() else []
    assert not [path for path in left if path.is_dir()]


def test_another_size_in_the_configuration_is_named(packed, small):
    with pytest.raises(ModelError, match=r"has the shape .* but the card's `onnx: config:` makes it"):
        locate(packed(config={**small[2], "intermediate_size": small[2]["intermediate_size"] * 2}), adapter=None)


def test_weights_in_another_file_are_refused(small, packed):
    model = onnx.load_from_string(export(small[1], eight_bits=False))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(ModelError, match="in another file"):
        locate(packed(model.SerializeToString()), adapter=None)


@pytest.mark.parametrize("path", ["/etc/passwd", "../other.onnx", "a/../../b.onnx", "..\\b.onnx"])
def test_a_card_cannot_reach_out_of_its_source(path):
    with pytest.raises(ValueError, match="within the source"):
        OnnxSpec(file=path, config={})


def test_a_card_with_a_path_out_of_its_source_is_one_line(tmp_path):
    (tmp_path / "m.yaml").write_text("name: m\nsource: ./x\nonnx: {file: ../y.onnx, config: {}}\n")
    with pytest.raises(ConfigError, match=r"m\.yaml.*within the source"):
        Registry([tmp_path]).model("m")


def test_without_the_library_the_line_says_what_to_install(packed, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ModelError, match=r"pip install 'halueval\[onnx\]'"):
        locate(packed(), adapter=None)
