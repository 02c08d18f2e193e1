"""Drift of form and of likelihood, and calibration: what stands beside a change of score, or explains it.

A fine-tuned model that stops answering, answers at length or is cut off scores differently without knowing
more or less. Pairs in which both models answered in the expected format (neither refused, nor empty, truncated or
unparsable, nor judged hallucinated though the answer holds a reference within a longer text) are free of that, and
give a net rate of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from halueval.compare.columns import FLAGS, Columns, FloatArray
from halueval.compare.fields import Calibration, CalibrationFigure, CurveBin, Figure, FormatDrift, NetRate
from halueval.compare.figures import IDENTICAL, Clusters, Difference, Engine, compare_values
from halueval.compare.fill import CHANGE_OF_SHARE
from halueval.compare.pairing import Pairs
from halueval.compare.transitions import CORRECT, HALLUCINATED, Transitions, net_rate
from halueval.stats.calibration import (
    assign_bins,
    brier_terms,
    ece,
    ece_difference,
    ece_floor,
    ece_table,
    negative_log_likelihood_terms,
    reliability_curve,
)

N_BINS = 15
MIN_CALIBRATION = 20
LENGTH_RATIO = 1.5
MAX_FLOOR_DRAWS = 2_000_000
_RATE_NAMES = {"refused": "refusal_rate"}


def format_drift(
    sides: tuple[Columns, Columns],
    pairs: Pairs,
    states: Transitions,
    net: NetRate,
    engine: Engine,
    *,
    same_tokenizer: bool,
) -> FormatDrift | None:
    """Form of the responses of both models, and the net rate free of it.

    Args:
        sides: samples of both.
        pairs: which rows belong together.
        states: of the pairs.
        net: net rate over all pairs.
        engine: level, seed, replicates.
        same_tokenizer: whether lengths in tokens mean the same.

    Returns:
        None where the task does not generate.
    """
    base, candidate = sides
    if not (base.generates and candidate.generates) or not len(pairs):
        return None
    flags = base.flags[pairs.base], candidate.flags[pairs.candidate]
    rates = {}
    for i, flag in enumerate(FLAGS):
        before, after = (side[:, i].astype(np.float64) for side in flags)
        rates[_RATE_NAMES.get(flag, f"{flag}_rate")] = compare_values(before, after, states.clusters, engine).figure
    expected: NDArray[np.bool_] = np.concatenate(flags, axis=1).sum(axis=1) == 0
    inside, _ = net_rate(states.of(expected), engine)
    lengths = _lengths(base, candidate, pairs, states.clusters, engine, same_tokenizer=same_tokenizer)
    could, text = _explain(rates, lengths, net, inside, engine.alpha)
    return {"rates": rates, "lengths": lengths, "expected_format": inside, "could_explain": could, "text": text}


def _lengths(
    base: Columns, candidate: Columns, pairs: Pairs, clusters: Clusters, engine: Engine, *, same_tokenizer: bool
) -> dict[str, Figure]:
    columns = {"response_characters": (base.characters[pairs.base], candidate.characters[pairs.candidate])}
    if same_tokenizer:
        columns["response_tokens"] = base.tokens[pairs.base], candidate.tokens[pairs.candidate]
    out = {}
    for name, (a, b) in columns.items():
        if (made := _over_finite(a, b, clusters, engine)) is not None:
            out[name] = made.figure
    return out


def _over_finite(a: FloatArray, b: FloatArray, clusters: Clusters, engine: Engine) -> Difference | None:
    both = np.isfinite(a) & np.isfinite(b)
    return compare_values(a[both], b[both], clusters.of(both), engine) if both.any() else None


def _explain(
    rates: Mapping[str, Figure], lengths: Mapping[str, Figure], net: NetRate, inside: NetRate, alpha: float
) -> tuple[bool, str]:
    """Whether form may explain the change of score, and the sentence that says so."""
    moved = [
        f"{name.replace('_', ' ')} {figure['base']:.1%} → {figure['candidate']:.1%}"
        for name, figure in rates.items()
        if figure["p_value"] is not None and figure["p_value"] < alpha
    ]
    size = lengths.get("response_characters")
    if size and size["base"] > 0 and size["candidate"] > 0:
        ratio = size["candidate"] / size["base"]
        if max(ratio, 1 / ratio) >= LENGTH_RATIO and size["p_value"] is not None and size["p_value"] < alpha:
            moved.append(f"responses {ratio:.1f} times as long")
    if not moved:
        return False, "The form of the responses did not change detectably."
    told = f"The form changed: {', '.join(moved)}."
    if net["value"] is None or inside["value"] is None:
        return False, told + " No pair has states that are free of it."
    free = f"Over the {inside['n']} of {net['n']} pairs that both answered in the expected format, the net rate is "
    free += f"{inside['value']:+.1%} (all pairs: {net['value']:+.1%})"
    changed = net["p_value"] is not None and net["p_value"] < alpha
    survives = inside["p_value"] is not None and inside["p_value"] < alpha and inside["value"] * net["value"] > 0
    if changed and not survives:
        return (
            True,
            f"{told} It could explain the change of score: {free[0].lower()}{free[1:]}, which is not significant.",
        )
    if changed and abs(inside["value"]) < abs(net["value"]) / 2:
        return True, f"{told} It could explain a good part of the change of score: {free[0].lower()}{free[1:]}."
    return False, f"{told} {free}."


def calibration(sides: tuple[Columns, Columns], pairs: Pairs, states: Transitions, engine: Engine) -> Calibration:
    """Calibration of both models' confidences over the pairs that both answered.

    Args:
        sides: samples of both.
        pairs: which rows belong together.
        states: of the pairs.
        engine: level, seed, replicates.
    """
    confidence = sides[0].confidence[pairs.base], sides[1].confidence[pairs.candidate]
    answered = [np.isin(side, (CORRECT, HALLUCINATED)) for side in (states.base, states.candidate)]
    usable = np.isfinite(confidence[0]) & np.isfinite(confidence[1]) & answered[0] & answered[1]
    n = int(usable.sum())
    if n < MIN_CALIBRATION:
        what = "both models answered with a confidence"
        return {"n": n, "n_bins": N_BINS, "reason": f"{n} pairs that {what}; needs {MIN_CALIBRATION}"}
    conf = confidence[0][usable], confidence[1][usable]
    right = tuple((side[usable] == CORRECT).astype(np.float64) for side in (states.base, states.candidate))
    clusters = states.clusters.of(usable)
    brier = compare_values(brier_terms(conf[0], right[0]), brier_terms(conf[1], right[1]), clusters, engine)
    before, after = (negative_log_likelihood_terms(c, r) for c, r in zip(conf, right, strict=True))
    nll = compare_values(before, after, clusters, engine)
    draws = max(20, min(200, MAX_FLOOR_DRAWS // n))  # each draw of many samples says more, and takes longer
    return {
        "n": n,
        "n_bins": N_BINS,
        "reason": None,
        "ece": compare_ece(conf, (right[0], right[1]), clusters, engine),
        "brier": _calibration_figure(brier),
        "nll": _calibration_figure(nll),
        "ece_floor": {
            side: ece_floor(values, n_bins=N_BINS, n_resamples=draws, seed=engine.seed)
            for side, values in zip(("base", "candidate"), conf, strict=True)
        },
        "curves": {
            side: _curve(values, hits) for side, values, hits in zip(("base", "candidate"), conf, right, strict=True)
        },
    }


def compare_ece(
    conf: tuple[FloatArray, FloatArray], right: tuple[FloatArray, FloatArray], clusters: Clusters, engine: Engine
) -> CalibrationFigure:
    """ECE of both, and its change with each side's bins held fixed; see `stats.calibration.ece_difference`.

    Args:
        conf: confidences of base and candidate, shape (n,) each.
        right: whether each answer was correct, 0 or 1.
        clusters: of the n pairs.
        engine: seed and draws.
    """
    tables = [ece_table(c, r, assign_bins(c, n_bins=N_BINS), n_bins=N_BINS) for c, r in zip(conf, right, strict=True)]
    for_interval, for_test = ece_difference(
        tables[0], tables[1], clusters.names, n_resamples=engine.n_resamples, seed=engine.seed
    )
    before, after = ece(conf[0], right[0], n_bins=N_BINS), ece(conf[1], right[1], n_bins=N_BINS)
    interval = for_interval.interval(CHANGE_OF_SHARE)
    # Swapping rows between models would put confidences into bins made for others: Student's t it is.
    same = np.array_equal(tables[0], tables[1])
    p = 1.0 if same else for_test.p_value()
    return {
        "base": before,
        "candidate": after,
        "delta": after - before,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_method": interval.method,
        "ci_reason": IDENTICAL if same else interval.reason,
        "p_value": p,
        "test": "none" if p is None else for_test.method,
    }


def _calibration_figure(made: Difference) -> CalibrationFigure:
    figure = made.figure
    return {
        "base": figure["base"],
        "candidate": figure["candidate"],
        "delta": figure["delta"],
        "ci_low": figure["ci_low"],
        "ci_high": figure["ci_high"],
        "ci_method": figure["ci_method"],
        "ci_reason": figure["ci_reason"],
        "p_value": figure["p_value"],
        "test": figure["test"],
    }


def _curve(confidence: FloatArray, right: FloatArray) -> list[CurveBin]:
    return [
        {"confidence": b.confidence, "accuracy": b.accuracy, "n": b.count, "ci_low": b.low, "ci_high": b.high}
        for b in reliability_curve(confidence, right, n_bins=N_BINS)
    ]


LIKELIHOODS = ("reference_nll", "bits_per_byte", "token_perplexity")


def likelihood_drift(
    metrics: Mapping[str, Figure], sides: tuple[Columns, Columns], pairs: Pairs, clusters: Clusters, engine: Engine
) -> dict[str, Figure]:
    """Change of the likelihood of right texts: the task's own figures, and `choice_nll` for multiple choice.

    Args:
        metrics: the task's figures; token perplexity is among them only for equal tokenizers.
        sides: samples of both.
        pairs: which rows belong together.
        clusters: of the pairs.
        engine: level, seed, replicates.
    """
    out = {name: metrics[name] for name in LIKELIHOODS if name in metrics}
    made = _over_finite(sides[0].choice_nll[pairs.base], sides[1].choice_nll[pairs.candidate], clusters, engine)
    if made is not None:
        made.figure["higher_is_better"] = False
        out["choice_nll"] = made.figure
    return out
