"""The study from its labels to its record; what was done is not done again."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from benchmarks.study.facts import HELD_OUT, Fact, draw, read_facts, split, write_task
from benchmarks.study.law import HeldOut, Replicates, curves, digits, law, once_formed, stopping
from benchmarks.study.settings import Settings
from benchmarks.study.trainings import Trained, correct_digits, train
from halueval.backends.devices import resolve_device, resolve_dtype
from halueval.backends.loading import locate
from halueval.errors import DataError, UsageError
from halueval.finetune.progress import TrainingProgress
from halueval.job import Observer, RunSettings
from halueval.knowledge import ProbeOptions, probe_model
from halueval.known import KNOWN_CLASSES, LABELS_FILE, LabelHeader, read_labels
from halueval.probing.settings import ProbeSettings
from halueval.registry import Registry
from halueval.store import write_atomically
from halueval.sweep.evaluate import Evaluator, load_tasks

STUDY_SCHEMA_VERSION = 1
OUTCOMES = ("known", "unknown", "all")


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of what is going on."""

    say: Callable[[str], None]
    observer: Callable[[], Observer]
    training: Callable[[], TrainingProgress]


def study(settings: Settings, work: Path, labels: Path | None, watch: Watch) -> dict[str, Any]:
    """Probe, train, ask, and work out the law.

    Args:
        settings: how large.
        work: directory of everything that is kept on the way.
        labels: of an earlier probe of the same base; None probes.
        watch: is told of the progress.

    Raises:
        HaluevalError: one of its subclasses, with one clear line; what was finished is kept.
    """
    work.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(work / ".lock", timeout=0):
            return _study(settings, work, labels, watch)
    except filelock.Timeout as error:
        raise UsageError(f"--work {work}: another study is at work there") from error


def _study(settings: Settings, work: Path, labels: Path | None, watch: Watch) -> dict[str, Any]:
    base = locate(Registry(()).model(settings.model), adapter=None)
    if labels is None:
        watch.say(f"what {settings.model} knows of {settings.facts} facts of {settings.task}")
        labels = _probe(settings, work, watch)
    header, known = read_labels(labels)
    dtype = resolve_dtype("float32", base.spec, resolve_device(settings.device))
    _check(header, settings, base.identity(dtype).weights_sha256, labels)
    facts = read_facts(settings, known)
    parts = split(facts)
    held_out = parts.held_out
    wanted = [(share, seed) for seed in settings.seeds for share in settings.shares]
    for share, seed in wanted:  # too few facts of a kind are told before anything is trained
        draw(parts.pool, settings, share, seed)
    task = write_task(work / "data", HELD_OUT, held_out, aliases=True)
    evaluator = Evaluator(
        base,
        load_tasks([str(task)], Registry(())),
        RunSettings(output=work / "results", n_resamples=100),
        device=settings.device,
        observer=watch.observer(),
    )
    evaluator.dtype = dtype  # the same numbers on every processor
    watch.say(f"{settings.model} as it is on {len(held_out)} held-out facts")
    before = correct_digits(evaluator.run(base)[HELD_OUT])
    trained: list[Trained] = []
    for number, (share, seed) in enumerate(wanted, 1):
        watch.say(f"training {number} of {len(wanted)}: {share:.0%} unknown, seed {seed}")
        trained.append(train(settings, share, seed, parts.pool, held_out, work, evaluator, watch.training()))
    arrays = HeldOut(
        known=np.array([fact.known for fact in held_out]),
        development=np.arange(len(held_out)) < len(parts.development),
    )
    return make_record(settings, header, facts, trained, arrays, before)


def _probe(settings: Settings, work: Path, watch: Watch) -> Path:
    asked = ProbeSettings(
        output=work / "results",
        limit=settings.facts,
        num_prompts=settings.num_prompts,
        num_draws=settings.num_draws,
    )
    options = ProbeOptions(settings=asked, device=settings.device, dtype="float32")
    return probe_model(settings.model, settings.task, options, watch.observer()).directory / LABELS_FILE


def _check(header: LabelHeader, settings: Settings, weights: str, path: Path) -> None:
    task = Registry(()).task(settings.task).task
    if header.task != task or header.weights_sha256 != weights or header.adapter_sha256 is not None:
        raise DataError(
            f"{path}: labels of {header.task} by {header.model} ({header.weights_sha256[:12]}…); the study needs those "
            f"of {task} by {settings.model} ({weights[:12]}…)"
        )


def make_record(
    settings: Settings,
    header: LabelHeader,
    facts: Sequence[Fact],
    trained: Sequence[Trained],
    held_out: HeldOut,
    before: str,
) -> dict[str, Any]:
    """Everything that is known in the end.

    Args:
        settings: how large the study was.
        header: of the labels.
        facts: all that were labelled.
        trained: the trainings.
        held_out: the held-out facts.
        before: the base's own answers to them, a digit each.
    """
    drawn = Replicates(trained, len(held_out.known), settings.n_resamples)
    outcomes = {}
    for which in OUTCOMES:
        if held_out.test(which).any():
            at_start = 100 * drawn.accuracy(digits(before)[None], held_out.test(which))[:, 0]
            outcomes[which] = {
                "base": asdict(drawn.estimate(at_start)),
                "law": law(trained, held_out, which, drawn),
                "law_once_formed": law(once_formed(trained), held_out, which, drawn),
                "stopping": stopping(trained, held_out, which, drawn),
                "curves": curves(trained, held_out, which, drawn),
            }
    return {
        "schema_version": STUDY_SCHEMA_VERSION,
        "settings": settings.described(),
        "model": {"name": header.model, "weights_sha256": header.weights_sha256},
        "task": {"name": header.task, "task_hash": header.task_hash, "data_sha256": header.data_sha256},
        "probe": dict(header.settings),
        "facts": {
            "labelled": {name: sum(fact.known_class == name for fact in facts) for name in KNOWN_CLASSES},
            "for_training": len(facts) - len(held_out.known),
            "development": int(held_out.development.sum()),
            "test": {which: int(held_out.test(which).sum()) for which in OUTCOMES},
            "held_out_known": "".join("1" if known else "0" for known in held_out.known),
        },
        "before": before,
        "outcomes": outcomes,
        "training_seconds": sum(one.seconds for one in trained),
        "environment": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "transformers", "halueval")},
        },
        "trainings": [asdict(one) for one in trained],
    }


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write the record, whole or not at all."""
    text = json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(path, [text.encode(), b"\n"])


def read_record(path: Path) -> dict[str, Any]:
    """The record of a study.

    Raises:
        DataError: there is none, or it is of another version.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}; `make study` writes it") from error
    if not isinstance(record, dict) or record.get("schema_version") != STUDY_SCHEMA_VERSION:
        raise DataError(f"{path}: not a study of version {STUDY_SCHEMA_VERSION}; `make study` writes it anew")
    return record
