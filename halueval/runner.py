"""Tasks by one model: samples, requests, responses, scores, figures, files.

    card + task → samples → prompts → requests → batches → responses, journalled as they come
    → states and scores → figures with intervals → `samples.jsonl`, then `run.json`

The model is loaded only when a response is missing. What was answered under the same identity is never
asked again, and nothing that was answered under another one is ever used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from halueval import plan
from halueval.answers.support import RULES_VERSION
from halueval.backends.base import DESCRIPTION, ModelIdentity
from halueval.checking import available, check_outcomes, checkers_of
from halueval.choice_calibration import calibrate_outcomes
from halueval.config import TaskSpec
from halueval.dataset import LoadedData
from halueval.errors import IncompleteError
from halueval.followup import follow_up, with_uncertainty
from halueval.inference import infer
from halueval.job import ModelHandle, Observer, Prepared, RunSettings, Scored, watched
from halueval.journal import Journal, request_key
from halueval.labelled import labels_for, with_known_class
from halueval.prompt import build_samples
from halueval.record import run_record, sample_row
from halueval.registry import task_hash
from halueval.schema import (
    RUN_SCHEMA_VERSION,
    GenerationRequest,
    LoglikelihoodRequest,
    Request,
    Response,
    canonical_json,
    sha256_text,
)
from halueval.scorers.aggregate import summarise
from halueval.scorers.base import Scorer, score_sample
from halueval.scorers.state import judge
from halueval.store import RUN_FILE, Run, load_run, write_run
from halueval.uncertainty.judging import judge_uncertainty


def prepare(
    task: TaskSpec, data: LoadedData, scorers: Sequence[Scorer], model: ModelIdentity, settings: RunSettings
) -> Prepared:
    """Build samples and requests, and derive the run's identity from them.

    Raises:
        UsageError: the model has no way of doing this task, or the task none of being calibrated so.
        DataError: a row that does not fit the task.
    """
    started = time.perf_counter()
    plan.check_fit(task, model.architecture, model.name)
    if settings.uncertainty is not None:
        plan.check_uncertainty(task)
    num_fewshot = task.num_fewshot if settings.num_fewshot is None else settings.num_fewshot
    samples = build_samples(
        task,
        data,
        num_fewshot=num_fewshot,
        seed=settings.seed,
        limit=settings.limit,
        calibrations=() if model.architecture == "classifier" else (settings.calibration, *settings.baselines),
    )
    plan.check_calibration(task, samples, model.architecture, settings.calibration)
    plan.check_baselines(task, model.architecture, settings.baselines)
    needs = plan.union_of_needs(scorers)
    requests: dict[str, Request] = {}
    roles: list[dict[str, str]] = []
    for sample in samples:
        wanted = plan.requests_for(
            task,
            sample,
            needs,
            model.architecture,
            templated=settings.chat.apply,
            seed=settings.seed,
            uncertainty=settings.uncertainty,
        )
        keyed = {role: request_key(request) for role, request in wanted.items()}
        requests.update((keyed[role], request) for role, request in wanted.items())
        roles.append(keyed)
    keys = sorted(requests)
    checks, lacking = available(scorers, task.language, settings.device)
    identity, responses_id = _identity(task, data, scorers, model, settings, num_fewshot, keys)
    if checks:
        identity["checks"] = checks
    home = settings.output / model.name / task.task
    run_id = _run_id(identity)
    stored = (home / run_id / RUN_FILE).is_file()
    labels = labels_for(model, task.task, data.sha256, settings, stored=stored)
    if labels is not None:  # left out, it leaves the identity of runs without it as it was
        samples, identity["known_class_sha256"] = with_known_class(samples, labels, model, task.task, data.sha256)
        run_id = _run_id(identity)
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
        calibration=settings.calibration,
        lacking=lacking,
    )


def _run_id(identity: Mapping[str, Any]) -> str:
    return sha256_text(canonical_json(identity))[:12]


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
    digests = {k: v for k, v in asdict(model).items() if k not in DESCRIPTION}
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
    if settings.uncertainty is not None:
        identity["uncertainty"] = dict(settings.uncertainty.identity())
    if settings.calibration != "none":  # left out, it leaves the identity of runs without it as it was
        identity["calibration"] = settings.calibration
    if more := [method for method in settings.baselines if method != settings.calibration]:
        identity["calibration_baselines"] = more
    if task.grading == "support":
        identity["grading_rules"] = RULES_VERSION
    return identity, sha256_text(canonical_json(asked))[:12]


VERDICTS = "verdicts"
"""Directory of kept verdicts beside the journals of responses."""
SHARED_START = 160
"""Characters by which prompts are held to begin alike: a few dozen tokens, which is worth a root of their own."""


def companions(group: Sequence[Prepared]) -> list[list[int]]:
    """Tasks whose prompts begin alike (the two TruthfulQA figures, or two tasks with one primer), to be run together.

    Returns:
        Numbers of tasks, each in one list, in the order of their first.
    """
    joined: list[tuple[set[str], list[int]]] = []
    for number, prepared in enumerate(group):
        prompts = {
            r.context[:SHARED_START]
            for r in prepared.requests
            if isinstance(r, LoglikelihoodRequest | GenerationRequest) and r.context
        }
        members = [number]
        apart = []
        for known, others in joined:
            if known.isdisjoint(prompts):
                apart.append((known, others))
            else:
                prompts |= known
                members += others
        joined = [*apart, (prompts, sorted(members))]
    return sorted(members for _, members in joined)


def run_task(prepared: Prepared, model: ModelHandle, settings: RunSettings, observer: Observer) -> Run | None:
    """Bring one prepared task to its end; see `run_tasks`.

    Raises:
        IncompleteError: some requests did not fit into memory even alone, or the disk is full; the rest
            is kept.
    """
    (outcome,) = run_tasks([prepared], model, settings, observer)
    if isinstance(outcome, IncompleteError):
        raise outcome
    return outcome


def run_tasks(
    group: Sequence[Prepared], model: ModelHandle, settings: RunSettings, observer: Observer
) -> Iterator[Run | IncompleteError | None]:
    """Bring prepared tasks of one model to their end; what their prompts share is computed once for all of them.

    Yields:
        For each task the finished run; None with `predict_only`; or that some of its requests did not fit into
        memory even alone, the rest being kept.

    Raises:
        IncompleteError: the disk is full; what was written stays.
        KeyboardInterrupt: passed on; everything answered so far is in the journals.
    """
    finished = [None if settings.fresh or settings.predict_only else _finished(prepared) for prepared in group]
    started = datetime.now(UTC)
    with ExitStack() as stack:
        if settings.fresh:
            for prepared in group:
                (prepared.directory / RUN_FILE).unlink(missing_ok=True)
        open_ = [i for i, run in enumerate(finished) if run is None]
        journals = {i: stack.enter_context(Journal(group[i].journal)) for i in open_}
        if settings.fresh:
            for journal in journals.values():
                journal.clear()
        planning, failed = infer(group, model, journals, settings, observer)
        asked = {
            i: follow_up(group[i], journal.responses, settings)
            for i, journal in journals.items()
            if settings.uncertainty is not None and all(key in journal.responses for key in group[i].keys)
        }
        for i, later in asked.items():
            # Each by itself: which other tasks are finished already must not change its batches.
            more, lost = infer([later], model, {0: journals[i]}, settings, observer)
            planning, failed = planning + more, failed | lost
    for i, prepared in enumerate(group):
        keys = [*prepared.keys, *(asked[i].keys if i in asked else ())]
        missing = [key for key in keys if i in journals and key in failed and key not in journals[i].responses]
        if finished[i] is not None:
            yield finished[i]
        elif missing:
            yield IncompleteError(
                f"{prepared.task.task}: {len(missing)} of {len(keys)} requests did not fit into the memory "
                f"of {model.ready().device} even alone; the rest is kept: repeat the command on a device with more "
                "memory"
            )
        elif settings.predict_only:
            yield None
        else:
            yield _score_and_store(
                prepared, asked.get(i), model, settings, journals[i], planning / len(open_), started, observer
            )


def _finished(prepared: Prepared) -> Run | None:
    if not (prepared.directory / RUN_FILE).is_file():
        return None
    run = load_run(prepared.directory)
    return run if run.is_intact() else None


def score_samples(
    prepared: Prepared, responses: Mapping[str, Response], model: ModelHandle, settings: RunSettings, observer: Observer
) -> list[Scored]:
    """State and scores of every sample; what could not be scored carries its reason.

    Checkers may take longer than the model took to answer: the observer is told of each of them.
    """
    task = prepared.task
    for scorer in prepared.scorers:
        scorer.prepare(prepared.samples)
    outcomes = [
        plan.assemble(task, sample, {role: responses[key] for role, key in roles.items()}, model.labels)
        for sample, roles in zip(prepared.samples, prepared.roles, strict=True)
    ]
    scored = []
    outcomes = calibrate_outcomes(prepared.calibration, outcomes)
    checkers = checkers_of(prepared.scorers, settings.device, prepared.lacking)
    outcomes = check_outcomes(
        checkers,
        prepared.samples,
        outcomes,
        task.language,
        prepared.lacking,
        lambda what, total, done: watched(observer, f"{_title(prepared, model)} · {what}", total, done),
        keep=prepared.journal.parent / VERDICTS,
        fresh=settings.fresh,
    )
    for sample, outcome in zip(prepared.samples, outcomes, strict=True):
        judged = judge(task.kind, task.output_type, sample, outcome, task.language, task.abstention, task.grading)
        scores = {s.name: score_sample(s, sample, outcome, judged) for s in prepared.scorers}
        scored.append(Scored(sample, outcome, judged, scores))
    return scored


def _title(prepared: Prepared, model: ModelHandle) -> str:
    return f"{model.identity.name} · {prepared.task.task}"


def _score_and_store(
    prepared: Prepared,
    asked: Prepared | None,
    model: ModelHandle,
    settings: RunSettings,
    journal: Journal,
    planning: float,
    started: datetime,
    observer: Observer,
) -> Run:
    clock = time.perf_counter()
    scored = score_samples(prepared, journal.responses, model, settings, observer)
    metrics = summarise(
        prepared.scorers,
        {s.name: [item.scores[s.name] for item in scored] for s in prepared.scorers},
        [item.sample.cluster for item in scored],
        seed=settings.seed,
        n_resamples=settings.n_resamples,
    )
    uncertainty = None
    if asked is not None and settings.uncertainty is not None:
        title = _title(prepared, model)
        scored = with_uncertainty(scored, asked, journal.responses, settings.uncertainty, observer, title)
        uncertainty = judge_uncertainty(
            [item.uncertainty for item in scored],
            [item.judged.state for item in scored],
            [item.sample.cluster for item in scored],
            n_resamples=settings.n_resamples,
            seed=settings.seed,
        )
    seconds = {
        "load": model.load_seconds,
        "tokenise": prepared.prepare_seconds + planning,
        "infer": journal.seconds,
        "score": time.perf_counter() - clock,
    }
    record = run_record(prepared, model, settings, journal, scored, metrics, seconds, started, uncertainty)
    record = write_run(prepared.directory, record, (sample_row(item) for item in scored))
    return Run(prepared.directory, record)
