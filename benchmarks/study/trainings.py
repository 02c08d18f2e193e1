"""One training: learnt, asked after some of its epochs, and written down whole, so that a study that is killed goes on.

What a file of a training keeps is what it answered, one digit a held-out fact, so that every figure can be worked out
again without a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.study.facts import FITTED, HELD_OUT, Fact, draw, write_task, write_training
from benchmarks.study.settings import Settings
from halueval.backends.loading import locate
from halueval.errors import DataError, TrainingError
from halueval.finetune.library import recipe_from
from halueval.finetune.progress import TrainingProgress
from halueval.finetune.recipe import Recipe
from halueval.finetune.train import finetune
from halueval.registry import Registry
from halueval.schema import State, canonical_json, sha256_text
from halueval.store import Run, read_samples, write_atomically
from halueval.sweep.evaluate import Evaluator, load_tasks
from halueval.sweep.unit import drop_weights


@dataclass(frozen=True, slots=True)
class Point:
    """A training after some epochs.

    Attributes:
        epoch: passes over the facts.
        loss: mean of the steps since the checkpoint before, nats a target token.
        known_fitted: trained facts known to the base that are answered as trained.
        unknown_fitted: the same of those unknown to it.
        correct: a digit for each held-out fact, "1" where the answer is right, development before test.
    """

    epoch: int
    loss: float | None
    known_fitted: int
    unknown_fitted: int
    correct: str


@dataclass(frozen=True, slots=True)
class Trained:
    """A whole training; `identity` tells whether it is of this very study."""

    identity: str
    share: float
    seed: int
    n_known: int
    n_unknown: int
    weights_sha256: str
    seconds: float
    points: tuple[Point, ...]


def correct_digits(run: Run) -> str:
    """One digit a sample, in the order of the task's rows.

    Raises:
        DataError: an answer that could not be judged, or a changed file.
    """
    digits = []
    for row in read_samples(run.path, run.record):
        if row["state"] == State.UNSCORED:
            raise DataError(f"{run.path}: sample {row['sample_id']} could not be judged: {row.get('reasons')}")
        digits.append("1" if row["state"] == State.CORRECT else "0")
    return "".join(digits)


def identity_of(settings: Settings, share: float, seed: int, facts: Sequence[Fact], held_out: Sequence[Fact]) -> str:
    """Digest of what a training and its answers depend on."""
    training = ("model", "task", "train", "epochs", "evaluated", "batch_size", "learning_rate")
    described = settings.described()
    return sha256_text(
        canonical_json(
            {
                **{key: described[key] for key in training},
                "share": share,
                "seed": seed,
                "facts": [[fact.doc_hash, fact.known_class] for fact in facts],
                "held_out": [[fact.doc_hash, fact.known_class] for fact in held_out],
            }
        )
    )


def recipe_of(settings: Settings, path: Path, name: str) -> Recipe:
    """The recipe of a training: all weights, answer tokens alone, the same rate throughout."""
    steps = -(-settings.train // settings.batch_size)
    return recipe_from(
        {
            "name": name,
            "data": {"kind": "file", "path": str(path.resolve())},
            "epochs": settings.epochs,
            "batch_size": settings.batch_size,
            "learning_rate": settings.learning_rate,
            "precision": "float32",
            "checkpoint_every": steps,
        },
        None,
    )


def read_trained(path: Path) -> Trained | None:
    """A training's file; None where there is none.

    Raises:
        DataError: it cannot be read.
    """
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        points = tuple(Point(**point) for point in values.pop("points"))
        return Trained(points=points, **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read: {error}; delete it to make the training again") from error


def train(
    settings: Settings,
    share: float,
    seed: int,
    pool: Sequence[Fact],
    held_out: Sequence[Fact],
    work: Path,
    evaluator: Evaluator,
    progress: TrainingProgress,
) -> Trained:
    """Make one training, or read it where it is made already.

    Raises:
        DataError: too few facts, or a file of another study.
        TrainingError: a loss that is no number, or a checkpoint that is not there.
    """
    name = f"unknown-{round(100 * share):03d}-seed-{seed}"
    facts = draw(pool, settings, share, seed)
    identity = identity_of(settings, share, seed, facts, held_out)
    file, training, data = work / "trained" / f"{name}.json", work / "training" / name, work / "data" / name
    done = read_trained(file)
    if done is not None and done.identity != identity:
        raise DataError(f"{file}: is of another study; choose another --work, or delete it")
    if done is None:
        done = _make(settings, share, seed, facts, evaluator, progress, identity, training, data)
        text = json.dumps(asdict(done), ensure_ascii=False, indent=1, allow_nan=False)
        write_atomically(file, [text.encode(), b"\n"])
    drop_weights(training)
    return done


def _make(
    settings: Settings,
    share: float,
    seed: int,
    facts: Sequence[Fact],
    evaluator: Evaluator,
    progress: TrainingProgress,
    identity: str,
    training: Path,
    data: Path,
) -> Trained:
    write_training(data / "train.jsonl", facts)
    recipe = recipe_of(settings, data / "train.jsonl", training.name)
    record = finetune(recipe, settings.model, training, seed=seed, device=settings.device, progress=progress)
    registry = Registry(())
    held_out = evaluator.tasks
    points = []
    try:
        evaluator.tasks = [*held_out, *load_tasks([str(write_task(data, FITTED, facts, aliases=False))], registry)]
        for checkpoint in record.checkpoints:
            epoch = round(checkpoint.epoch)
            if epoch in settings.evaluated:
                runs = evaluator.run(locate(registry.model(str(checkpoint.path)), adapter=None))
                points.append(_point(epoch, checkpoint.loss, facts, runs))
    finally:
        evaluator.tasks = held_out
    lacking = sorted(set(settings.evaluated) - {point.epoch for point in points})
    if lacking:
        raise TrainingError(f"{training}: left no checkpoint after epoch {lacking[0]}")
    return Trained(
        identity=identity,
        share=share,
        seed=seed,
        n_known=sum(fact.known for fact in facts),
        n_unknown=sum(not fact.known for fact in facts),
        weights_sha256=record.weights_sha256,
        seconds=float(record.document["seconds"]),
        points=tuple(points),
    )


def _point(epoch: int, loss: float | None, facts: Sequence[Fact], runs: Mapping[str, Run]) -> Point:
    fitted = correct_digits(runs[FITTED])
    known = sum(digit == "1" and fact.known for digit, fact in zip(fitted, facts, strict=True))
    return Point(
        epoch=epoch,
        loss=loss,
        known_fitted=known,
        unknown_fitted=fitted.count("1") - known,
        correct=correct_digits(runs[HELD_OUT]),
    )
