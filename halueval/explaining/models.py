"""The weights that a run was made with: found again by their digest, or the reason why they are not at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halueval.backends.fingerprint import adapter_sha256
from halueval.backends.loading import LocatedModel, locate
from halueval.errors import HaluevalError, UsageError
from halueval.registry import Registry


@dataclass(frozen=True, slots=True)
class Found:
    """A model's files, or why there are none."""

    located: LocatedModel | None
    reason: str

    @property
    def directory(self) -> Path | None:
        """Where the user's own files of it are: the adapter's directory, or that of the weights."""
        if self.located is None:
            return None
        return self.located.adapter or self.located.directory


def find_model(
    model: Mapping[str, Any], side: str, registry: Registry, *, given: str | None = None, adapter: Path | None = None
) -> Found:
    """Find the weights of a run.

    Args:
        model: `model` of `run.json`.
        side: `base` or `candidate`, for the messages.
        registry: where cards are looked up.
        given: card, directory or hub id by the user; otherwise the run's own name and source are tried.
        adapter: PEFT adapter by the user.

    Raises:
        UsageError: what the user gave holds other weights than the run's.
        ModelError, SourceError, ConfigError: what the user gave cannot be read.
    """
    option = f"--{side}-model"
    if given is not None or adapter is not None:
        name = given if given is not None else next(_names(model))
        located = locate(registry.model(name), adapter=adapter)
        if (problem := _other(model, located)) is not None:
            raise UsageError(f"{option} {name}: {problem}; name the model that the {side}'s runs were made with")
        return Found(located, "")
    tried = []
    for name in _names(model):
        try:
            located = locate(registry.model(name), adapter=None)
            problem = _other(model, located)
        except HaluevalError as error:
            problem = str(error)
        else:
            if problem is None:
                return Found(located, "")
        tried.append(f"{name}: {problem}")
    why = tried[0] if tried else "the run names no source"
    return Found(None, f"the {side}'s weights are not at hand ({why}); name them with {option}")


def _names(model: Mapping[str, Any]) -> Iterator[str]:
    """What may lead to the weights: the source, where it is a path, and the card's name."""
    source, name = model.get("source") or "", str(model.get("name") or "")
    if source and ":" not in source and Path(source).exists() and Path(source).resolve() != Path.cwd():
        yield source
    if name:
        yield name.partition("+")[0]


def _other(model: Mapping[str, Any], located: LocatedModel) -> str | None:
    """What differs from the run's weights; None where they are the same."""
    if located.weights_sha256 != model["weights_sha256"]:
        return f"its weights ({located.weights_sha256[:12]}) are not those of the run ({model['weights_sha256'][:12]})"
    digest = None if located.adapter is None else adapter_sha256(located.adapter)
    if digest != model.get("adapter_sha256"):
        if digest is None:
            return "the run was made with an adapter, which is not named (--candidate-adapter)"
        return "its adapter is not the one of the run"
    return None
