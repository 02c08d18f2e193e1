"""How far fine-tuning moved the weights, read from two safetensors files tensor by tensor.

- relative change ‖W_candidate - W_base‖_F / ‖W_base‖_F, a layer and kind of module taken as one vector;
- spectral norm of the difference of each matrix, by power iteration (`STEPS` steps from a seeded start, so a close
  lower bound; the true value is at most ‖.‖_F), absolute and over the base's.

Never more than the largest tensor, its partner and their difference are in memory. Weights are read, not sampled:
there is no interval.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halueval.backends.fingerprint import weight_files
from halueval.errors import ModelError
from halueval.explaining.record import WeightChange, WeightGroup

if TYPE_CHECKING:
    import torch

STEPS = 12
_SHOWN = 3
Product = Callable[["torch.Tensor"], "torch.Tensor"]

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
_KINDS = (
    ("norm", re.compile(r"norm|(?:^|\.)ln_?[0-9a-z]*(?=\.|$)", re.IGNORECASE)),
    ("head", re.compile(r"(?:^|\.)(?:lm_head|classifier|score|embed_out|cls|pooler)(?=\.|$)")),
    ("embedding", re.compile(r"embed|(?:^|\.)(?:wte|wpe|shared)(?=\.|$)|relative_attention_bias", re.IGNORECASE)),
    ("attention", re.compile(r"attn|attention", re.IGNORECASE)),
    ("mlp", re.compile(r"mlp|feed_forward|DenseReluDense|(?:^|\.)fc\d?(?=\.|$)|intermediate|output\.dense", re.I)),
)


def place(name: str) -> tuple[str, str]:
    """Layer and kind of a tensor by its name, as the families of transformers name them."""
    kind = next((kind for kind, pattern in _KINDS if pattern.search(name)), "other")
    found = _LAYER.search(name)
    if found is None:
        return "", kind
    stack = next((f"{part} " for part in ("encoder", "decoder") if f"{part}." in name[: found.start() + 1]), "")
    return stack + found.group(1), kind


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor's part in the whole: squared norms, and spectral norms (None unless it is a matrix)."""

    name: str
    n_parameters: int
    base_squared: float
    change_squared: float
    spectral: float | None
    base_spectral: float | None


