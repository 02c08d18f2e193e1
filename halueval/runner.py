"""One task by one model: samples, requests, responses, scores, figures, files.

    card + task → samples → prompts → requests → batches → responses, journalled as they come
    → states and scores → figures with intervals → `samples.jsonl`, then `run.json`

The model is loaded only when a response is missing. What was answered under the same identity is never
asked again, and nothing that was answered under another one is ever used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from halueval import plan, provenance
from halueval.backends.base import Backend, ChatSettings, ModelIdentity
from halueval.config import TaskSpec
from halueval.dataset import LoadedData
from halueval.engine.memory import OUT_OF_MEMORY
from halueval.errors import IncompleteError
from halueval.journal import Journal, request_key, todo
from halueval.prompt import build_samples
from halueval.registry import task_hash
from halueval.schema import (
    RUN_SCHEMA_VERSION,
    FailedResponse,
    GenerationRequest,
    Judged,
    MetricValue,
    Outcome,
    Request,
    Response,
    Sample,
    Score,
    State,
    canonical_json,
    sha256_text,
)
from halueval.scorers.aggregate import summarise
from halueval.scorers.base import Scorer, score_sample
from halueval.scorers.state import judge
from halueval.store import RUN_FILE, Run, load_run, write_run


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a user chooses for a run; defaults as on the command line."""

    output: Path = Path("results")
    limit: int | None = None
    num_fewshot: int | None = None
    seed: int = 0
    batch_size: int | None = None
    max_tokens_per_batch: int | None = None
    chat: ChatSettings = field(default_factory=ChatSettings)
    predict_only: bool = False
    fresh: bool = False
    n_resamples: int = 10_000


class Observer(Protocol):
    """Told what a run is doing; the command line draws a progress bar from it."""

    def begin(self, title: str, total: int, done: int) -> None:
        """`total` requests in all, of which `done` were answered before."""

    def advance(self, requests: int) -> None:
        """So many more were answered."""

    def end(self) -> None:
        """Inference of this task is over, or was interrupted."""


