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

from halueval.backends.conversion import meta_parameters
from halueval.backends.loading import load, locate
from halueval.backends.onnx_weights import Parameters, read_weights
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


def of_bert(**config):
    """A configuration of which one key is as given."""
    return {"model_type": "bert", "architectures": ["BertForSequenceClassification"], **config}


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
    found = read_weights(path, meta_parameters(config, path), PREFIX)
    assert set(found) == set(weights)
    for name, value in weights.items():
        step = np.abs(value).max() / 127 if value.ndim == 2 else 0
        assert np.abs(found[name] - value).max() <= step / 2 + 1e-7, name


def test_a_weight_that_is_there_whole_is_taken_whole(small, tmp_path):
    _, weights, config = small
    name = next(key for key, value in weights.items() if value.ndim == 2 and "query" in key)
    path = tmp_path / "q.onnx"
    path.write_bytes(export(weights, eight_bits=True, whole=(name,)))
    np.testing.assert_array_equal(read_weights(path, meta_parameters(config, path), PREFIX)[name], weights[name])


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
        (None, {"config": {"model_type": "bert"}}, "architectures:` must be a list of names, found None"),
        (
            None,
            {"config": of_bert(architectures="BertForMaskedLM")},
            "must be a list of names, found 'BertForMaskedLM'",
        ),
        (None, {"config": of_bert(architectures=[["BertForMaskedLM"]])}, "must be a list of names"),
        (None, {"config": of_bert(architectures=[])}, r"must be a list of names, found \[\]"),
        (None, {"config": of_bert(architectures=["Nothing"])}, "names 'Nothing', which is no model of transformers"),
        (None, {"config": of_bert(architectures=["AutoModel"])}, "names 'AutoModel', which is no model"),
        (None, {"config": of_bert(architectures=["pipeline"])}, "names 'pipeline', which is no model"),
        (None, {"config": of_bert(architectures=["BertPreTrainedModel"])}, "BertPreTrainedModel.*has no weights"),
        (None, {"config": of_bert(model_type="nothing")}, "makes no BertForSequenceClassification of transformers"),
        (None, {"config": of_bert(hidden_size="384")}, "makes no BertForSequenceClassification of transformers"),
        (None, {"config": of_bert(hidden_size=-4)}, "makes no BertForSequenceClassification of transformers"),
        (None, {"config": of_bert(num_attention_heads=0)}, "makes no BertForSequenceClassification of transformers"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(packed, tmp_path, content, more, said):
    with pytest.raises(ModelError, match=said) as caught:
        locate(packed(content, **more), adapter=None)
    assert "\n" not in str(caught.value)
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


def graph_of(tensors, *nodes):
    """A file of tensors by name and of nodes (operator, inputs, name, attributes)."""
    made = [helper.make_node(op, inputs, ["y"], name=name, **more) for op, inputs, name, more in nodes]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
    return helper.make_model(helper.make_graph(made, "g", [], [], initializer=stored))


def read(tmp_path, model, shapes, linear=()):
    path = tmp_path / "hand.onnx"
    path.write_bytes(model.SerializeToString())
    return read_weights(path, Parameters(shapes, frozenset(linear)))


SQUARE = np.array([[1, 2], [3, 4]], np.float32)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (("MatMul", ["x", "l.weight"], "", {}), SQUARE.T),
        (("Gemm", ["x", "l.weight"], "", {}), SQUARE.T),
        (("Gemm", ["x", "l.weight", "b"], "", {"transB": 1}), SQUARE),
        (("Transpose", ["l.weight"], "", {"perm": [1, 0]}), SQUARE),
    ],
)
def test_the_node_that_uses_a_linear_weight_tells_how_it_is_stored(tmp_path, node, expected):
    found = read(tmp_path, graph_of({"l.weight": SQUARE}, node), {"l.weight": (2, 2)}, ["l.weight"])
    np.testing.assert_array_equal(found["l.weight"], expected)


