"""`calibrate`: from a run directory to the record that tables and page show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halueval.calibrating.answers import check_halves, fitting_half, read_answers
from halueval.calibrating.figures import Settings, figures_of
from halueval.calibrating.record import CALIBRATION_SCHEMA_VERSION, CalibrationRecord, VariantRecord
from halueval.calibrating.variants import Variant, variants_of
from halueval.stats.calibration import reliability_curve
from halueval.stats.scoring_rules import MAX_CLASSES
from halueval.stats.selective import risk_coverage
from halueval.store import load_run

MAX_POINTS = 100
"""Most points of a risk-coverage curve in the record."""


def calibrate(path: str | Path, *, bins: int = 15, n_resamples: int = 2000, seed: int = 0) -> CalibrationRecord:
    """Measure the calibration of a finished run, before and after what can repair it.

    Half of the answers, by a hash of their clusters' names, are what temperature or sigmoid are fitted on; all
    figures are of the other half.

    Args:
        path: run directory, or its `run.json`.
        bins: of calibration errors and Murphy's parts.
        n_resamples: replicates of the intervals.
        seed: of the halves and of the draws.

    Raises:
        DataError: not a finished run, or one with no confidences or too few answers.
    """
    run = load_run(path)
    answers = read_answers(run)
    fit = fitting_half(answers.clusters, seed)
    check_halves(run, answers, fit)
    variants, notes = variants_of(answers, fit, seed=seed, n_resamples=n_resamples)
    reported = np.flatnonzero(~fit)
    settings = Settings(
        clusters=tuple(answers.clusters[i] for i in reported),
        gold=[answers.gold[i] for i in reported] if answers.gold else [],
        fixed_choices=answers.fixed_choices,
        bins=bins,
        n_resamples=n_resamples,
        seed=seed,
    )
    if answers.loglikelihoods is not None:
        if not answers.fixed_choices:
            notes.append("classwise errors are not shown: the choices differ between samples, so they are no classes")
        elif len(answers.loglikelihoods[0]) > MAX_CLASSES:
            notes.append(f"classwise errors are not shown: there are more than {MAX_CLASSES} classes")
        if any(len(right) != 1 for right in settings.gold):
            notes.append("the Brier score over classes is not shown: samples have several right choices")
    return {
        "schema_version": CALIBRATION_SCHEMA_VERSION,
        "path": str(run.path),
        "run_id": run.run_id,
        "model": run.record["model"]["name"],
        "task": run.record["task"]["name"],
        "answers": "generated" if answers.loglikelihoods is None else "choices",
        "run_calibration": run.record["identity"].get("calibration", "none"),
        "n": {
            "total": answers.total,
            "left_out": answers.left_out,
            "fitted": int(fit.sum()),
            "reported": len(reported),
        },
        "bins": bins,
        "seed": seed,
        "n_resamples": n_resamples,
        "notes": notes,
        "variants": [_record(variant, variants[0], settings) for variant in variants],
    }


def _record(variant: Variant, first: Variant, settings: Settings) -> VariantRecord:
    curve = reliability_curve(variant.confidence, variant.correct, n_bins=settings.bins)
    coverage, risk = risk_coverage(variant.confidence, variant.correct)
    shown = np.unique(np.linspace(0, len(risk) - 1, min(len(risk), MAX_POINTS)).round().astype(int))
    return {
        "name": variant.name,
        "about": variant.about,
        "fit": variant.fit,
        "figures": figures_of(variant, first, settings),
        "curve": [
            {"confidence": b.confidence, "accuracy": b.accuracy, "n": b.count, "ci_low": b.low, "ci_high": b.high}
            for b in curve
        ],
        "risk_coverage": [(float(coverage[i]), float(risk[i])) for i in shown],
    }
