"""What a fine-tuning leaves behind: a record, and a model card that `halueval run` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from halueval.errors import DataError
from halueval.registry import MODEL_CARD
from halueval.store import write_atomically

RECORD_FILE = "finetune.json"
TRAIN_FILE = "train.jsonl"
CHECKPOINTS = "checkpoints"
RECORD_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights on the way.

    Attributes:
        step: optimizer steps done.
        path: directory, which `halueval run --model` takes.
        epoch: passes over the data done, a fraction.
        loss: mean training loss of the steps since the checkpoint before, in nats a target token.
        development_loss: on the development part at that step, or None where it was not evaluated there.
    """

    step: int
    path: Path
    epoch: float
    loss: float | None = None
    development_loss: float | None = None


@dataclass(frozen=True, slots=True)
class FinetuneRecord:
    """A finished fine-tuning.

    Attributes:
        path: the output directory, which `halueval run --model` takes.
        name: name of the model in results.
        base: card that was fine-tuned, and the digest of its weights.
        method: full or lora.
        recipe: name of the recipe.
        recipe_hash: see `Recipe.hash`.
        data_sha256: digest of the training examples as trained on, in order.
        seed: of order, dropout, adapters and mitigations.
        steps: optimizer steps done.
        epochs: passes over the data done, a fraction.
        examples: number of training examples.
        loss: mean training loss of the last epoch's steps, in nats a target token.
        weights_sha256: digest of the final weights' file or files; of an adapter, of the adapter.
        checkpoints: those kept, in order of step.
        best_step: step whose weights are the final ones, where early stopping chose; else None.
        stopped_early: whether early stopping ended it.
        document: everything, as in `finetune.json`.
    """

    path: Path
    name: str
    base: str
    base_weights_sha256: str
    method: str
    recipe: str
    recipe_hash: str
    data_sha256: str
    seed: int
    steps: int
    epochs: float
    examples: int
    loss: float | None
    weights_sha256: str
    checkpoints: tuple[Checkpoint, ...]
    best_step: int | None = None
    stopped_early: bool = False
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def write(self, extra: Mapping[str, Any]) -> FinetuneRecord:
        """Write `finetune.json` with `extra` beside the attributes; its presence means that all is whole."""
        values = {key: value for key, value in asdict(self).items() if key not in ("path", "document")}
        values["checkpoints"] = [
            {**asdict(checkpoint), "path": checkpoint.path.relative_to(self.path).as_posix()}
            for checkpoint in self.checkpoints
        ]
        document = {"schema_version": RECORD_SCHEMA_VERSION, **values, **extra}
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
        write_atomically(self.path / RECORD_FILE, [text.encode(), b"\n"])
        return load_record(self.path)


def load_record(path: Path) -> FinetuneRecord:
    """Read a finished fine-tuning.

    Args:
        path: its output directory.

    Raises:
        DataError: none there, unfinished, or of another schema version.
    """
    file = path / RECORD_FILE
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = "the fine-tuning is unfinished: repeat its command" if (path / CHECKPOINTS).is_dir() else "none there"
        raise DataError(f"{path}: holds no {RECORD_FILE}; {hint}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != RECORD_SCHEMA_VERSION:
        raise DataError(f"{file}: schema version {version!r}; this halueval reads version {RECORD_SCHEMA_VERSION}")
    names = set(FinetuneRecord.__dataclass_fields__) - {"path", "checkpoints", "document"}
    checkpoints = tuple(Checkpoint(**{**entry, "path": path / entry["path"]}) for entry in document["checkpoints"])
    values = {name: document[name] for name in names}
    return FinetuneRecord(path=path, checkpoints=checkpoints, document=document, **values)


def write_card(directory: Path, card: Mapping[str, Any]) -> None:
    """Write the model card of a directory, whole or not at all."""
    text = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True, width=110)
    write_atomically(directory / MODEL_CARD, [text.encode()])
