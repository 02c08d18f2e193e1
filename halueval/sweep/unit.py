"""One arm with one seed: trained, evaluated at every checkpoint, written down.

A unit is whole or it is not there: its file is written last, and a sweep that was killed goes on with the first unit
that has none. Training and evaluation inside it go on from their own checkpoints and journals.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halueval.backends.loading import LocatedModel, locate
from halueval.errors import DataError, HaluevalError, IncompleteError, SourceError, UsageError
from halueval.finetune.prepare import Prepared
from halueval.finetune.record import CHECKPOINTS, RECORD_FILE, FinetuneRecord
from halueval.finetune.workspace import IDENTITY_FILE
from halueval.registry import Registry
from halueval.schema import canonical_json, sha256_text
from halueval.store import Run, write_atomically

UNIT_SCHEMA_VERSION = 1
WEIGHT_ENDINGS = (".safetensors", ".safetensors.index.json")


@dataclass(frozen=True, slots=True)
class Unit:
    """A finished unit.

    Attributes:
        arm: name of the arm.
        seed: of the training.
        identity: what makes it the same unit when a sweep goes on.
        steps: optimizer steps of each checkpoint, ascending.
        runs: for each checkpoint its run directories by task, relative to the sweep's directory.
        weights_sha256: digest of the final weights.
        best_step: step whose weights are the final ones, where early stopping chose; else None.
        stopped_early: whether early stopping ended the training.
        seconds: of the training.
        examples: training examples, mitigations applied.
    """

    arm: str
    seed: int
    identity: str
    steps: tuple[int, ...]
    runs: tuple[Mapping[str, str], ...]
    weights_sha256: str
    best_step: int | None
    stopped_early: bool
    seconds: float
    examples: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A unit that could not be made, and why."""

    arm: str
    seed: int
    reason: str


def unit_name(arm: str, seed: int) -> str:
    """Name of the directory of a unit's training, of its file, and of its model in results."""
    return f"{arm}-seed-{seed}"


def unit_identity(prepared: Prepared, evaluated: Mapping[str, Any]) -> str:
    """Digest of what training and evaluation of a unit depend on."""
    return sha256_text(canonical_json({"training": prepared.identity, "evaluation": dict(evaluated)}))


def read_unit(path: Path) -> Unit | None:
    """A unit's file; None where there is none.

    Raises:
        DataError: not readable, or of another version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}; delete it to make the unit again") from error
    version = values.pop("schema_version", None) if isinstance(values, dict) else None
    if version != UNIT_SCHEMA_VERSION:
        raise DataError(f"{path}: schema version {version!r}; this halueval reads version {UNIT_SCHEMA_VERSION}")
    return Unit(**{**values, "steps": tuple(values["steps"]), "runs": tuple(values["runs"])})


def write_unit(path: Path, unit: Unit) -> None:
    """Write a unit's file, whole or not at all."""
    values = {name: getattr(unit, name) for name in Unit.__dataclass_fields__}
    text = json.dumps({"schema_version": UNIT_SCHEMA_VERSION, **values}, ensure_ascii=False, indent=1)
    write_atomically(path, [text.encode(), b"\n"])


def evaluate_checkpoints(
    record: FinetuneRecord, registry: Registry, run: Callable[[LocatedModel], Mapping[str, Run]], home: Path
) -> tuple[tuple[int, ...], tuple[Mapping[str, str], ...]]:
    """Run the tasks on every checkpoint of a fine-tuning.

    Returns:
        Steps, and for each the run directories by task, relative to `home`.
    """
    steps, runs = [], []
    for checkpoint in record.checkpoints:
        made = run(locate(registry.model(str(checkpoint.path)), adapter=None))
        steps.append(checkpoint.step)
        runs.append({task: one.path.relative_to(home).as_posix() for task, one in made.items()})
    return tuple(steps), tuple(runs)


def drop_weights(training: Path) -> None:
    """Delete the weights of a training that was evaluated; records, cards and examples stay."""
    if (training / CHECKPOINTS).is_dir():
        shutil.rmtree(training / CHECKPOINTS)
    for path in training.iterdir() if training.is_dir() else []:
        if path.name.endswith(WEIGHT_ENDINGS):
            path.unlink()


def refuse_other_training(training: Path, prepared: Prepared, unit: Path) -> None:
    """Refuse a directory that this version of the study cannot go on in, before anything is trained.

    Args:
        training: the directory of a unit's training.
        prepared: what is to be trained there, with its seed.
        unit: the unit's file.

    Raises:
        UsageError: names the directory, and what is to be deleted.
    """
    file = training / IDENTITY_FILE
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read: {error}; delete {training} to train again") from error
    wanted = prepared.identity
    if begun != wanted:
        also = f" and {unit}" if unit.exists() else ""
        found = begun if isinstance(begun, dict) else {}
        other = ", ".join(sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key)))
        raise UsageError(
            f"{training}: holds a training of another version of the study (other {other}); delete it{also}, or choose "
            "another --output"
        )
    done = (training / RECORD_FILE).is_file() and not unit.exists()
    if done and not any(path.name.endswith(WEIGHT_ENDINGS) for path in training.iterdir()):
        raise UsageError(f"{training}: its weights were deleted, and {unit} is not there; delete it to train again")


def is_fatal(error: HaluevalError, training: Path | None = None) -> bool:
    """Whether going on makes no sense: an error that would meet every unit, or one of what lies in its directory.

    The first are no space and nothing to fetch; of the second kind are errors that name `training`: it is not the arm
    that is at fault.
    """
    if isinstance(error, IncompleteError | SourceError):
        return True
    if isinstance(error, UsageError) and "cannot write" in str(error):
        return True
    return training is not None and isinstance(error, UsageError | DataError) and str(training) in str(error)