@pytest.mark.parametrize(
    ("nodes", "linear"),
    [
        ([("MatMul", ["x", "l.weight"], "", {})], []),
        ([("MatMul", ["l.weight", "x"], "", {})], ["l.weight"]),
        ([("DequantizeLinear", ["l.weight", "s"], "", {})], ["l.weight"]),
        ([("MatMul", ["x", "l.weight"], "", {}), ("Transpose", ["l.weight"], "", {})], ["l.weight"]),
        ([], ["l.weight"]),
    ],
)
def test_a_square_weight_of_which_the_graph_does_not_tell_how_it_is_stored_is_refused(tmp_path, nodes, linear):
    with pytest.raises(ModelError, match=r"whether l\.weight is stored transposed cannot be told"):
        read(tmp_path, graph_of({"l.weight": SQUARE}, *nodes), {"l.weight": (2, 2)}, linear)


def test_a_weight_outside_of_linear_layers_is_read_as_it_is(tmp_path):
    model = graph_of({"e.weight": SQUARE}, ("Gather", ["e.weight", "ids"], "", {}))
    np.testing.assert_array_equal(read(tmp_path, model, {"e.weight": (2, 2)})["e.weight"], SQUARE)


def test_scales_of_columns_are_of_outputs(tmp_path):
    """By hand: ([[1, 2], [3, 4]] - [1, 0]) · [.5, 10] = [[0, 20], [1, 40]] is (in, out), and so transposed."""
    parts = {
        "l.weight_quantized": SQUARE.astype(np.int8),
        "l.weight_scale": np.array([0.5, 10], np.float32),
        "l.weight_zero_point": np.array([1, 0], np.int8),
    }
    model = graph_of(parts, ("MatMulInteger", ["x", "l.weight_quantized", "z", "l.weight_zero_point"], "", {}))
    found = read(tmp_path, model, {"l.weight": (2, 2)}, ["l.weight"])
    np.testing.assert_array_equal(found["l.weight"], [[0, 1], [20, 40]])


def test_a_parameter_that_is_called_like_a_scale_is_one(tmp_path):
    model = graph_of({"logit_scale": np.float32(2), "a_zero_point": np.ones(3, np.float32)})
    found = read(tmp_path, model, {"logit_scale": (), "a_zero_point": (3,)})
    assert found["logit_scale"] == 2
    np.testing.assert_array_equal(found["a_zero_point"], np.ones(3))


def test_two_tensors_for_one_parameter_must_be_equal(tmp_path):
    nodes = [("MatMul", ["x", "a"], "/l/MatMul", {}), ("MatMul", ["x", "b"], "/l/MatMul_1", {})]
    same = read(tmp_path, graph_of({"a": SQUARE, "b": SQUARE}, *nodes), {"l.weight": (2, 2)}, ["l.weight"])
    np.testing.assert_array_equal(same["l.weight"], SQUARE.T)
    with pytest.raises(ModelError, match=r"holds two tensors for l\.weight, which differ"):
        read(tmp_path, graph_of({"a": SQUARE, "b": SQUARE + 1}, *nodes), {"l.weight": (2, 2)}, ["l.weight"])


def eight(weight=(2, 2), scale=(), zero=(), kind=np.int8):
    """An embedding of ones in eight bits, with as many scales and zero points as told."""
    return graph_of(
        {
            "e.weight_quantized": np.ones(weight, kind),
            "e.weight_scale": np.ones(scale, np.float32),
            "e.weight_zero_point": np.zeros(zero, kind),
        },
        ("Gather", ["e.weight_quantized", "ids"], "", {}),
    )


def changed(model, **fields):
    """The file with other fields of its first tensor."""
    tensor = model.graph.initializer[0]
    for key, value in fields.items():
        tensor.ClearField(key)
        if isinstance(value, list):
            getattr(tensor, key).extend(value)
        else:
            setattr(tensor, key, value)
    return model


