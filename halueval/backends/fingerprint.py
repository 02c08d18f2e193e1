"""Digests of a model's content, computed from its files without loading it or importing torch.

A run is identified by what the weights *are*. A path or a hub name says nothing: other weights under the
same name must never be answered with this model's results.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from halueval.errors import ModelError
from halueval.schema import canonical_json, sha256_text
from halueval.source import file_sha256

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
VOCABULARY_FILES = TOKENIZER_FILES[:7]
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")

# Keys of config.json that change with the tool that wrote it and not with the model.
INCIDENTAL_CONFIG_KEYS = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


def _combine(digests: dict[str, str]) -> str:
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256(canonical_json(digests).encode()).hexdigest()


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a model directory, sorted by name.

    Raises:
        ModelError: there are none; says so when pickled weights lie there instead.
    """
    files = sorted(directory.glob("*.safetensors"))
    files = [f for f in files if not f.name.startswith("adapter_")]
    if files:
        index = directory / "model.safetensors.index.json"
        if index.is_file():
            _check_shards(index, {f.name for f in files})
        return files
    pickles = sorted(p.name for p in directory.iterdir() if p.suffix in PICKLE_SUFFIXES)
    if pickles:
        raise ModelError(
            f"{directory}: holds only pickled weights ({pickles[0]}); loading a pickle can run any code, so "
            "halueval reads safetensors or GGUF: save the model with save_pretrained() of a current transformers"
        )
    raise ModelError(f"{directory}: no weights; expected model.safetensors (or a .gguf file)")


def _check_shards(index: Path, present: set[str]) -> None:
    try:
        needed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{index}: not a safetensors index; save the model again") from error
    missing = sorted(needed - present)
    if missing:
        raise ModelError(f"{index.parent}: the index names {missing[0]}, which is not there ({len(missing)} missing)")


def weights_sha256(directory: Path) -> str:
    """Digest of the weights' bytes; cached by size, modification time and inode of each file."""
    return _combine({path.name: file_sha256(path) for path in weight_files(directory)})


def adapter_sha256(directory: Path) -> str:
    """Digest of a PEFT adapter: its weights and its configuration.

    Raises:
        ModelError: not an adapter directory, or its weights are pickled.
    """
    config = directory / "adapter_config.json"
    weights = directory / "adapter_model.safetensors"
    if not config.is_file():
        raise ModelError(f"{directory}: not a PEFT adapter; expected adapter_config.json there")
    if not weights.is_file():
        pickled = directory / "adapter_model.bin"
        reason = "holds only pickled weights (adapter_model.bin), which could run any code" if pickled.is_file() else ""
        raise ModelError(f"{directory}: {reason or 'no weights'}; expected adapter_model.safetensors")
    return _combine({"weights": file_sha256(weights), "config": sha256_text(canonical_json(read_json(config)))})


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model directory.

    Raises:
        ModelError: missing, not UTF-8 JSON, or not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is not there; a model directory needs it") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: holds a {type(value).__name__}, not an object")
    return value


def config_sha256(directory: Path) -> str:
    """Digest of `config.json` without what merely tells which tool wrote it."""
    config = read_json(directory / "config.json")
    return sha256_text(canonical_json({k: v for k, v in config.items() if k not in INCIDENTAL_CONFIG_KEYS}))


def tokenizer_sha256(directory: Path) -> str:
    """Digest of the tokenizer's files.

    Raises:
        ModelError: the directory has no tokenizer.
    """
    if not any((directory / name).is_file() for name in VOCABULARY_FILES):
        raise ModelError(
            f"{directory}: has no tokenizer (looked for {', '.join(VOCABULARY_FILES[:5])} …); "
            "save it there with tokenizer.save_pretrained()"
        )
    found = {name: file_sha256(directory / name) for name in TOKENIZER_FILES if (directory / name).is_file()}
    return _combine(found)


def chat_template(directory: Path) -> str | None:
    """The default chat template of a model directory, or None where it has none."""
    own = directory / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    config = directory / "tokenizer_config.json"
    value = read_json(config).get("chat_template") if config.is_file() else None
    if isinstance(value, list):
        named = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None
