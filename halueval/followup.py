"""The second round of a run with uncertainty: what is asked about answers that are known, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from halueval import plan
from halueval.job import Observer, Prepared, RunSettings, Scored, SilentObserver, watched
from halueval.journal import request_key
from halueval.schema import Request, Response
from halueval.uncertainty.measures import encode_ahead, texts_to_encode, uncertainties
from halueval.uncertainty.p_true import bare_question
from halueval.uncertainty.settings import UncertaintySettings


def follow_up(prepared: Prepared, responses: Mapping[str, Response], settings: RunSettings) -> Prepared:
    """What is asked about the answers once they are known, as a task of its own on the same samples."""
    requests: dict[str, Request] = {}
    roles: list[dict[str, str]] = []
    for sample, known in zip(prepared.samples, prepared.roles, strict=True):
        outcome = plan.assemble(prepared.task, sample, {role: responses[key] for role, key in known.items()}, {})
        wanted = plan.p_true_requests(sample, outcome, templated=settings.chat.apply)
        keyed = {role: request_key(request) for role, request in wanted.items()}
        requests.update((keyed[role], request) for role, request in wanted.items())
        roles.append(keyed)
    keys = sorted(requests)
    return replace(prepared, requests=[requests[key] for key in keys], keys=keys, roles=roles)


def with_uncertainty(
    scored: Sequence[Scored],
    asked: Prepared,
    responses: Mapping[str, Response],
    settings: UncertaintySettings,
    observer: Observer | None = None,
    title: str = "",
) -> list[Scored]:
    """Figures of uncertainty for every sample; texts are encoded all at once.

    Args:
        scored: the samples.
        asked: see `follow_up`.
        responses: to its requests.
        settings: hold the encoder and the NLI model.
        observer: is told of each sample, under this title.
        title: of the model and the task.
    """
    language = asked.task.language
    out = []
    with watched(observer or SilentObserver(), f"{title} · uncertainty", len(scored)) as advance:
        if settings.encode is not None:
            texts = texts_to_encode([item.outcome for item in scored], language)
            settings = replace(settings, encode=encode_ahead(settings.encode, texts))
        for item, roles in zip(scored, asked.roles, strict=True):
            p_true = plan.p_true_of({role: responses[key] for role, key in roles.items()})
            question = bare_question(item.sample.question)
            found = uncertainties(item.outcome, p_true, settings, language=language, question=question)
            out.append(replace(item, uncertainty=found))
            advance(1)
    return out