class SilentObserver:
    """Says nothing."""

    def begin(self, title: str, total: int, done: int) -> None:
        """Nothing."""

    def advance(self, requests: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


@dataclass(slots=True)
class ModelHandle:
    """A model that is loaded at the first need and then kept for the command's other tasks.

    `labels` maps a head's label names to words; `open_backend` loads the model.
    """

    identity: ModelIdentity
    open_backend: Callable[[], Backend]
    labels: Mapping[str, str] = field(default_factory=dict)
    backend: Backend | None = None
    load_seconds: float = 0.0

    def ready(self) -> Backend:
        """The loaded backend."""
        if self.backend is None:
            started = time.perf_counter()
            self.backend = self.open_backend()
            self.load_seconds = time.perf_counter() - started
        return self.backend


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task made ready for one model: samples, scorers, distinct requests, and who asked for which."""

    task: TaskSpec
    data: LoadedData
    samples: Sequence[Sample]
    scorers: Sequence[Scorer]
    requests: Sequence[Request]
    keys: Sequence[str]
    roles: Sequence[Mapping[str, str]]
    identity: dict[str, Any]
    directory: Path
    journal: Path
    num_fewshot: int
    prepare_seconds: float


def prepare(
    task: TaskSpec, data: LoadedData, scorers: Sequence[Scorer], model: ModelIdentity, settings: RunSettings
) -> Prepared:
    """Build samples and requests, and derive the run's identity from them.

    Raises:
        UsageError: the model has no way of doing this task.
        DataError: a row that does not fit the task.
    """
    started = time.perf_counter()
    plan.check_fit(task, model.architecture, model.name)
    num_fewshot = task.num_fewshot if settings.num_fewshot is None else settings.num_fewshot
    samples = build_samples(task, data, num_fewshot=num_fewshot, seed=settings.seed, limit=settings.limit)
    needs = plan.union_of_needs(scorers)
    requests: dict[str, Request] = {}
    roles: list[dict[str, str]] = []
    for sample in samples:
        wanted = plan.requests_for(
            task, sample, needs, model.architecture, templated=settings.chat.apply, seed=settings.seed
        )
        keyed = {role: request_key(request) for role, request in wanted.items()}
        requests.update((keyed[role], request) for role, request in wanted.items())
        roles.append(keyed)
    keys = sorted(requests)
    identity, responses_id = _identity(task, data, scorers, model, settings, num_fewshot, keys)
    run_id = sha256_text(canonical_json(identity))[:12]
    home = settings.output / model.name / task.task
    return Prepared(
        task=task,
        data=data,
        samples=samples,
        scorers=scorers,
        requests=[requests[key] for key in keys],
        keys=keys,
        roles=roles,
        identity=identity,
        directory=home / run_id,
        journal=home / "responses" / f"{responses_id}.jsonl",
        num_fewshot=num_fewshot,
        prepare_seconds=time.perf_counter() - started,
    )


def _identity(
    task: TaskSpec,
    data: LoadedData,
    scorers: Sequence[Scorer],
    model: ModelIdentity,
    settings: RunSettings,
    num_fewshot: int,
    keys: Sequence[str],
) -> tuple[dict[str, Any], str]:
    """The run's identity, and the name of its responses, which outlive a change of scorers."""
    described = ("name", "source", "base")
    digests = {k: v for k, v in asdict(model).items() if k not in described}
    system = settings.chat.system_instruction
    asked = {
        "schema_version": RUN_SCHEMA_VERSION,
        "model": digests,
        "apply_chat_template": settings.chat.apply,
        "system_instruction_sha256": None if system is None else sha256_text(system),
        "requests_sha256": sha256_text(canonical_json(keys)),
    }
    identity = {
        **asked,
        "task": task.task,
        "task_hash": task_hash(task),
        "data_sha256": data.sha256,
        "seed": settings.seed,
        "limit": settings.limit,
        "num_fewshot": num_fewshot,
        "generation": task.generation_kwargs.model_dump(),
        "n_resamples": settings.n_resamples,
        "scorers": {scorer.name: scorer.version for scorer in scorers},
    }
    return identity, sha256_text(canonical_json(asked))[:12]


def run_task(prepared: Prepared, model: ModelHandle, settings: RunSettings, observer: Observer) -> Run | None:
    """Bring a prepared task to its end.

    Returns:
        The finished run, or None with `predict_only`.

    Raises:
        IncompleteError: some requests did not fit into memory even alone, or the disk is full; the rest
            is kept.
        KeyboardInterrupt: passed on; everything answered so far is in the journal.
    """
    if settings.fresh:
        (prepared.directory / RUN_FILE).unlink(missing_ok=True)
    elif (prepared.directory / RUN_FILE).is_file() and not settings.predict_only:
        run = load_run(prepared.directory)
        if run.is_intact():
            return run
    started = datetime.now(UTC)
    with Journal(prepared.journal) as journal:
        if settings.fresh:
            journal.clear()
        planning = infer(prepared, model, journal, settings, observer)
        if settings.predict_only:
            return None
    return _score_and_store(prepared, model, settings, journal, planning, started)


def infer(prepared: Prepared, model: ModelHandle, journal: Journal, settings: RunSettings, observer: Observer) -> float:
    """Answer what the journal lacks, batch by batch.

    Returns:
        Seconds spent on tokenising and planning batches.
    """
    done = sum(key in journal.responses for key in prepared.keys)
    if done == len(prepared.keys):
        return 0.0
    backend = model.ready()
    observer.begin(f"{model.identity.name} · {prepared.task.task}", len(prepared.keys), done)
    budget = journal.begin(
        backend.budget(tokens=settings.max_tokens_per_batch, batch_size=settings.batch_size),
        {
            "device": backend.device,
            "num_parameters": backend.num_parameters,
            "warnings": list(backend.warnings),
        },
    )
    failed: set[str] = set()
    planning = 0.0
    try:
        for indices in _by_settings(prepared.requests):
            clock = time.perf_counter()
            planned = backend.plan([prepared.requests[i] for i in indices], budget)
            planning += time.perf_counter() - clock
            batches = [[indices[j] for j in batch] for batch in planned]
            for batch in todo(batches, prepared.keys, journal.responses):
                started = time.perf_counter()
                result = backend.run([prepared.requests[i] for i in batch])
                answers = dict(zip((prepared.keys[i] for i in batch), result.responses, strict=True))
                retry = {key for key, answer in answers.items() if answer == FailedResponse(OUT_OF_MEMORY)}
                failed |= retry
                kept = {key: answer for key, answer in answers.items() if key not in retry}
                fresh = sum(key not in journal.responses for key in kept)
                journal.add(kept, result.accounting, time.perf_counter() - started)
                observer.advance(fresh)
    finally:
        observer.end()
    if failed:
        raise IncompleteError(
            f"{prepared.task.task}: {len(failed)} of {len(prepared.keys)} requests did not fit into the memory of "
            f"{backend.device} even alone; the rest is kept: repeat the command on a device with more memory"
        )
    return planning


def _by_settings(requests: Sequence[Request]) -> list[list[int]]:
    """Indices of requests that may share a batch: one type, and for generation the same settings."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, request in enumerate(requests):
        kind: tuple[object, ...] = (type(request).__name__,)
        if isinstance(request, GenerationRequest):
            kind += (request.until, request.max_new_tokens, request.temperature, request.top_k, request.top_p)
        groups.setdefault(kind, []).append(i)
    return [groups[kind] for kind in sorted(groups, key=repr)]


@dataclass(frozen=True, slots=True)
class Scored:
    """Everything known about one sample after scoring."""

    sample: Sample
    outcome: Outcome
    judged: Judged
    scores: Mapping[str, Score]


def score_samples(prepared: Prepared, responses: Mapping[str, Response], labels: Mapping[str, str]) -> list[Scored]:
    """State and scores of every sample; what could not be scored carries its reason."""
    task = prepared.task
    for scorer in prepared.scorers:
        scorer.prepare(prepared.samples)
    scored = []
    for sample, roles in zip(prepared.samples, prepared.roles, strict=True):
        outcome = plan.assemble(task, sample, {role: responses[key] for role, key in roles.items()}, labels)
        judged = judge(task.kind, task.output_type, sample, outcome, task.language, task.abstention)
        scores = {s.name: score_sample(s, sample, outcome, judged) for s in prepared.scorers}
        scored.append(Scored(sample, outcome, judged, scores))
    return scored


def _score_and_store(
    prepared: Prepared,
    model: ModelHandle,
    settings: RunSettings,
    journal: Journal,
    planning: float,
    started: datetime,
) -> Run:
    clock = time.perf_counter()
    scored = score_samples(prepared, journal.responses, model.labels)
    metrics = summarise(
        prepared.scorers,
        {s.name: [item.scores[s.name] for item in scored] for s in prepared.scorers},
        [item.sample.cluster for item in scored],
        seed=settings.seed,
        n_resamples=settings.n_resamples,
    )
    seconds = {
        "load": model.load_seconds,
        "tokenise": prepared.prepare_seconds + planning,
        "infer": journal.seconds,
        "score": time.perf_counter() - clock,
    }
    backend = model.backend
    record = {
        "schema_version": RUN_SCHEMA_VERSION,
        "run_id": prepared.directory.name,
        "identity": prepared.identity,
        "model": _model_record(model, settings, journal.backend),
        "task": _task_record(prepared),
        "n_samples": _counts(prepared, scored),
        "metrics": {name: asdict(value) for name, value in _ordered(metrics, prepared.task)},
        "states": {state.value: sum(item.judged.state == state for item in scored) for state in State},
        "engine": {
            **journal.accounting.as_dict(),
            "peak_memory_bytes": backend.peak_memory_bytes() if backend else 0,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        },
        "warnings": journal.backend["warnings"],
        "environment": provenance.environment(journal.backend["device"]),
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    record = write_run(prepared.directory, record, (_row(item) for item in scored))
    return Run(prepared.directory, record)


def _ordered(metrics: Mapping[str, MetricValue], task: TaskSpec) -> list[tuple[str, MetricValue]]:
    """The primary figure first, the rest as the scorers stand."""
    return sorted(metrics.items(), key=lambda item: item[0] != task.primary_metric)


def _model_record(model: ModelHandle, settings: RunSettings, backend: Mapping[str, Any]) -> dict[str, Any]:
    known = asdict(model.identity)
    return {
        "name": known.pop("name"),
        **known,
        "apply_chat_template": settings.chat.apply,
        "num_parameters": backend["num_parameters"],
    }


def _task_record(prepared: Prepared) -> dict[str, Any]:
    task, data = prepared.task, prepared.data
    return {
        "name": task.task,
        "version": task.version,
        "hash": prepared.identity["task_hash"],
        "kind": task.kind.value,
        "language": task.language,
        "output_type": task.output_type.value,
        "data": {
            "source": data.source,
            "revision": data.revision,
            "split": data.split,
            "layout": data.layout,
            "sha256": data.sha256,
        },
        "num_fewshot": prepared.num_fewshot,
        "primary_metric": task.primary_metric,
        "metric_list": [prepared.scorers[i].name for i in range(len(task.metric_list))],
        "group_by": list(task.group_by),
    }


def _counts(prepared: Prepared, scored: Sequence[Scored]) -> dict[str, int]:
    unscored = sum(item.judged.state == State.UNSCORED for item in scored)
    return {
        "original": len(prepared.data.rows),
        "effective": len(scored),
        "scored": len(scored) - unscored,
        "unscored": unscored,
    }


def _row(item: Scored) -> dict[str, Any]:
    """One line of `samples.jsonl`; keys that a task kind does not have are left out."""
    sample, outcome, judged = item.sample, item.outcome, item.judged
    row: dict[str, Any] = {
        "sample_id": sample.sample_id,
        "doc_hash": sample.doc_hash,
        "prompt_hash": sample.prompt_hash,
        "target_hash": sample.target_hash,
        "prompt": sample.prompt,
        "target": sample.target,
        "cluster": sample.cluster,
    }
    if sample.references:
        row["references"] = list(sample.references)
    if sample.choices:
        row |= {"choices": list(sample.choices), "gold": list(sample.gold), "prediction": judged.prediction}
        row["loglikelihoods"] = None if outcome.loglikelihoods is None else list(outcome.loglikelihoods)
    else:
        row |= {
            "response": outcome.response,
            "num_response_tokens": outcome.num_response_tokens,
            "finish_reason": outcome.finish_reason,
        }
    row |= {"state": judged.state.value, "confidence": judged.confidence}
    flags = [name for name in ("refused", "empty", "truncated", "unparsable") if getattr(judged, name)]
    if flags:
        row["flags"] = flags
    if outcome.num_truncated:
        row["num_truncated"] = outcome.num_truncated
    row["scores"] = {name: score.value for name, score in item.scores.items()}
    stats = {name: list(s.stats) for name, s in item.scores.items() if s.stats is not None}
    if stats:
        row["stats"] = stats
    reasons = {name: s.reason for name, s in item.scores.items() if s.reason}
    if judged.reason:
        reasons["state"] = judged.reason
    if reasons:
        row["reasons"] = reasons
    row["group"] = dict(sample.group)
    return row