def whole(value=SQUARE):
    return graph_of({"e.weight": value})


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_becomes_float32(tmp_path, kind):
    model = whole()
    model.graph.initializer[0].CopyFrom(helper.make_tensor("e.weight", kind, [2, 2], [1, 2, 3, 4]))
    found = read(tmp_path, model, {"e.weight": (2, 2)})["e.weight"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, SQUARE)


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_scale_a_tensor_may_be_a_number_or_a_list_of_one(tmp_path, kind, shape):
    found = read(tmp_path, eight(scale=shape, zero=shape, kind=kind), {"e.weight": (2, 2)})
    np.testing.assert_array_equal(found["e.weight"], np.ones((2, 2)))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (changed(whole(), dims=[2, 3]), r"e\.weight has the shape \(2, 3\), but .* makes it \(2, 2\)"),
        (changed(whole(), dims=[-1, 2]), r"e\.weight has the shape \(-1, 2\), but"),
        (changed(whole(), dims=[2]), r"e\.weight has the shape \(2,\), but"),
        (changed(whole(), raw_data=b"\0" * 12), "e.weight is damaged: its data do not fill"),
        (changed(whole(), raw_data=b"\0" * 13), "e.weight is damaged"),
        (changed(whole(), data_type=0), "e.weight is of the type UNDEFINED; needed is FLOAT or"),
        (changed(whole(), data_type=99), "e.weight is of the type 99; needed is FLOAT or"),
        (changed(whole(), data_type=int(TensorProto.STRING)), "is of the type STRING"),
        (whole(SQUARE.astype(np.int64)), "is of the type INT64"),
        (whole(SQUARE * np.nan), "e.weight holds numbers that are not finite"),
        (whole(np.where(SQUARE == 4, np.inf, SQUARE).astype(np.float32)), "not finite"),
        (changed(eight(), data_type=int(TensorProto.INT32)), "is of the type INT32; needed is INT8 or UINT8"),
        (eight(scale=(2,)), r"e\.weight_scale has the shape \(2,\); read are one number a tensor"),
        (eight(scale=(2, 1)), r"e\.weight_scale has the shape \(2, 1\)"),
        (eight(scale=(3,)), r"e\.weight_scale has the shape \(3,\)"),
        (eight(zero=(1, 2)), r"e\.weight_zero_point has the shape \(1, 2\)"),
        (eight(weight=(2, 1), scale=(1, 2)), r"e\.weight has the shape \(2, 1\), but"),
    ],
)
def test_a_tensor_that_cannot_be_right_is_one_line(tmp_path, model, said):
    with pytest.raises(ModelError, match=said) as caught:
        read(tmp_path, model, {"e.weight": (2, 2)})
    assert "\n" not in str(caught.value)


def test_a_scale_that_would_make_a_small_file_fill_the_memory_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"scale has the shape \(1, 100000\)"):
        read(tmp_path, eight(weight=(100_000, 1), scale=(1, 100_000)), {"e.weight": (100_000, 1)})


def test_a_scale_too_large_for_its_weights_is_refused(tmp_path):
    model = eight()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.float32(3e38), "e.weight_scale"))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((2, 2), 9, np.int8), "e.weight_quantized"))
    with pytest.raises(ModelError, match="not finite"):
        read(tmp_path, model, {"e.weight": (2, 2)})


@pytest.mark.parametrize("number", [2, 3, 4])
def test_scales_of_columns_must_be_one_each(tmp_path, number):
    parts = {
        "l.weight_quantized": np.ones((2, 3), np.int8),
        "l.weight_scale": np.ones(number, np.float32),
        "l.weight_zero_point": np.int8(0),
    }
    model = graph_of(parts, ("MatMulInteger", ["x", "l.weight_quantized"], "", {}))
    if number == 3:
        assert read(tmp_path, model, {"l.weight": (3, 2)}, ["l.weight"])["l.weight"].shape == (3, 2)
    else:
        with pytest.raises(ModelError, match="scale has the shape"):
            read(tmp_path, model, {"l.weight": (3, 2)}, ["l.weight"])


def test_eight_bits_without_scale_are_refused(tmp_path):
    model = eight()
    del model.graph.initializer[1]
    with pytest.raises(ModelError, match=r"holds eight-bit weights without e\.weight_scale"):
        read(tmp_path, model, {"e.weight": (2, 2)})
