"""Parameters of a transformers model out of the ONNX graph that was exported from it; the graph is not run.

An export keeps the names of most parameters. Weights of linear layers lose theirs, since they are stored
transposed, but the product that uses one is called by the path of its module. Eight-bit weights (dynamic quantisation
of onnxruntime, `NAME_quantized` beside `NAME_scale` and `NAME_zero_point`) become float32 again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halueval.errors import ModelError

if TYPE_CHECKING:
    from onnx import GraphProto

Weights = NDArray[np.float32]
QUANTIZED, SCALE, ZERO_POINT = "_quantized", "_scale", "_zero_point"
PRODUCTS = ("MatMul", "MatMulInteger")
"""Operators whose second input is a weight of shape (in, out): the transpose of a linear layer's."""


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> dict[str, Weights]:
    """The parameters, as float32.

    Args:
        path: of the ONNX file.
        shapes: name and shape of every parameter that the model has.
        prefix: before the names in the file, where the export wrapped the model.

    Returns:
        One array a parameter, by name.

    Raises:
        ModelError: onnx is not installed, the file is no ONNX, or a parameter is not in it, or of another shape.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ModelError(f"{path.name}: reading ONNX needs onnx: pip install 'halueval[onnx]'") from error
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path}: is no ONNX file") from error
    found = dict(_parameters(graph, prefix, shapes, path))
    missing = [name for name in shapes if name not in found]
    if missing:
        raise ModelError(
            f"{path}: lacks {missing[0]} ({len(missing)} of {len(shapes)} parameters missing); does the card's "
            f"`onnx: prefix:` ({prefix!r}) fit?"
        )
    for name, shape in shapes.items():
        if found[name].shape != shape:
            raise ModelError(
                f"{path}: {name} has the shape {found[name].shape}, but the card's `onnx: config:` makes it {shape}"
            )
    return {name: found[name] for name in shapes}


def _parameters(
    graph: GraphProto, prefix: str, shapes: Mapping[str, tuple[int, ...]], path: Path
) -> Iterator[tuple[str, Weights]]:
    """Name and value of each parameter that the graph holds."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    products = {}
    for node in graph.node:
        if node.op_type in PRODUCTS and len(node.input) > 1 and _plain(node.input[1]) not in products:
            products[_plain(node.input[1])] = node.name
    for name in dict.fromkeys(map(_plain, stored)):
        if name.endswith((SCALE, ZERO_POINT)):
            continue
        parameter = name.removeprefix(prefix)
        if name in products and parameter not in shapes:
            # "/m/encoder/layer.0/query/MatMul": the path of the module, then the operator.
            module = products[name].removeprefix("/").rpartition("/")[0].replace("/", ".")
            parameter = f"{module.removeprefix(prefix)}.weight"
        if parameter in shapes:
            value = _value(stored, name, path)
            yield parameter, np.ascontiguousarray(value.T if name in products else value)


def _plain(name: str) -> str:
    return name.removesuffix(QUANTIZED)


def _value(stored: Mapping[str, Any], name: str, path: Path) -> Weights:
    """A tensor as float32; where it is there both whole and in eight bits, the whole one."""
    from onnx import numpy_helper

    def read(key: str) -> Weights:
        if key not in stored:
            raise ModelError(f"{path}: holds {name}{QUANTIZED} without {key}")
        if stored[key].data_location:  # 0 is "in this file"
            raise ModelError(f"{path}: keeps {key} in another file; give a file that holds all of its weights")
        found: Weights = numpy_helper.to_array(stored[key]).astype(np.float32)
        return found

    if name in stored:
        return read(name)
    return (read(name + QUANTIZED) - read(name + ZERO_POINT)) * read(name + SCALE)