class Tensors:
    """The tensors of a model's directory by name, read when asked for. Used as a context."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files, self._stack = files, ExitStack()
        self._owner: dict[str, Any] = {}

    def __enter__(self) -> Tensors:
        from safetensors import SafetensorError, safe_open

        for file in self._files:
            try:
                opened = self._stack.enter_context(safe_open(file, framework="pt"))
            except (OSError, SafetensorError) as error:
                self._stack.close()
                raise ModelError(f"{file}: not readable as safetensors: {error}") from error
            self._owner.update(dict.fromkeys(opened.keys(), opened))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def names(self) -> list[str]:
        """Sorted."""
        return sorted(self._owner)

    def shape(self, name: str) -> list[int]:
        """Without reading the tensor."""
        return list(self._owner[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """As the file names it, such as `F32` or `BF16`."""
        return str(self._owner[name].get_slice(name).get_dtype())

    def __getitem__(self, name: str) -> torch.Tensor:
        found: torch.Tensor = self._owner[name].get_tensor(name)
        return found

    def find(self, name: str) -> str | None:
        """The tensor of this name, with or without a prefix that only one of the two bears; None if none or several."""
        if name in self._owner:
            return name
        alike = [own for own in self._owner if own.endswith(f".{name}") or name.endswith(f".{own}")]
        return alike[0] if len(alike) == 1 else None


def spectral_norm(forward: Product, backward: Product, size: int, seed: int = 0, steps: int = STEPS) -> float:
    """Largest singular value of a linear map by power iteration on its square.

    Args:
        forward: x of shape (size,) to the map's image.
        backward: the transposed map.
        size: of the map's domain.
        seed: of the start.
        steps: of the iteration.
    """
    import torch

    vector = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    vector = vector / vector.norm()
    value = 0.0
    for _ in range(steps):
        image = forward(vector)
        value = float(image.norm())
        if value == 0 or not math.isfinite(value):
            return value
        vector = backward(image)
        vector = vector / vector.norm()
    return float(forward(vector).norm())


def matrix_spectral_norm(matrix: torch.Tensor) -> float:
    """Of a matrix; further dimensions are laid out as columns."""
    flat = matrix.reshape(matrix.shape[0], -1)
    return spectral_norm(lambda x: flat @ x, lambda y: flat.T @ y, flat.shape[1])


def squared_norm(tensor: torch.Tensor) -> float:
    """Σ x², added up in double precision."""
    import torch

    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64)) ** 2


def compare_tensors(name: str, base: torch.Tensor, candidate: torch.Tensor) -> TensorChange:
    """How far one tensor moved; both are taken in float32."""
    import torch

    before = base.to(torch.float32)
    change = candidate.to(device=before.device, dtype=torch.float32) - before
    moved = squared_norm(change)
    spectral = base_spectral = None
    if change.dim() >= 2:
        spectral = matrix_spectral_norm(change) if moved else 0.0
        base_spectral = matrix_spectral_norm(before) if moved else None
    return TensorChange(name, change.numel(), squared_norm(before), moved, spectral, base_spectral)


def weight_changes(base: Path, candidate: Path, advance: Callable[[int, int], None] = lambda *_: None) -> WeightChange:
    """Compare the weights in two directories.

    Args:
        base: directory with safetensors.
        candidate: the same; tensors that only one has, or that differ in shape, are named and left out.
        advance: is told of tensors done and in all.

    Raises:
        ModelError: no safetensors, or files that cannot be read.
    """
    with Tensors(weight_files(base)) as ours, Tensors(weight_files(candidate)) as theirs:
        pairs, notes = _pairs(ours, theirs)
        if not pairs:
            return no_weights("no tensor of the candidate has a tensor of the base of its name and shape")
        return summarise(_compared(ours, theirs, pairs, advance), notes)


def _pairs(ours: Tensors, theirs: Tensors) -> tuple[list[tuple[str, str]], list[str]]:
    pairs, other_shape, alone = [], [], []
    for name in ours.names:
        partner = theirs.find(name)
        if partner is None:
            alone.append(name)
        elif ours.shape(name) != theirs.shape(partner):
            other_shape.append(name)
        else:
            pairs.append((name, partner))
    taken = {partner for _, partner in pairs}
    extra = [name for name in theirs.names if name not in taken and ours.find(name) is None]
    notes = [
        f"{len(names)} tensors {what} and are left out: {_listed(names)}"
        for names, what in (
            (alone, "are only in the base"),
            (extra, "are only in the candidate"),
            (other_shape, "differ in shape"),
        )
        if names
    ]
    dtypes = [{tensors.dtype(pair[side]) for pair in pairs} for side, tensors in enumerate((ours, theirs))]
    if dtypes[0] != dtypes[1]:
        told = " and ".join("/".join(sorted(kinds)) for kinds in dtypes)
        notes.append(f"the files hold {told}: rounding is part of the change (bfloat16: up to 0.4 % of each weight)")
    return pairs, notes


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


def _compared(
    ours: Tensors, theirs: Tensors, pairs: Sequence[tuple[str, str]], advance: Callable[[int, int], None]
) -> Iterator[TensorChange]:
    for done, (name, partner) in enumerate(pairs):
        advance(done, len(pairs))
        if ours.dtype(name).startswith(("I", "U", "BOOL")):
            continue  # masks and position ids are no weights
        yield compare_tensors(name, ours[name], theirs[partner])


def no_weights(reason: str) -> WeightChange:
    """No figures, and why."""
    return {
        "reason": reason,
        "relative_change": None,
        "n_parameters": 0,
        "n_unchanged": 0,
        "groups": [],
        "notes": [],
    }


def summarise(changes: Iterator[TensorChange] | Sequence[TensorChange], notes: Sequence[str]) -> WeightChange:
    """Group tensors by layer and kind."""
    groups: dict[tuple[str, str], list[TensorChange]] = defaultdict(list)
    for change in changes:
        groups[place(change.name)].append(change)
    everything = [change for members in groups.values() for change in members]
    rows = [_group(layer, kind, groups[layer, kind]) for layer, kind in sorted(groups, key=_order)]
    relative = _relative(everything)
    notes = list(notes)
    if relative is None and everything:
        notes.append("a weight is not finite, or all of the base's are 0")
    return {
        "reason": None if everything else "no tensor to compare",
        "relative_change": relative,
        "n_parameters": sum(change.n_parameters for change in everything),
        "n_unchanged": sum(change.n_parameters for change in everything if change.change_squared == 0),
        "groups": rows,
        "notes": notes,
    }


def _order(key: tuple[str, str]) -> tuple[str, int, str]:
    stack, _, number = key[0].rpartition(" ")
    return stack, int(number or -1), key[1]


def _relative(changes: Sequence[TensorChange]) -> float | None:
    base = math.fsum(change.base_squared for change in changes)
    moved = math.fsum(change.change_squared for change in changes)
    return math.sqrt(moved / base) if base > 0 and math.isfinite(base) and math.isfinite(moved) else None


def _group(layer: str, kind: str, members: Sequence[TensorChange]) -> WeightGroup:
    spectral = [m.spectral for m in members if m.spectral is not None and math.isfinite(m.spectral)]
    ratios = [
        m.spectral / m.base_spectral if m.base_spectral else 0.0
        for m in members
        if m.spectral is not None and (m.base_spectral or m.spectral == 0) and math.isfinite(m.spectral)
    ]
    return {
        "layer": layer,
        "kind": kind,
        "n_parameters": sum(m.n_parameters for m in members),
        "relative_change": _relative(members),
        "spectral_norm": max(spectral, default=None),
        "spectral_ratio": max(ratios, default=None),
    }
