"""One task by one model: samples, requests, responses, scores, figures, files.

    card + task → samples → prompts → requests → batches → responses, journalled as they come
    → states and scores → figures with intervals → `samples.jsonl`, then `run.json`

The model is loaded only when a response is missing. What was answered under the same identity is never
asked again, and nothing that was answered under another one is ever used.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from halueval import plan
from halueval.backends.base import ModelIdentity
from halueval.config import TaskSpec
from halueval.dataset import LoadedData
from halueval.engine.memory import OUT_OF_MEMORY
from halueval.errors import IncompleteError
from halueval.job import ModelHandle, Observer, Prepared, RunSettings, Scored
from halueval.journal import Journal, request_key, todo
from halueval.prompt import build_samples
from halueval.record import run_record, sample_row
from halueval.registry import task_hash
from halueval.schema import (
    RUN_SCHEMA_VERSION,
    FailedResponse,
    GenerationRequest,
    Request,
    Response,
    canonical_json,
    sha256_text,
)
from halueval.scorers.aggregate import summarise
from halueval.scorers.base import Scorer, score_sample
from halueval.scorers.state import judge
from halueval.store import RUN_FILE, Run, load_run, write_run


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
    record = run_record(prepared, model, settings, journal, scored, metrics, seconds, started)
    record = write_run(prepared.directory, record, (sample_row(item) for item in scored))
    return Run(prepared.directory, record)
