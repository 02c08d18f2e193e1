"""One loaded model that becomes each of its fine-tuned checkpoints in turn.

Loading reads the base's weights, its tokenizer, and probes how requests can share passes; for ten checkpoints of one
base that is done once. Whole weights are copied into the same modules, adapters are put on and taken off. Either way
the computation is the one of a model that was loaded for itself, so that the figures are the same to the last bit.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from halueval.backends.fingerprint import config_sha256, tokenizer_sha256, weight_files
from halueval.backends.huggingface import HuggingFaceBackend
from halueval.backends.loading import LocatedModel, attach_adapter
from halueval.engine.products import PackedLinear, pack_products
from halueval.errors import ModelError


class SwappedBackend:
    """A backend of a base whose weights are exchanged.

    Args:
        base: the base, without an adapter.
        backend: a backend that has loaded it.
    """

    def __init__(self, base: LocatedModel, backend: HuggingFaceBackend) -> None:
        if base.adapter is not None:
            raise ModelError(f"model {base.spec.name}: is an adapter itself; its checkpoints cannot be swapped into it")
        self.base, self.backend = base, backend
        self._weights = base.weights_sha256
        self._adapted: Any = None
        self._warnings, self._num_parameters = list(backend.warnings), backend.num_parameters

    def fits(self, located: LocatedModel) -> bool:
        """Whether a model differs from the base in nothing but weights."""
        same = located.directory == self.base.directory or (
            config_sha256(located.directory) == config_sha256(self.base.directory)
            and tokenizer_sha256(located.directory) == tokenizer_sha256(self.base.directory)
        )
        return same and located.architecture == self.base.architecture

    def become(self, located: LocatedModel) -> HuggingFaceBackend:
        """The backend with the weights of `located`, until it becomes another.

        Raises:
            ModelError: weights that are not those of this base's modules.
        """
        if self._adapted is not None:
            self._adapted.unload()
            self._adapted = None
        if located.weights_sha256 != self._weights:
            copy_weights(self.backend.model, located.directory)
            self._weights = located.weights_sha256
        self.backend.warnings[:] = self._warnings
        self.backend.num_parameters = self._num_parameters
        if located.adapter is not None:
            self.backend.num_parameters = (self._num_parameters or 0) + _num_stored(located.adapter)
            self._adapted = attach_adapter(self.backend.model, located.adapter)
            self._adapted.to(self.backend.model.device).eval()
            pack_products(self._adapted)
            self.backend.check_adapter(self._adapted, str(located.adapter))
        return self.backend


def copy_weights(model: Any, directory: Path) -> None:
    """Put the tensors of a model directory into a loaded model, in its dtype and on its device.

    Raises:
        ModelError: a tensor that is missing, or of another shape.
    """
    import torch
    from safetensors import safe_open

    places = {name: path for path in weight_files(directory) for name in _names(path)}
    tied: dict[str, str] = dict(getattr(model, "all_tied_weights_keys", {}) or {})
    packed = {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, PackedLinear)}
    wanted = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    buffers = {name for name, _ in model.named_buffers() if name in places}
    with torch.no_grad():
        for name in sorted(wanted | buffers):
            stored = name if name in places else tied.get(name, name)
            if stored not in places:
                raise ModelError(f"{directory}: the weights lack {name}, so that they cannot take the base's place")
            with safe_open(places[stored], framework="pt") as file:
                tensor = file.get_tensor(stored)
            if name in packed:
                packed[name].replace_weight(_fitting(tensor, packed[name].shape, name, directory))
                continue
            target = model.get_parameter(name) if name in wanted else model.get_buffer(name)
            target.copy_(_fitting(tensor, tuple(target.shape), name, directory))


def _names(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return list(file.keys())


def _num_stored(adapter: Path) -> int:
    from safetensors import safe_open

    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 (no mapping)


def _fitting(tensor: Any, shape: tuple[int, ...], name: str, directory: Path) -> Any:
    if tuple(tensor.shape) != shape:
        raise ModelError(f"{directory}: {name} has shape {tuple(tensor.shape)}, and the base's has {shape}")
    return tensor
