"""What `run.json` and the rows of `samples.jsonl` say of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from halueval import provenance
from halueval.checking import checkers_of, describe
from halueval.config import TaskSpec
from halueval.consistency import answer_rate as answered
from halueval.consistency.base import NO_CLAIM
from halueval.job import ModelHandle, Prepared, RunSettings, Scored
from halueval.journal import Journal
from halueval.schema import RUN_SCHEMA_VERSION, Check, MetricValue, State


def run_record(
    prepared: Prepared,
    model: ModelHandle,
    settings: RunSettings,
    journal: Journal,
    scored: Sequence[Scored],
    metrics: Mapping[str, MetricValue],
    seconds: Mapping[str, float],
    started: datetime,
    uncertainty: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything in `run.json` but the digest of the samples, which the store adds.

    Args:
        prepared: the task as it was run.
        model: as it was run.
        settings: what the user chose.
        journal: of the responses; knows what they cost.
        scored: every sample with its state and scores.
        metrics: the figures by name.
        seconds: by stage.
        started: when the command began this task.
        uncertainty: how well each figure of uncertainty tells wrong answers from right ones, where it was asked for.
    """
    backend = model.backend
    return {
        "schema_version": RUN_SCHEMA_VERSION,
        "run_id": prepared.directory.name,
        "identity": prepared.identity,
        "model": _model_record(model, settings, journal.backend),
        "task": _task_record(prepared),
        "n_samples": _counts(prepared, scored),
        "checks": _checks(prepared, settings, scored),
        "metrics": {name: asdict(value) for name, value in _ordered(metrics, prepared.task)},
        **({} if uncertainty is None else {"uncertainty": dict(uncertainty)}),
        "states": {state.value: sum(item.judged.state == state for item in scored) for state in State},
        "engine": {
            **journal.accounting.as_dict(),
            **_rates(journal, seconds["infer"]),
            "peak_memory_bytes": backend.peak_memory_bytes() if backend else 0,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        },
        "warnings": journal.backend["warnings"],
        "environment": provenance.environment(journal.backend["device"]),
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _checks(prepared: Prepared, settings: RunSettings, scored: Sequence[Scored]) -> dict[str, Any]:
    """Who checked the responses, how many sources it did not see whole, and how many responses were answers."""
    checkers = checkers_of(prepared.scorers, settings.device, prepared.lacking)
    out = describe(checkers, prepared.task.language, names=True)
    for figure, entry in out.items():
        if entry["name"] in answered.SCORERS:
            entry["answer_rate"] = _answer_rate(figure, scored)
        cut = sum(item.outcome.checks[figure].truncated > 0 for item in scored if figure in item.outcome.checks)
        if cut:
            entry["n_truncated"] = cut
    return out | {
        figure: {"name": check.scorer, "threshold": None, "threshold_from": None, "reason": check.reason}
        for figure, check in prepared.lacking.items()
    }


def _answer_rate(figure: str, scored: Sequence[Scored]) -> dict[str, float | int | None] | None:
    """Of the responses that have a source, as the scorer's own."""
    asked = [item for item in scored if item.sample.source and item.outcome.failure is None]
    silent = 0
    for item in asked:
        check = item.outcome.checks.get(figure)
        reason = NO_CLAIM if check is None else check.reason if check.value is None else None
        silent += reason in answered.SILENT
    return answered.answer_rate(silent, len(asked), len({item.sample.cluster for item in asked}))


def _rates(journal: Journal, seconds: float) -> dict[str, float | None]:
    """Speed of inference, and how much of the device's matrix products it came to; None where nothing was run."""
    rate, cost = journal.backend["matmul_flops_per_second"], journal.accounting
    used = cost.flops / seconds / rate if rate and seconds > 0 and cost.flops else None
    return {
        "tokens_per_second": round(cost.tokens_computed / seconds, 1) if seconds > 0 else None,
        "matmul_flops_per_second": rate,
        "model_flop_utilisation": None if used is None else round(used, 4),
    }


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


def _check_row(check: Check) -> dict[str, Any]:
    """What a check says beyond its value and reason: tokens cut from the source, and the sentences' scores."""
    out: dict[str, Any] = {"num_truncated": check.truncated} if check.truncated else {}
    if check.sentences:
        out["sentences"] = [
            {"text": text, "value": None if value is None else float(f"{value:.5g}")}
            | ({"reason": reason} if reason and value is None else {})
            for text, value, reason in check.sentences
        ]
    return out


def sample_row(item: Scored) -> dict[str, Any]:
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
        raw = outcome.raw_loglikelihoods or outcome.loglikelihoods
        row["loglikelihoods"] = None if raw is None else list(raw)
        if outcome.correction is not None:
            row["correction"] = list(outcome.correction)
        if outcome.baselines:
            row["baselines"] = {name: list(values) for name, values in outcome.baselines.items()}
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
    if checks := {figure: found for figure, check in outcome.checks.items() if (found := _check_row(check))}:
        row["checks"] = checks
    row["scores"] = {name: score.value for name, score in item.scores.items()}
    stats = {name: list(s.stats) for name, s in item.scores.items() if s.stats is not None}
    if stats:
        row["stats"] = stats
    reasons = {name: s.reason for name, s in item.scores.items() if s.reason}
    if judged.reason:
        reasons["state"] = judged.reason
    if reasons:
        row["reasons"] = reasons
    if item.uncertainty:
        row["draws"] = [
            {"text": draw.text, "loglikelihood": draw.loglikelihood, "num_tokens": draw.num_tokens}
            | ({"reason": draw.reason} if draw.reason else {})
            for draw in outcome.draws
        ]
        row["uncertainty"] = {name: score.value for name, score in item.uncertainty.items()}
        lacking = {name: score.reason for name, score in item.uncertainty.items() if score.reason}
        if lacking:
            row["uncertainty_reasons"] = lacking
    row["group"] = dict(sample.group)
    return row
