"""Matrix products on a CPU: oneDNN's, on weights packed once, where they beat torch's own.

torch multiplies float32 matrices with MKL, which leaves half of the vector units of other makers' processors idle:
on an AMD EPYC oneDNN computes the same float32 products 2.3 times as fast, and 3 times for the few rows of a decoding
step (docs/engine.md has the table). In bfloat16 both are oneDNN; packing the weights beforehand then helps few rows.

Packing takes the place of the plain weights, so it needs no second copy of them, except of an output embedding that is
tied to the input's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from halueval.engine.measured import decided

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GAIN = 1.1
"""Times as fast as torch's own product that oneDNN's must be to take its place."""
ROWS = (16, 256)
"""Rows of the products that decide: of a decoding step, and of a pass over a tree."""
SIDE = 1024


class PackedLinear(nn.Linear):
    """A linear layer whose weight lies in oneDNN's own order; for inference only.

    It is torch's to those who ask (an adapter, for one, can be put on it), but has a weight that nobody can read.

    Args:
        weight: shape (out, in), or (in, out) where `transposed`; on a CPU.
        bias: shape (out,), or none.
        transposed: whether weights come the other way round, as GPT-2's do.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, *, transposed: bool = False) -> None:
        nn.Module.__init__(self)  # torch's linear layer would draw a weight of its own
        self.transposed = transposed
        self.shape = tuple(weight.shape)
        self.out_features, self.in_features = self.shape[::-1] if transposed else self.shape
        # A parameter, because models look for the device and the dtype of their weights among these.
        self.weight = nn.Parameter(self._packed(weight), requires_grad=False)
        self.bias = bias  # type: ignore[assignment]  # none is as good as torch's own registered none

    def _packed(self, weight: torch.Tensor) -> torch.Tensor:
        plain = weight.detach().t() if self.transposed else weight.detach()
        with torch.no_grad():
            packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(plain.contiguous(), None)
        return packed

    def replace_weight(self, weight: torch.Tensor) -> None:
        """Take another weight of the same shape, in the layer's dtype."""
        self.weight = nn.Parameter(self._packed(weight.to(self.weight.dtype)), requires_grad=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Shape (…, in) to (…, out)."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")
        return product


def pack_products(model: PreTrainedModel) -> int:
    """Let a model on a CPU multiply with packed weights, if that is faster here; the model is changed in place.

    Layers of other classes than torch's linear one and GPT-2's stay as they are.

    Returns:
        How many layers were packed; 0 where nothing is to gain.
    """
    dtype = model.dtype
    if model.device.type != "cpu" or not decided(f"packed products in {dtype}", lambda: packing_pays(dtype)):
        return 0
    from transformers.pytorch_utils import Conv1D

    packed: dict[int, PackedLinear] = {}  # layers that share a weight share the packed one
    count = 0
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            linear: Any = layer
            if type(layer) not in (nn.Linear, Conv1D) or linear.weight.dtype != model.dtype:
                continue
            if id(layer) not in packed:
                packed[id(layer)] = PackedLinear(linear.weight, linear.bias, transposed=isinstance(layer, Conv1D))
            setattr(parent, name, packed[id(layer)])
            count += 1
    # What is left still lies in the file that the weights were mapped from, and would hold all of it in memory.
    for parameter in model.parameters():
        if parameter.layout is torch.strided:
            parameter.data = parameter.data.clone()
    return count


def packing_pays(dtype: torch.dtype) -> bool:
    """Whether oneDNN's products are faster here: the geometric mean of a few rows and of many, weights packed."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch._C._has_mkldnn:
        return False
    if not all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise")):
        return False
    layer = nn.Linear(SIDE, SIDE, bias=False, dtype=dtype)
    gain = 1.0
    with torch.inference_mode():
        packed = PackedLinear(layer.weight, None)
        for rows in ROWS:
            inputs = torch.ones(rows, SIDE, dtype=dtype)
            gain *= _seconds(layer, inputs) / _seconds(packed, inputs)
    return bool(gain >= GAIN**2)


def _seconds(layer: Callable[[Any], Any], inputs: torch.Tensor) -> float:
    """Shortest of some calls, the first of which is not counted."""
    best = float("inf")
    for call in range(6):
        started = time.perf_counter()
        layer(inputs)
        if call:
            best = min(best, time.perf_counter() - started)
    return best
