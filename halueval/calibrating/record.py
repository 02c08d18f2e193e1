"""The shape of what `halueval calibrate --json` prints."""

from __future__ import annotations

from typing import TypedDict

CALIBRATION_SCHEMA_VERSION = 1


class Figure(TypedDict):
    """A figure with its 95 % interval, and its change from the first variant.

    `value` is never NaN; ends are None where no interval can be given (`ci_reason`), and everything of the change is
    None for the first variant. `floor` is what chance alone adds to a calibration error.
    """

    value: float
    ci_low: float | None
    ci_high: float | None
    ci_method: str
    ci_reason: str | None
    floor: float | None
    delta: float | None
    delta_low: float | None
    delta_high: float | None


class Bin(TypedDict):
    """A bin of the reliability diagram with Wilson's interval of its accuracy."""

    confidence: float
    accuracy: float
    n: int
    ci_low: float
    ci_high: float


class Fit(TypedDict):
    """What was fitted on the fitting half: a temperature, or slope and intercept of a sigmoid."""

    temperature: float | None
    temperature_low: float | None
    temperature_high: float | None
    at_bound: bool
    slope: float | None
    intercept: float | None


class VariantRecord(TypedDict):
    """One way of taking confidences from the run's answers, on the reporting half."""

    name: str
    about: str
    fit: Fit | None
    figures: dict[str, Figure]
    curve: list[Bin]
    risk_coverage: list[tuple[float, float]]


class Counts(TypedDict):
    """Samples of the run: those left out by reason, and those of the two halves."""

    total: int
    left_out: dict[str, int]
    fitted: int
    reported: int


class CalibrationRecord(TypedDict):
    """Everything that tables and page show."""

    schema_version: int
    path: str
    run_id: str
    model: str
    task: str
    answers: str
    run_calibration: str
    n: Counts
    bins: int
    seed: int
    n_resamples: int
    notes: list[str]
    variants: list[VariantRecord]
