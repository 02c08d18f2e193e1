"""One fine-tuning from recipe to model card: resumable, the same for a seed, and never half-written."""

from __future__ import annotations

import time
from pathlib import Path

from halueval.config import ModelSpec
from halueval.finetune.examples import example_lines
from halueval.finetune.prepare import prepare
from halueval.finetune.progress import SilentTraining, TrainingProgress
from halueval.finetune.recipe import Recipe
from halueval.finetune.record import TRAIN_FILE, FinetuneRecord
from halueval.finetune.session import Training
from halueval.finetune.workspace import Workspace
from halueval.registry import Registry
from halueval.source import Progress
from halueval.store import write_atomically


def finetune(
    recipe: Recipe,
    model: str | ModelSpec | None,
    output: Path,
    *,
    seed: int | None = None,
    device: str = "auto",
    allow_overlap: bool = False,
    fresh: bool = False,
    registry: Registry | None = None,
    progress: TrainingProgress | None = None,
    fetch_progress: Progress | None = None,
    trust_remote_code: bool = False,
) -> FinetuneRecord:
    """Fine-tune a model by a recipe.

    The same call again goes on from the last whole checkpoint, or returns the record of what is already done.

    Args:
        recipe: what to train on and how.
        model: card, its name, a directory or a hub id; None takes the recipe's.
        output: directory of the result; it ends in weights, model card, record and training examples.
        seed: takes the place of the recipe's.
        device: `auto`, `cpu`, `cuda` or `mps`.
        allow_overlap: train although items are also evaluated.
        fresh: start over instead of going on.
        registry: where models and tasks are looked up.
        progress: told of the steps.
        fetch_progress: told of downloads.
        trust_remote_code: run Python code that comes with a model.

    Returns:
        The record, also in `output/finetune.json`.

    Raises:
        UsageError: no such model or task, or an output directory that holds something else.
        DataError: data that is empty, too long for the model, or also evaluated.
        TrainingError: the loss or gradient is not finite; the last checkpoint stays.
        IncompleteError: no space for a checkpoint; what there is stays.
    """
    started = time.perf_counter()
    found = registry or Registry()
    told = progress or SilentTraining()
    prepared = prepare(recipe, model, found, seed, device, allow_overlap, fetch_progress)
    with Workspace(output, prepared.identity, fresh=fresh).opened() as done:
        if done is not None:
            return done
        write_atomically(output / TRAIN_FILE, example_lines(prepared.training))
        return Training(prepared, output, told, trust_remote_code).run(started)
