"""How far a LoRA adapter moves the weights of its base, without ever forming the difference.

The difference of a weight is s·B·A, with s = alpha/r (alpha/√r for rank-stabilised LoRA: Kalajdzievski 2023). Its
squared Frobenius norm is s²·tr((BᵀB)(AAᵀ)), its spectral norm comes from products with A and B: both cost rank × width.
Modules that were trained whole (`modules_to_save`) are compared as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from halueval.backends.fingerprint import read_json, weight_files
from halueval.explaining.record import WeightChange
from halueval.explaining.weights import (
    TensorChange,
    Tensors,
    compare_tensors,
    matrix_spectral_norm,
    no_weights,
    spectral_norm,
    squared_norm,
    summarise,
)

_PREFIX = "base_model.model."
_DOWN = re.compile(r"\.lora_(?:A|embedding_A)(?:\.weight)?$")
_UP = re.compile(r"\.lora_(?:B|embedding_B)(?:\.weight)?$")


def adapter_changes(base: Path, adapter: Path, advance: Callable[[int, int], None] = lambda *_: None) -> WeightChange:
    """Compare an adapter's model with its base.

    Args:
        base: directory of the base's safetensors.
        adapter: directory of the adapter.
        advance: is told of tensors done and in all.

    Raises:
        ModelError: files that cannot be read.
    """
    config = read_json(adapter / "adapter_config.json")
    kind = str(config.get("peft_type", "")).upper()
    if kind != "LORA" or config.get("use_dora"):
        return no_weights(f"the adapter is {'DoRA' if kind == 'LORA' else kind or 'of no named kind'}, not plain LoRA")
    with Tensors(weight_files(base)) as ours, Tensors([adapter / "adapter_model.safetensors"]) as theirs:
        unknown = [name for name in theirs.names if not _is_known(name)]
        if unknown:
            return no_weights(f"the adapter holds {unknown[0]}, which is no LoRA factor and no weight of the base")
        owners = {name: ours.find(_owner(name)) for name in theirs.names if not _UP.search(name)}
        lost = [name for name, owner in owners.items() if owner is None]
        if lost:
            return no_weights(f"the base has no weight for the adapter's {lost[0]}")
        changed = {owner: name for name, owner in owners.items() if owner is not None}
        return summarise(_changes(ours, theirs, changed, config, advance), [])


def _is_known(name: str) -> bool:
    return name.startswith(_PREFIX) and ("lora_" not in name or bool(_DOWN.search(name) or _UP.search(name)))


def _owner(name: str) -> str:
    """Name of the base's weight that an adapter's tensor belongs to."""
    bare = name.removeprefix(_PREFIX).replace(".base_layer", "").replace(".modules_to_save", "")
    return _DOWN.sub("", bare) + ".weight" if _DOWN.search(bare) else bare


def _changes(
    ours: Tensors,
    theirs: Tensors,
    changed: Mapping[str, str],
    config: Mapping[str, Any],
    advance: Callable[[int, int], None],
) -> Iterator[TensorChange]:
    for done, name in enumerate(ours.names):
        advance(done, len(ours.names))
        partner = changed.get(name)
        if partner is None:
            before = ours[name].float()
            yield TensorChange(
                name, before.numel(), squared_norm(before), 0.0, 0.0 if before.dim() >= 2 else None, None
            )
        elif _DOWN.search(partner):
            yield _low_rank(name, ours, theirs, partner, config)
        else:
            yield compare_tensors(name, ours[name], theirs[partner])


def _low_rank(name: str, ours: Tensors, theirs: Tensors, down_name: str, config: Mapping[str, Any]) -> TensorChange:
    import torch

    down = theirs[down_name].to(torch.float32)
    up = theirs[down_name.replace(".lora_A", ".lora_B").replace(".lora_embedding_A", ".lora_embedding_B")].float()
    down, up = down.reshape(down.shape[0], -1), up.reshape(up.shape[0], -1)
    scale = _scale(name, down.shape[0], config)
    inner = (up.T.double() @ up.double()) * (down.double() @ down.double().T).T
    moved = max(scale**2 * float(inner.sum()), 0.0)
    largest = abs(scale) * spectral_norm(lambda x: up @ (down @ x), lambda y: down.T @ (up.T @ y), down.shape[1])
    before = ours[name].float()
    base_spectral = matrix_spectral_norm(before) if moved else None
    return TensorChange(name, before.numel(), squared_norm(before), moved, largest if moved else 0.0, base_spectral)


def _scale(name: str, rank: int, config: Mapping[str, Any]) -> float:
    """alpha/r or alpha/√r, with the patterns by which PEFT lets modules differ."""
    module = name.removesuffix(".weight")
    alpha = float(config.get("lora_alpha", 8))
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = float(value)
            break
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
