"""A scorer's own model: found by card, directory or hub id, loaded at first use, run in batches by length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halueval.engine.batching import Budget, Cost, plan_batches
from halueval.engine.memory import run_halving
from halueval.errors import ModelError
from halueval.schema import FailedResponse

if TYPE_CHECKING:
    import torch

    from halueval.backends.loading import LocatedModel
    from halueval.config import ModelSpec

BATCH_TOKENS = {"cpu": 4_096}
"""Padded tokens of a pass by type of device, where no batch size is set. On a CPU larger passes leave its caches."""
ACCELERATOR_TOKENS = 16_384
"""The same on any other device."""

NOT_FINITE = "the model gave no finite probability"


def no_room(tokens: int, window: int) -> str:
    """The reason where a claim's sentence alone fills the window."""
    return f"a claim sentence of {tokens} tokens leaves the source no room in the window of {window}"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one input as a tokenizer gives them, and how many of the source's were cut."""

    ids: Mapping[str, list[int]]
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """Class probabilities of one input, in the order of the head, and how many tokens of the source were cut."""

    probabilities: tuple[float, ...]
    truncated: int = 0


Forward = Callable[[list[Mapping[str, list[int]]]], list[list[float]]]
"""Class probabilities of inputs that are padded and run together."""


class LocalModel:
    """A model that a scorer brings along, loaded when it is first asked for.

    Weights are safetensors, and no code of a model is run (`halueval.backends.loading`).

    Args:
        model: name of a model card, a directory, or a hub id; None is refused when the model is needed.
        scorer: name of the scorer, for errors.
        device: `auto`, `cpu`, `cuda`, `cuda:0` … or `mps`.
        dtype: `float32`, `bfloat16`, `float16` or `auto`. Scorers default to float32, so that a verdict does not
            depend on which precision a machine happens to be fast in.
    """

    def __init__(self, model: str | None, *, scorer: str, device: str = "auto", dtype: str = "float32") -> None:
        self._name, self._scorer, self._device, self._dtype = model, scorer, device, dtype
        self._located: LocatedModel | None = None
        self._loaded: tuple[Any, Any] | None = None

    def spec(self) -> ModelSpec:
        """The model's card, made up for a directory or a hub id.

        Raises:
            ModelError: no model was named.
            UsageError: there is no such model.
        """
        from halueval.registry import Registry

        if not self._name:
            raise ModelError(
                f"consistency scorer {self._scorer!r} needs a model: give the option `model`, a directory with "
                "safetensors, a hub id or the name of a card"
            )
        return Registry().model(self._name)

    @property
    def located(self) -> LocatedModel:
        """The model's files and their digest.

        Raises:
            ModelError, SourceError, UsageError: they cannot be had.
        """
        from halueval.backends.loading import locate

        if self._located is None:
            self._located = locate(self.spec(), adapter=None)
        return self._located

    @property
    def device(self) -> str:
        """The device, resolved."""
        from halueval.backends.devices import resolve_device

        return resolve_device(self._device)

    @property
    def dtype(self) -> str:
        """The name of the precision, resolved."""
        from halueval.backends.devices import resolve_dtype

        return resolve_dtype(self._dtype, self.spec(), self.device)

    def load(self) -> tuple[Any, Any]:
        """Model and tokenizer of transformers.

        Raises:
            ModelError: the files do not make a model.
        """
        from halueval.backends.loading import load
        from halueval.engine.products import pack_products

        if self._loaded is None:
            model, tokenizer = load(self.located, device=self.device, dtype=self.dtype, trust_remote_code=False)
            if tokenizer.pad_token_id is None:
                raise ModelError(f"model {self._name}: its tokenizer has no padding token, which batches need")
            pack_products(model)
            self._loaded = model, tokenizer
        return self._loaded

    def output_names(self) -> tuple[str, ...]:
        """What the model's head calls its outputs, in their order: by `config.json`, which a card may translate.

        Nothing is loaded. A file without names means what transformers takes it for: `LABEL_0`, `LABEL_1` …

        Raises:
            ModelError: the model has no classification head, or the file's names are none.
            SourceError, UsageError: its files cannot be had.
        """
        from halueval.backends.fingerprint import read_json

        if self.located.architecture != "classifier":
            raise ModelError(
                f"model {self._name}: is {self.located.architecture}; needed is a sequence-classification model "
                "(…ForSequenceClassification)"
            )
        path = self.located.directory / "config.json"
        config = read_json(path)
        names, size = config.get("id2label"), config.get("num_labels", 2)
        if names is None and isinstance(size, int):
            names = {str(i): f"LABEL_{i}" for i in range(size)}
        if not isinstance(names, dict) or set(names) != {str(i) for i in range(len(names))}:
            raise ModelError(f"{path}: `id2label` must name the outputs 0, 1 … of the model's head")
        given = self.spec().labels
        return tuple(given.get(str(names[str(i)]), str(names[str(i)])) for i in range(len(names)))

    def identity(self) -> dict[str, str | int]:
        """What determines its answers: digests of its files, which are found but not loaded, and the precision.

        What a card says of the head's outputs is part of it too.

        Raises:
            ModelError, SourceError, UsageError: no model was named, or its files cannot be had.
        """
        known = self.located.identity(self.dtype)
        labels = self.spec().labels
        said = {"card_labels": ",".join(f"{name}={meaning}" for name, meaning in sorted(labels.items()))}
        return {**known.digests(), "dtype": known.dtype, **(said if labels else {})}


def in_batches(
    encoded: Sequence[Encoded | FailedResponse],
    forward: Forward,
    device: torch.device,
    batch_size: int | None = None,
) -> list[Scored | FailedResponse]:
    """Run inputs through a model, longest first, in halves where memory runs out.

    Args:
        encoded: inputs; one that could not be encoded is handed through.
        forward: runs inputs together.
        device: of the model.
        batch_size: inputs of a pass; None for as many as `BATCH_TOKENS` of the device hold.

    Returns:
        For each input, in order, its probabilities, or why it has none: memory ran out with it alone, or they are
        not finite.
    """
    out: list[Scored | FailedResponse | None] = [e if isinstance(e, FailedResponse) else None for e in encoded]
    todo = [(i, e) for i, e in enumerate(encoded) if isinstance(e, Encoded)]
    tokens = BATCH_TOKENS.get(device.type, ACCELERATOR_TOKENS)
    budget = Budget(tokens=tokens, scored=2**62).limited(None, batch_size)
    for part in plan_batches([Cost(len(e.ids["input_ids"]), 1) for _, e in todo], budget):
        batch = [todo[k] for k in part]
        rows = run_halving(lambda items: forward([e.ids for _, e in items]), batch, device)
        for (i, e), row in zip(batch, rows, strict=True):
            if isinstance(row, FailedResponse):
                out[i] = row
            elif all(math.isfinite(p) for p in row):
                out[i] = Scored(tuple(row), e.truncated)
            else:
                out[i] = FailedResponse(NOT_FINITE)
    return [found for found in out if found is not None]
