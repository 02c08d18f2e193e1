"""The JSON form of scorers held against people: `{SCORER: {SET: {…}}}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from halueval.consistency import answer_rate as answered
from halueval.stats.agreement import Figure
from halueval.validation import Agreement, Comparison, Evaluation
from halueval.validation.fitted import seen_before

Record = dict[str, dict[str, dict[str, Any]]]


def validation_record(evaluations: Iterable[Evaluation]) -> Record:
    """Everything that tables, plots and pages are drawn from.

    A figure is `{value, ci_low, ci_high}`; where there is no value, or no interval, `reason` says why. `warning` says
    that the scorer was fitted on the very set. `answer_rate` stands where a scorer gives abstentions no score.
    """
    out: Record = {}
    for made in evaluations:
        out.setdefault(made.scored.scorer, {})[made.annotated.spec.name] = _entry(made)
    return out


def _entry(made: Evaluation) -> dict[str, Any]:
    scored, annotated = made.scored, made.annotated
    n_unscored = sum(scored.reasons.values())
    warning = seen_before(scored.scorer, annotated.spec.name)
    out: dict[str, Any] = {
        **({"warning": warning} if warning else {}),
        "n": len(annotated.rows) - n_unscored,
        "n_unscored": n_unscored,
        "unscored_reasons": dict(scored.reasons),
        "n_left_out": sum(annotated.left_out.values()),
        "left_out_reasons": dict(annotated.left_out),
        "n_documents": len({row.document for row in annotated.rows}),
        "n_truncated": scored.truncated,
        "n_partial": sum(scored.partial.values()),
        "partial_reasons": dict(scored.partial),
        "seconds": round(scored.seconds, 3),
        "identity": dict(scored.identity),
        **_figures(made.agreement, annotated.threshold_from),
    }
    if scored.scorer in answered.SCORERS:
        silent = sum(n for reason, n in scored.reasons.items() if reason in answered.SILENT)
        out["answer_rate"] = answered.answer_rate(silent, len(annotated.rows), out["n_documents"])
    if made.own_threshold is not None:
        own = {**_figure(made.own_threshold), "threshold": scored.threshold, "threshold_from": "the scorer's own"}
        out["balanced_accuracy_own_threshold"] = own
    out["controls"] = {
        name: {"sign": sign, **_figures(agreement, annotated.threshold_from)}
        for name, (sign, agreement) in made.controls.items()
    }
    out["by_error_type"] = _strata(made.by_error_type)
    out["by_sentences"] = _strata(made.by_sentences)
    if made.compared:
        out["compared_with"] = {name: _comparison(comparison) for name, comparison in made.compared.items()}
    return out


def _figures(agreement: Agreement, threshold_from: str) -> dict[str, Any]:
    out = {name: _figure(figure) for name, figure in agreement.figures.items()}
    out["average_precision"]["base_rate"] = agreement.base_rate
    out["balanced_accuracy"].update(threshold=agreement.threshold, threshold_from=threshold_from, n=agreement.n_test)
    return out


def _figure(figure: Figure) -> dict[str, Any]:
    out: dict[str, Any] = {"value": figure.value, "ci_low": figure.ci_low, "ci_high": figure.ci_high}
    return {**out, "reason": figure.reason} if figure.reason else out


def _strata(strata: Mapping[str, tuple[int, Figure]]) -> dict[str, Any]:
    return {name: {"n": n, "roc_auc": _figure(figure)} for name, (n, figure) in strata.items()}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """The second scorer minus the first, as everywhere: what going from the first to the second adds."""
    williams = {key: value for key, value in asdict(comparison.williams).items() if value is not None}
    differences = {
        name: {key: value for key, value in asdict(found).items() if key != "reason" or value}
        for name, found in comparison.differences.items()
    }
    return {"n": comparison.n, **differences, "williams": {"t": None, "p_value": None, **williams}}
