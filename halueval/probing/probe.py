"""Running a probe: answers, journalled as they come, to labels and figures, written whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from halueval import plan, provenance
from halueval.config import TaskSpec
from halueval.errors import DataError, IncompleteError
from halueval.inference import infer
from halueval.job import ModelHandle, Observer, RunSettings
from halueval.journal import Journal
from halueval.known import (
    LABELS_FILE,
    LABELS_SCHEMA_VERSION,
    KnownClass,
    KnownFact,
    LabelHeader,
    known_class,
    label_lines,
)
from halueval.probing.asking import GREEDY, Probe
from halueval.probing.figures import agreement, by_group, class_figures
from halueval.probing.settings import ProbeSettings
from halueval.schema import FailedResponse, Response, Sample, State
from halueval.scorers.state import judge
from halueval.store import write_atomically

PROBE_FILE = "probe.json"


@dataclass(frozen=True, slots=True)
class Probed:
    """A finished probe.

    Attributes:
        directory: with `labels.jsonl` and `probe.json`.
        record: everything in `probe.json`.
    """

    directory: Path
    record: dict[str, Any]


def run_probe(probe: Probe, model: ModelHandle, settings: ProbeSettings, observer: Observer) -> Probed:
    """Bring a probe to its end; one that is complete is read, one that was interrupted goes on.

    Raises:
        IncompleteError: some answers did not fit into memory even alone, or the disk is full; the rest is kept.
        DataError: a finished probe whose record cannot be read.
    """
    prepared = probe.prepared
    if not settings.fresh and (prepared.directory / PROBE_FILE).is_file():
        return read_probe(prepared.directory)
    started = datetime.now(UTC)
    asked = RunSettings(
        output=settings.output,
        batch_size=settings.batch_size,
        max_tokens_per_batch=settings.max_tokens_per_batch,
        chat=settings.chat,
    )
    if settings.fresh:
        (prepared.directory / PROBE_FILE).unlink(missing_ok=True)
    with Journal(prepared.journal) as journal:
        if settings.fresh:
            journal.clear()
        planning, _ = infer([prepared], model, {0: journal}, asked, observer)
        missing = sum(key not in journal.responses for key in prepared.keys)
        if missing:
            raise IncompleteError(
                f"{prepared.task.task}: {missing} of {len(prepared.keys)} answers did not fit into memory even alone; "
                "the rest is kept: repeat the command on a device with more memory"
            )
        right = [
            _right(prepared.task, sample, roles, journal.responses)
            for sample, roles in zip(prepared.samples, prepared.roles, strict=True)
        ]
        facts, halves, unlabelled = _labels(probe, right)
        if not facts:
            raise DataError(
                f"{prepared.task.task}: no fact has a class: {next(iter(unlabelled), 'the task has no rows')}"
            )
        identity = model.identity
        header = LabelHeader(
            model=identity.name,
            weights_sha256=identity.weights_sha256,
            adapter_sha256=identity.adapter_sha256,
            task=prepared.task.task,
            task_hash=prepared.identity["task_hash"],
            data_sha256=prepared.data.sha256,
            settings=settings.described(prepared.num_fewshot),
        )
        record = {
            "schema_version": LABELS_SCHEMA_VERSION,
            "probe_id": prepared.directory.name,
            "identity": prepared.identity,
            "model": identity.name,
            "task": prepared.task.task,
            "settings": dict(header.settings),
            "n_facts": len(facts),
            "unlabelled": unlabelled,
            "classes": class_figures(facts),
            "by_group": {key: by_group(facts, key) for key in prepared.task.group_by},
            "split_half": agreement(*halves, n_resamples=settings.n_resamples, seed=settings.seed),
            "engine": {
                **journal.accounting.as_dict(),
                "seconds": {
                    "load": round(model.load_seconds, 3),
                    "tokenise": round(planning, 3),
                    "infer": round(journal.seconds, 3),
                },
            },
            "environment": provenance.environment(journal.backend["device"]),
            "started_at": started.isoformat(timespec="seconds"),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    record["labels_sha256"] = write_atomically(prepared.directory / LABELS_FILE, label_lines(header, facts))
    text = json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(prepared.directory / PROBE_FILE, [text.encode("utf-8", "backslashreplace"), b"\n"])
    return Probed(prepared.directory, record)


def read_probe(directory: Path) -> Probed:
    """A finished probe.

    Raises:
        DataError: no finished probe, or one of another version.
    """
    path = directory / PROBE_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(record, dict) or record.get("schema_version") != LABELS_SCHEMA_VERSION:
        raise DataError(f"{path}: not a probe of version {LABELS_SCHEMA_VERSION}; repeat it with --fresh")
    return Probed(directory, record)


@dataclass(frozen=True, slots=True)
class _Right:
    """Which answers to one prompt are right; `failure` tells why one of them is no answer."""

    greedy: bool = False
    sampled: tuple[bool, ...] = ()
    failure: str | None = None


def _right(task: TaskSpec, sample: Sample, roles: Mapping[str, str], responses: Mapping[str, Response]) -> _Right:
    answers = {role: responses[key] for role, key in roles.items()}
    failure = next((answer.reason for answer in answers.values() if isinstance(answer, FailedResponse)), None)
    if failure is not None:
        return _Right(failure=failure)
    right = {role: _is_right(task, sample, answer) for role, answer in answers.items()}
    return _Right(right.pop(GREEDY), tuple(right.values()))


def _is_right(task: TaskSpec, sample: Sample, response: Response) -> bool:
    """Whether an answer is judged correct, as a run of the task judges it."""
    outcome = plan.assemble(task, sample, {plan.GENERATION: response}, {})
    judged = judge(task.kind, task.output_type, sample, outcome, task.language, task.abstention, task.grading)
    return judged.state is State.CORRECT


Halves = tuple[list[KnownClass], list[KnownClass]]


def _labels(probe: Probe, right: Sequence[_Right]) -> tuple[list[KnownFact], Halves, dict[str, int]]:
    """Labels of the facts, those from prompts of even and of odd number, and why some facts have none."""
    facts: list[KnownFact] = []
    halves: Halves = ([], [])
    unlabelled: Counter[str] = Counter()
    for sample, numbers in zip(probe.facts, probe.asked, strict=True):
        prompts = [right[i] for i in numbers]
        failure = next((prompt.failure for prompt in prompts if prompt.failure is not None), None)
        if failure is not None:
            unlabelled[failure] += 1
            continue
        *labelling, fresh = prompts
        facts.append(_fact(sample, labelling, fresh))
        for start, into in enumerate(halves):
            into.append(_class(labelling[start::2]))
    return facts, halves, dict(sorted(unlabelled.items()))


def _class(prompts: Sequence[_Right]) -> KnownClass:
    return known_class([p.greedy for p in prompts], [right for p in prompts for right in p.sampled])


def _fact(sample: Sample, prompts: Sequence[_Right], fresh: _Right) -> KnownFact:
    sampled = [right for prompt in prompts for right in prompt.sampled]
    return KnownFact(
        sample_id=sample.sample_id,
        doc_hash=sample.doc_hash,
        known_class=_class(prompts),
        p_greedy=sum(prompt.greedy for prompt in prompts) / len(prompts),
        p_sampled=sum(sampled) / len(sampled),
        n_prompts=len(prompts),
        n_sampled=len(sampled),
        fresh_correct=fresh.greedy,
        group=dict(sample.group),
    )
