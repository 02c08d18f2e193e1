"""Parameters of a transformers model out of the ONNX graph that was exported from it; the graph is not run.

Covered is what `torch.onnx.export` with `dynamo=False` writes, and dynamic quantisation of onnxruntime makes of it:

- Most parameters keep their names and are stored as they are.
- The weight of a linear layer, (out, in), is stored as (in, out) where the node that uses it takes it so; most of these
  have no name but that of the node, which is called by the path of its module. A quantised Gemm is a MatMulInteger,
  for which onnxruntime transposes the weight under its own name.
- Eight bits are `NAME_quantized` beside `NAME_scale` and `NAME_zero_point`: one of each a tensor, or one a column of a
  product's weight (in, out). They become float32 again.

Where the graph does not tell how a weight is stored, it is refused: a square one would be wrong without a sign of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halueval.errors import ModelError

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

Weights = NDArray[np.float32]
Shape = tuple[int, ...]
QUANTIZED, SCALE, ZERO_POINT = "_quantized", "_scale", "_zero_point"
PRODUCTS = ("MatMul", "MatMulInteger")
WHOLE_TYPES = ("FLOAT", "FLOAT16", "BFLOAT16")
EIGHT_BIT_TYPES = ("INT8", "UINT8")


@dataclass(frozen=True, slots=True)
class Parameters:
    """Shape of each parameter of a model by its name, and which are weights, (out, in), of `torch.nn.Linear`."""

    shapes: Mapping[str, Shape]
    linear: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Use:
    """A node that takes a tensor: its operator, the module that its name is a path of, and what it tells of the tensor.

    `transposed` is whether it takes a linear layer's weight as (in, out); None where it does not tell.
    """

    operator: str
    module: str
    transposed: bool | None


def read_weights(path: Path, model: Parameters, prefix: str = "") -> dict[str, Weights]:
    """The parameters, as float32.

    Args:
        path: of the ONNX file.
        model: what it must hold.
        prefix: before the names in the file, where the export wrapped the model.

    Returns:
        One array a parameter, by name.

    Raises:
        ModelError: onnx is not installed, the file is no ONNX, or a parameter is not in it, of another shape or type,
            damaged, not finite, or stored in a way that the graph does not tell.
    """
    file = _File(path, _read_graph(path))
    found: dict[str, Weights] = {}
    for name in file.names:
        parameter = file.parameter(name, model, prefix)
        if parameter is None:
            continue
        value = file.value(name, parameter, model)
        if parameter in found and not np.array_equal(found[parameter], value):
            raise ModelError(f"{path}: holds two tensors for {parameter}, which differ")
        found[parameter] = value
    missing = [name for name in model.shapes if name not in found]
    if missing:
        raise ModelError(
            f"{path}: lacks {missing[0]} ({len(missing)} of {len(model.shapes)} parameters missing); does the card's "
            f"`onnx: prefix:` ({prefix!r}) fit?"
        )
    return {name: found[name] for name in model.shapes}


def _read_graph(path: Path) -> GraphProto:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ModelError(f"{path.name}: reading ONNX needs onnx: pip install 'halueval[onnx]'") from error
    try:
        return onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path}: is no ONNX file") from error


class _File:
    """A graph's tensors, and the nodes that take each."""

    def __init__(self, path: Path, graph: GraphProto) -> None:
        self._path = path
        self._stored: dict[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
        self._uses: dict[str, list[_Use]] = {}
        for node in graph.node:
            # "/m/encoder/layer.0/query/MatMul": the path of the module, then the operator.
            module = node.name.removeprefix("/").rpartition("/")[0].replace("/", ".")
            for position, name in enumerate(node.input):
                use = _Use(node.op_type, module, _transposed(node, position))
                self._uses.setdefault(name.removesuffix(QUANTIZED), []).append(use)

    @property
    def names(self) -> list[str]:
        """Of the tensors; one in eight bits counts once, without what its parts have behind its name."""
        parts = {
            name.removesuffix(QUANTIZED) + part
            for name in self._stored
            if name.endswith(QUANTIZED)
            for part in (SCALE, ZERO_POINT)
        }
        return list(dict.fromkeys(name.removesuffix(QUANTIZED) for name in self._stored if name not in parts))

    def parameter(self, name: str, model: Parameters, prefix: str) -> str | None:
        """The parameter that a tensor is: by its own name, or by the module whose weight it is; None where it is none.

        Of a module's path only a linear layer's weight is known.
        """
        if (own := name.removeprefix(prefix)) in model.shapes:
            return own
        for use in self._uses.get(name, ()):
            parameter = f"{use.module.removeprefix(prefix)}.weight"
            if use.transposed is not None and parameter in model.linear:
                return parameter
        return None

    def value(self, name: str, parameter: str, model: Parameters) -> Weights:
        """A tensor as float32, as the parameter is shaped; where it is both whole and in eight bits, the whole one."""
        transposed = self._stored_transposed(name, parameter, model)
        shape = model.shapes[parameter]
        stored = shape[::-1] if transposed else shape
        if name in self._stored:
            value = self._read(name, (stored,), WHOLE_TYPES, said=(parameter, shape))
        else:
            # (n,) of the last axis is of the columns: what one output of the product has in common.
            each: tuple[Shape, ...] = ((), (1,), stored[-1:]) if transposed else ((), (1,))
            eight = self._read(name + QUANTIZED, (stored,), EIGHT_BIT_TYPES, said=(parameter, shape))
            zero = self._read(name + ZERO_POINT, each, EIGHT_BIT_TYPES)
            scale = self._read(name + SCALE, each, WHOLE_TYPES)
            with np.errstate(over="ignore", invalid="ignore"):
                value = (eight - zero) * scale
        if not np.isfinite(value).all():
            raise ModelError(f"{self._path}: {parameter} holds numbers that are not finite")
        return np.ascontiguousarray(value.T if transposed else value)

    def _stored_transposed(self, name: str, parameter: str, model: Parameters) -> bool:
        uses = self._uses.get(name, ())
        if parameter in model.linear:
            told = {use.transposed for use in uses if use.transposed is not None}
            if len(told) == 1:
                return told.pop()
        elif not any(use.operator in PRODUCTS and use.transposed for use in uses):
            return False
        by = ", ".join(sorted({use.operator for use in uses})) or "no node"
        raise ModelError(
            f"{self._path}: whether {parameter} is stored transposed cannot be told ({name!r} is used by {by}); "
            "docs/models.md says which exports are covered"
        )

    def _read(
        self, key: str, shapes: tuple[Shape, ...], types: tuple[str, ...], said: tuple[str, Shape] | None = None
    ) -> Weights:
        """A tensor as float32, once its head is known to be right; `said` is the parameter and shape to be named."""
        from onnx import TensorProto, numpy_helper

        tensor = self._stored.get(key)
        if tensor is None:
            raise ModelError(f"{self._path}: holds eight-bit weights without {key}")
        if tensor.data_location:  # 0 is "in this file"
            raise ModelError(f"{self._path}: keeps {key} in another file; give a file that holds all of its weights")
        names: dict[int, str] = {number: kind for kind, number in TensorProto.DataType.items()}
        kind = names.get(tensor.data_type, str(tensor.data_type))
        if kind not in types:
            raise ModelError(f"{self._path}: {key} is of the type {kind}; needed is {' or '.join(types)}")
        dims = tuple(tensor.dims)
        if dims not in shapes and said is not None:
            raise ModelError(
                f"{self._path}: {said[0]} has the shape {dims if shapes[0] == said[1] else dims[::-1]}, but the card's "
                f"`onnx: config:` makes it {said[1]}"
            )
        if dims not in shapes:
            raise ModelError(
                f"{self._path}: {key} has the shape {dims}; read are one number a tensor, or one a column of the "
                "weight of a linear layer"
            )
        try:
            array: NDArray[Any] = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, OverflowError) as error:
            raise ModelError(f"{self._path}: {key} is damaged: its data do not fill the shape {dims}") from error
        value: Weights = array.astype(np.float32)
        return value


def _transposed(node: NodeProto, position: int) -> bool | None:
    """Whether a node takes the weight of a linear layer as (in, out) at a position; None where it does not tell."""
    if node.op_type in PRODUCTS and position == 1:
        return True
    if node.op_type == "Gemm" and position == 1:
        return not any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    if node.op_type == "Transpose" and position == 0:
        return False
    return None
