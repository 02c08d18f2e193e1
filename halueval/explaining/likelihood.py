"""How likely a model finds texts: bits per byte of training data against a task's items, and of general text.

Bits per byte = -Σ log p / (bytes · ln 2), bytes of the original text; a quotient of sums, so a long text counts for
more. Intervals leave out one text at a time (`stats.jackknife`). With `whole` texts every token is scored; with
`completion` only the answer, given the prompt without few-shot examples, on both sides alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from halueval.backends.base import Backend
from halueval.explaining.record import Measure, measure, missing
from halueval.schema import LoglikelihoodRequest, LoglikelihoodResponse, Request, Response, RollingRequest
from halueval.stats.jackknife import Estimate, difference_estimate, table_estimate
from halueval.stats.two_samples import TwoSample
from halueval.text import num_bytes

FloatArray = NDArray[np.float64]
Advance = Callable[[int], None]

_LABELS = {
    "nll_whole_training": "base's bits per byte, training texts",
    "nll_whole_task": "base's bits per byte, the task's questions with answers",
    "nll_whole_difference": "base's bits per byte, training − task",
    "nll_completion_training": "base's bits per byte of training completions, given their prompts",
    "nll_completion_task": "base's bits per byte of the task's answers, given their questions",
    "nll_completion_difference": "base's bits per byte of answers, training − task",
}


def ask(backend: Backend, requests: Sequence[Request], advance: Advance = lambda _: None) -> list[Response]:
    """Responses in the order of the requests, equal ones asked once."""
    distinct = list(dict.fromkeys(requests))
    answers: dict[Request, Response] = {}
    for batch in backend.plan(distinct, backend.budget(tokens=None, batch_size=None)):
        for i, response in zip(batch.indices, backend.run(batch, advance).responses, strict=True):
            answers[distinct[i]] = response
    return [answers[request] for request in requests]


def bits_table(texts: Sequence[str], responses: Sequence[Response]) -> FloatArray:
    """(bits, bytes) of each text; a row of zeros where it could not be scored. Shape (n, 2)."""
    table = np.zeros((len(texts), 2))
    for row, text, response in zip(table, texts, responses, strict=True):
        if isinstance(response, LoglikelihoodResponse) and response.num_tokens and num_bytes(text):
            row[:] = -response.loglikelihood / math.log(2), num_bytes(text)
    return table


def _ratio(sums: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        out: FloatArray = sums[:, 0] / sums[:, 1]
    return out


def requests_for(parts: Sequence[tuple[str, str]], architecture: str) -> dict[str, list[Request]]:
    """Requests for (prompt, completion) pairs, by `whole` and `completion`; those without a prompt only whole.

    An encoder-decoder gives no likelihood of a text without a source, a classifier none at all.
    """
    out: dict[str, list[Request]] = {"whole": [], "completion": []}
    if architecture == "causal":
        out["whole"] = [RollingRequest(prompt + completion) for prompt, completion in parts]
    if architecture in ("causal", "seq2seq"):
        out["completion"] = [LoglikelihoodRequest(prompt, completion) for prompt, completion in answered(parts)]
    return out


def answered(parts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those with both a prompt and a completion."""
    return [(prompt, completion) for prompt, completion in parts if prompt.strip() and completion.strip()]


def nll_measures(
    training: Sequence[tuple[str, str]],
    task: Sequence[tuple[str, str]],
    answers: Callable[[Request], Response],
    architecture: str,
) -> dict[str, Measure]:
    """All six measures.

    Args:
        training: prompt and completion of each example.
        task: question and target of each item, the target with its delimiter.
        answers: the base's response to each request of `requests_for`.
        architecture: of the base.
    """
    out: dict[str, Measure] = {}
    for form in ("whole", "completion"):
        tables = []
        for parts in (training, task):
            requests = requests_for(parts, architecture)[form]
            texts = [p + c for p, c in parts] if form == "whole" else [c for _, c in answered(parts)]
            scored = bits_table(texts if requests else [], [answers(request) for request in requests])
            tables.append(scored[scored.any(axis=1)])
        out.update(_three(form, tables[0], tables[1], architecture))
    return out


def no_nll(reason: str) -> dict[str, Measure]:
    """The same measures, not taken."""
    return {name: missing(label, reason, "bits/byte") for name, label in _LABELS.items()}


