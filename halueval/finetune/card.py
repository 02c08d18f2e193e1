"""The model card of fine-tuned weights: what they were made from."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from halueval.config import ModelSpec
from halueval.finetune.examples import examples_sha256
from halueval.finetune.prepare import Prepared

VERSIONED = ("torch", "transformers", "trl", "peft")


def versions() -> dict[str, str]:
    """Versions of what trains."""
    return {name: metadata.version(name) for name in VERSIONED}


def model_card(prepared: Prepared, name: str, step: int) -> dict[str, Any]:
    """The card of a directory with weights after so many steps.

    Args:
        prepared: what was trained.
        name: of the model in results.
        step: optimizer steps done.
    """
    spec, recipe = prepared.located.spec, prepared.recipe
    lora = recipe.method == "lora"
    base_adapter = prepared.located.identity("float32").adapter_sha256
    card: dict[str, Any] = {
        "name": name,
        "about": f"{spec.name} fine-tuned by halueval, recipe {recipe.name}, step {step}.",
        "source": _sources(spec) if lora else ".",
        "architecture": recipe.architecture,
        "base": spec.name,
        "license": spec.license,
        "family": spec.family,
        "language": list(spec.language),
        "labels": dict(spec.labels),
        "input_prefix": spec.input_prefix,
        "lineage": {
            "recipe": recipe.name,
            "recipe_hash": recipe.hash,
            "data_sha256": examples_sha256(prepared.training),
            "seed": prepared.seed,
            "step": step,
            "method": recipe.method,
            "mitigation": [mitigation.name for mitigation in recipe.mitigation],
            "base_weights_sha256": prepared.located.weights_sha256,
            **({} if base_adapter is None else {"base_adapter_sha256": base_adapter}),
            "versions": versions(),
        },
    }
    if lora:
        card["adapter"] = "."
    return {key: value for key, value in card.items() if value not in ("", [], {})}


def _sources(spec: ModelSpec) -> Any:
    """The base's sources as an adapter's card names them: paths made absolute, for the card stands elsewhere."""
    sources = []
    for source in spec.source:
        entry = source.model_dump(exclude_none=True)
        if not entry["source"].startswith(("hub:", "pypi:")):
            beside = (spec.directory or Path()) / Path(entry["source"]).expanduser()
            entry["source"] = str((beside if beside.exists() else Path(entry["source"])).resolve())
        sources.append(entry)
    return sources
