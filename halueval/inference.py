"""Requests of some tasks to responses in their journals: batches planned over all, run, and shared out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from halueval.backends.base import Backend
from halueval.engine.batching import Budget
from halueval.engine.memory import OUT_OF_MEMORY
from halueval.job import ModelHandle, Observer, Prepared, RunSettings
from halueval.journal import Journal
from halueval.schema import FailedResponse


def infer(
    group: Sequence[Prepared],
    model: ModelHandle,
    journals: Mapping[int, Journal],
    settings: RunSettings,
    observer: Observer,
) -> tuple[float, set[str]]:
    """Answer what the journals lack, batch by batch.

    Batches are planned over all requests of all tasks, those of finished ones too: a command that was killed and is
    given again forms the very same batches.

    Args:
        group: tasks of one command that are run together.
        model: of all of them.
        journals: of the tasks that are not finished, by their number.
        settings: what the user chose.
        observer: is told of the progress.

    Returns:
        Seconds spent on tokenising and planning batches, and the keys that did not fit into memory.
    """
    if all(key in journal.responses for i, journal in journals.items() for key in group[i].keys):
        return 0.0, set()
    backend = model.ready()
    done = sum(key in journal.responses for i, journal in journals.items() for key in group[i].keys)
    names = ", ".join(group[i].task.task for i in journals)
    observer.begin(f"{model.identity.name} · {names}", sum(len(group[i].keys) for i in journals), done)
    budget = backend.budget(tokens=settings.max_tokens_per_batch, batch_size=settings.batch_size)
    about = {
        "device": backend.device,
        "num_parameters": backend.num_parameters,
        "warnings": list(backend.warnings),
        "matmul_flops_per_second": backend.matmul_rate(),
    }
    planned = {i: journal.begin(budget, about) for i, journal in journals.items()}
    seconds, failed = 0.0, set[str]()
    try:
        # A journal that was begun under another budget goes on under it, by itself.
        for own in dict.fromkeys(planned.values()):
            alike = {i: journal for i, journal in journals.items() if planned[i] == own}
            planning, missing = _run_batches(group, backend, alike, own, observer)
            seconds += planning
            failed |= missing
    finally:
        observer.end()
    return seconds, failed


def _run_batches(
    group: Sequence[Prepared], backend: Backend, journals: Mapping[int, Journal], budget: Budget, observer: Observer
) -> tuple[float, set[str]]:
    merged = {key: request for prepared in group for key, request in zip(prepared.keys, prepared.requests, strict=True)}
    keys = sorted(merged)
    owners = {i: frozenset(group[i].keys) for i in journals}
    failed: set[str] = set()
    clock = time.perf_counter()
    batches = backend.plan([merged[key] for key in keys], budget)
    planning = time.perf_counter() - clock
    for batch in batches:
        mine = [keys[i] for i in batch.indices]
        wanted = {i: [key for key in mine if key in owners[i]] for i in journals}
        missing = sum(key not in journals[i].responses for i in journals for key in wanted[i])
        if not missing:
            continue
        progress = _Progress(observer, missing)
        started = time.perf_counter()
        result = backend.run(batch, progress)
        seconds = time.perf_counter() - started
        answers = dict(zip(mine, result.responses, strict=True))
        retry = {key for key, answer in answers.items() if answer == FailedResponse(OUT_OF_MEMORY)}
        failed |= retry
        new = {i: [key for key in wanted[i] if key not in journals[i].responses] for i in journals}
        sharing = [i for i in journals if new[i]]
        weights = [len(new[i]) for i in sharing]
        for i, weight, cost in zip(sharing, weights, result.accounting.shares(weights), strict=True):
            kept = {key: answers[key] for key in new[i] if key not in retry}
            # Not a share, but the task's own: what was asked twice counts for both.
            cost.requests = len(kept)
            cost.prompts_truncated = sum(getattr(answer, "num_truncated", 0) > 0 for answer in kept.values())
            journals[i].add(kept, cost, seconds * weight / sum(weights))
        progress.rest()
    return planning, failed


class _Progress:
    """Tells an observer of progress within a batch, no more than the requests that were missing."""

    def __init__(self, observer: Observer, missing: int) -> None:
        self.observer, self.left = observer, missing

    def __call__(self, requests: int) -> None:
        some = min(requests, self.left)
        self.left -= some
        if some:
            self.observer.advance(some)

    def rest(self) -> None:
        """The batch is done."""
        self(self.left)