def _three(form: str, training: FloatArray, task: FloatArray, architecture: str) -> dict[str, Measure]:
    names = [f"nll_{form}_{side}" for side in ("training", "task", "difference")]
    estimates: list[Estimate | None] = [table_estimate(t, _ratio) if len(t) else None for t in (training, task)]
    out = {}
    for name, estimate in zip(names, estimates, strict=False):
        if estimate is None:
            why = f"a {architecture} model gives none" if architecture != "causal" else "no text of this form"
            out[name] = missing(_LABELS[name], why, "bits/byte")
        else:
            out[name] = of_estimate(_LABELS[name], estimate, "bits/byte")
    left, right = estimates
    if left is None or right is None:
        out[names[2]] = missing(_LABELS[names[2]], "one side has no figure", "bits/byte")
        return out
    gap = _independent(left, right)
    low, high = gap.interval()
    out[names[2]] = measure(
        _LABELS[names[2]],
        gap.value,
        low,
        high,
        n=left.n_clusters + right.n_clusters,
        unit="bits/byte",
        p=gap.p_value(),
        method="jackknife-t of both, Welch",
        reason=None if low is not None else "no interval: too few texts",
    )
    return out


def _independent(left: Estimate, right: Estimate) -> TwoSample:
    errors = [e.standard_error**2 if e.reason is None else math.nan for e in (left, right)]
    variance = sum(errors)
    if not math.isfinite(variance) or variance <= 0:
        return TwoSample(left.value - right.value, None, 1.0)
    df = variance**2 / sum(v**2 / e.df for v, e in zip(errors, (left, right), strict=True))
    return TwoSample(left.value - right.value, math.sqrt(variance), df)


def of_estimate(label: str, estimate: Estimate, unit: str, *, tested: bool = False) -> Measure:
    """A measure from a jackknife estimate; `tested` adds p of "it is 0"."""
    interval = estimate.interval()
    return measure(
        label,
        estimate.value,
        interval.low,
        interval.high,
        n=estimate.n_clusters,
        unit=unit,
        p=estimate.p_value() if tested else None,
        method=estimate.method,
        reason=None if interval.reason is None else f"no interval: {interval.reason}",
    )


def forgetting(
    base: Backend, candidate: Backend, texts: Sequence[str], advance: Advance = lambda _: None
) -> dict[str, Measure]:
    """Forgetting: how much less likely general text became, paired text by text.

    Needs nothing but the two backends, so that a report over checkpoints can call it for each.

    Args:
        base: before fine-tuning.
        candidate: after it; another tokenizer does no harm, bytes are the same.
        texts: general text that neither was fine-tuned on.
        advance: is told of requests answered.

    Returns:
        `bits_per_byte_base`, `bits_per_byte_candidate` and `bits_per_byte_change` (candidate - base; above 0 is
        forgetting), with 95 % intervals over texts. Texts that either could not score are left out of all three.
    """
    requests: list[Request] = [RollingRequest(text) for text in texts]
    ours = bits_table(texts, ask(base, requests, advance))
    return forgetting_of(ours, bits_table(texts, ask(candidate, requests, advance)))


FORGETTING_LABELS = {
    "bits_per_byte_base": "base's bits per byte of general text",
    "bits_per_byte_candidate": "candidate's bits per byte of general text",
    "bits_per_byte_change": "bits per byte of general text, candidate − base",
}


def forgetting_of(base: FloatArray, candidate: FloatArray) -> dict[str, Measure]:
    """The measures of `forgetting` from two tables of `bits_table` over the same texts."""
    both = base.any(axis=1) & candidate.any(axis=1)
    if not both.any():
        return no_forgetting("no text could be scored by both")
    ours, theirs = base[both], candidate[both]
    figures = {
        "bits_per_byte_base": table_estimate(ours, _ratio),
        "bits_per_byte_candidate": table_estimate(theirs, _ratio),
        "bits_per_byte_change": difference_estimate(ours, theirs, _ratio),
    }
    return {
        name: of_estimate(FORGETTING_LABELS[name], estimate, "bits/byte", tested=name.endswith("change"))
        for name, estimate in figures.items()
    }


def no_forgetting(reason: str) -> dict[str, Measure]:
    """The same measures, not taken."""
    return {name: missing(label, reason, "bits/byte") for name, label in FORGETTING_LABELS.items()}
