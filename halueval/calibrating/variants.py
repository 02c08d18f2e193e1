"""Ways of taking confidences from the same answers: as they are, rescaled, and with a correction of the choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.calibrating.answers import Answers
from halueval.calibrating.record import Fit
from halueval.choice_calibration import METHODS, batch_correction, corrected, correction
from halueval.scorers.likelihood import argmax_against
from halueval.stats.rescaling import apply_platt, fit_platt, fit_temperature, pad, softmax

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

AS_IS = "as is"
ABOUT = {
    "contextual": "divided by the mean probability given 'N/A', '' and '[MASK]' (Zhao 2021)",
    "domain": "divided by the probability given the domain premise (Holtzman 2021)",
    "pmi": "divided by the probability given nothing",
    "batch": "divided by the mean probability over all samples (Zhou 2024)",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """Confidences and outcomes of the reporting half.

    Attributes:
        name: as shown.
        about: what was done, in a line.
        confidence: shape (m,), in [0, 1].
        correct: shape (m,), 0 or 1.
        probabilities: shape (m, most choices); None for a run that generated.
        fit: what was fitted on the other half.
    """

    name: str
    about: str
    confidence: FloatArray
    correct: FloatArray
    probabilities: FloatArray | None = None
    fit: Fit | None = None


def variants_of(answers: Answers, fit: Mask, *, seed: int, n_resamples: int) -> tuple[list[Variant], list[str]]:
    """All variants that the run allows, and a line for each that it does not.

    Args:
        answers: of the run.
        fit: shape (n,), true for the half to fit on.
        seed: of the draws for the temperature's interval.
        n_resamples: their number.

    Returns:
        The variants, `AS_IS` first, and notes.
    """
    if answers.loglikelihoods is None:
        return _generated(answers, fit), []
    scores, notes = _scores(answers)
    made, tuned = [], []
    for method, rows in scores.items():
        plain, scaled, note = _chosen(method, rows, answers, fit, seed, n_resamples)
        made.append(plain)
        tuned.append(scaled)
        notes.extend(note)
    # As is and with a temperature, then each correction and each with a temperature.
    return [variant for pair in zip(made, tuned, strict=True) for variant in pair], notes


def _scores(answers: Answers) -> tuple[dict[str, list[tuple[float, ...]]], list[str]]:
    """Scores of the choices by method, `none` first."""
    raw = list(answers.loglikelihoods or ())
    scores, notes = {"none": raw}, []
    shared = batch_correction(raw) if answers.fixed_choices else None
    for method in METHODS[1:]:
        if method == "batch":
            rows = None if shared is None else [corrected(row, shared) for row in raw]
            if rows is None:
                notes.append("batch calibration is not shown: the choices differ between samples")
        else:
            less = [correction(method, baselines) for baselines in answers.baselines]
            rows = [corrected(row, one) for row, one in zip(raw, less, strict=True) if one is not None]
            if len(rows) < len(raw):
                continue  # the run did not ask for it
        if rows is not None:
            scores[method] = rows
    return scores, notes


def _chosen(
    method: str, rows: Sequence[tuple[float, ...]], answers: Answers, fit: Mask, seed: int, n_resamples: int
) -> tuple[Variant, Variant, list[str]]:
    """A method without and with a temperature."""
    scores, gold = pad(rows), answers.gold
    tuning = np.flatnonzero(fit)
    fitted = fit_temperature(
        scores[tuning],
        [gold[i] for i in tuning],
        [answers.clusters[i] for i in tuning],
        n_resamples=min(n_resamples, 1000),
        seed=seed,
    )
    reported = np.flatnonzero(~fit)
    chosen = np.array([argmax_against(rows[i], gold[i]) for i in reported.tolist()])
    right = np.array([float(choice in gold[i]) for choice, i in zip(chosen, reported, strict=True)])
    name = AS_IS if method == "none" else method
    about = "softmax of the choices' log-likelihoods" if method == "none" else ABOUT[method]
    after: Fit = {
        "temperature": fitted.value,
        "temperature_low": fitted.interval.low,
        "temperature_high": fitted.interval.high,
        "at_bound": fitted.at_bound,
        "slope": None,
        "intercept": None,
    }

    def variant(name: str, about: str, temperature: float, fit: Fit | None) -> Variant:
        p = softmax(scores[reported], temperature)
        return Variant(name, about, p[np.arange(len(chosen)), chosen], right, p, fit)

    label = "temperature" if method == "none" else f"{method} + temperature"
    notes = [f"{label}: no best temperature exists for the fitting half; the end of the range was taken"]
    return (
        variant(name, about, 1.0, None),
        variant(label, f"{about}, at the fitted temperature (Guo 2017)", fitted.value, after),
        notes if fitted.at_bound else [],
    )


def _generated(answers: Answers, fit: Mask) -> list[Variant]:
    confidence, correct = answers.confidence, answers.correct
    fitted = fit_platt(confidence[fit], correct[fit])
    after: Fit = {
        "temperature": None,
        "temperature_low": None,
        "temperature_high": None,
        "at_bound": False,
        "slope": fitted.slope,
        "intercept": fitted.intercept,
    }
    about = "probability of the whole response"
    return [
        Variant(AS_IS, about, confidence[~fit], correct[~fit]),
        Variant(
            "platt",
            f"{about}, through a fitted sigmoid of its log-odds (Platt 1999)",
            apply_platt(confidence[~fit], fitted),
            correct[~fit],
            None,
            after,
        ),
    ]
