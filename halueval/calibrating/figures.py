"""Figures of one variant with their intervals, and their change from another.

Means and Murphy's parts are bootstrapped over whole clusters; calibration errors, whose bootstrap is biased upwards,
get the interval of `stats.calibration.ece_difference` with bins held fixed. Changes are paired: both variants in every
resample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from halueval.calibrating.record import Figure
from halueval.calibrating.variants import Variant
from halueval.stats.bootstrap import Method, Replicates, difference_of_tables, table_replicates
from halueval.stats.calibration import (
    Scheme,
    assign_bins,
    ece_difference,
    ece_floor,
    ece_table,
    negative_log_likelihood_terms,
)
from halueval.stats.intervals import Interval, wilson_interval
from halueval.stats.scoring_rules import (
    MAX_CLASSES,
    Gold,
    brier_sum_terms,
    choice_nll_terms,
    classwise_table,
    murphy_of_sums,
    murphy_table,
)
from halueval.stats.selective import selective_replicates

FloatArray = NDArray[np.float64]

MURPHY = ("brier", "brier_reliability", "brier_resolution", "brier_uncertainty", "brier_within_bins")


@dataclass(frozen=True, slots=True)
class Settings:
    """How figures of the reporting half are made.

    Attributes:
        clusters: of its samples.
        gold: right choices of its samples; empty for a run that generated.
        fixed_choices: whether choices are classes.
        bins: of calibration errors.
        n_resamples: replicates.
        seed: of the draws.
    """

    clusters: tuple[str, ...]
    gold: Gold
    fixed_choices: bool
    bins: int
    n_resamples: int
    seed: int


def figures_of(variant: Variant, first: Variant, settings: Settings) -> dict[str, Figure]:
    """All figures that exist for the variant.

    Args:
        variant: whose.
        first: the variant from which changes are counted; the same object where this is it.
        settings: see there.
    """
    other = None if variant is first else first
    made = {"accuracy": _accuracy(variant, other, settings)}
    for name, table in _ece_tables(variant, settings).items():
        made[name] = _ece(table, None if other is None else _ece_tables(other, settings)[name], settings)
    for name in ("ece_equal_width", "ece_equal_mass"):
        made[name]["floor"] = ece_floor(
            variant.confidence, n_bins=settings.bins, scheme=_scheme(name), seed=settings.seed
        )
    made |= _murphy(variant, other, settings)
    for name, terms in _terms(variant, settings).items():
        made[name] = _mean(terms, None if other is None else _terms(other, settings)[name], settings)
    made |= _selective(variant, other, settings)
    if len(set(variant.correct.tolist())) == 1:
        _without_intervals(made, "right" if variant.correct[0] else "wrong")
    return made


def _without_intervals(figures: dict[str, Figure], what: str) -> None:
    """Take intervals away where all answers are alike: resampling them cannot show how rare the others are."""
    for name, figure in figures.items():
        if name != "accuracy":
            figure["ci_low"] = figure["ci_high"] = figure["delta_low"] = figure["delta_high"] = None
            figure["ci_reason"] = f"all answers are {what}"


def _scheme(name: str) -> Scheme:
    return "equal_width" if name in ("ece_equal_width", "classwise_ece") else "equal_mass"


def _one_right(settings: Settings) -> bool:
    return bool(settings.gold) and all(len(right) == 1 for right in settings.gold)


def _terms(variant: Variant, settings: Settings) -> dict[str, FloatArray]:
    """Figures that are means over samples."""
    terms = {"nll": negative_log_likelihood_terms(variant.confidence, variant.correct)}
    if variant.probabilities is not None:
        terms["choice_nll"] = choice_nll_terms(variant.probabilities, settings.gold)
        if _one_right(settings):
            terms["brier_sum"] = brier_sum_terms(variant.probabilities, settings.gold)
    return terms


def _ece_tables(variant: Variant, settings: Settings) -> dict[str, FloatArray]:
    """Tables of gaps by figure."""
    conf, bins = variant.confidence, settings.bins
    width = assign_bins(conf, n_bins=bins, scheme="equal_width")
    mass = assign_bins(conf, n_bins=bins, scheme="equal_mass")
    tables = {
        "ece_equal_width": ece_table(conf, variant.correct, width, n_bins=bins),
        "ece_equal_mass": ece_table(conf, variant.correct, mass, n_bins=bins),
    }
    p = variant.probabilities
    if p is not None and settings.fixed_choices and _one_right(settings) and p.shape[1] <= MAX_CLASSES:
        tables["classwise_ece"] = classwise_table(p, settings.gold, n_bins=bins, scheme="equal_width")
        tables["adaptive_classwise_ece"] = classwise_table(p, settings.gold, n_bins=bins, scheme="equal_mass")
    return tables


def _figure(value: float, interval: Interval, delta: float | None = None, change: Interval | None = None) -> Figure:
    assert math.isfinite(value)
    return {
        "value": value,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_method": interval.method,
        "ci_reason": interval.reason,
        "floor": None,
        "delta": delta,
        "delta_low": None if change is None else change.low,
        "delta_high": None if change is None else change.high,
    }


def _ece(table: FloatArray, before: FloatArray | None, settings: Settings) -> Figure:
    def against(other: FloatArray) -> tuple[float, Interval, Interval]:
        made, _ = ece_difference(other, table, settings.clusters, n_resamples=settings.n_resamples, seed=settings.seed)
        return made.value, made.interval((0.0, 1.0)), made.interval((-1.0, 1.0))

    # Against gaps of nothing, the difference is the error itself.
    nothing = np.zeros_like(table)
    nothing[:, -1] = 1.0
    value, interval, _ = against(nothing)
    if before is None:
        return _figure(value, interval)
    delta, _, change = against(before)
    return _figure(value, interval, delta, change)


def _replicates(table: FloatArray, finalize: Callable[[FloatArray], FloatArray], settings: Settings) -> Replicates:
    return table_replicates(table, finalize, settings.clusters, n_resamples=settings.n_resamples, seed=settings.seed)


def _of_tables(
    table: FloatArray,
    before: FloatArray | None,
    finalize: Callable[[FloatArray], FloatArray],
    settings: Settings,
    method: Method = "percentile",
) -> Figure:
    own = _replicates(table, finalize, settings)
    if before is None:
        return _figure(own.estimate, own.interval(method))
    change = _replicates(*difference_of_tables(before, table, finalize), settings)
    return _figure(own.estimate, own.interval(method), change.estimate, change.interval(method))


def _mean_of(sums: FloatArray) -> FloatArray:
    out: FloatArray = sums[:, 0] / sums[:, 1]
    return out


def _mean(terms: FloatArray, before: FloatArray | None, settings: Settings) -> Figure:
    tables = [None if t is None else np.stack([t, np.ones_like(t)], axis=1) for t in (terms, before)]
    assert tables[0] is not None
    return _of_tables(tables[0], tables[1], _mean_of, settings)


def _accuracy(variant: Variant, other: Variant | None, settings: Settings) -> Figure:
    made = _mean(variant.correct, None if other is None else other.correct, settings)
    if made["ci_low"] is None and made["value"] in (0.0, 1.0):
        # All right or all wrong: the bootstrap has no width, Wilson's interval over clusters has.
        n = len(set(settings.clusters))
        ends = wilson_interval(made["value"] * n, n)
        made |= {"ci_low": ends.low, "ci_high": ends.high, "ci_method": ends.method, "ci_reason": None}
    return made


def _murphy(variant: Variant, other: Variant | None, settings: Settings) -> dict[str, Figure]:
    def table(of: Variant) -> FloatArray:
        return murphy_table(of.confidence, of.correct, n_bins=settings.bins)

    made = {}
    own, before = table(variant), None if other is None else table(other)
    for column, name in enumerate(MURPHY):

        def part(sums: FloatArray, column: int = column) -> FloatArray:
            return murphy_of_sums(sums)[:, column]

        # Reliability and resolution are biased upwards in resamples; an interval around the figure is not.
        one = _of_tables(own, before, part, settings, "percentile" if column == 0 else "standard")
        if name != "brier_within_bins" and one["ci_low"] is not None:
            one["ci_low"] = max(0.0, one["ci_low"])
        made[name] = one
    return made


def _selective(variant: Variant, other: Variant | None, settings: Settings) -> dict[str, Figure]:
    def drawn(of: Variant) -> dict[str, Replicates]:
        return selective_replicates(
            of.confidence, of.correct, settings.clusters, n_resamples=settings.n_resamples, seed=settings.seed
        )

    own, before = drawn(variant), None if other is None else drawn(other)
    made = {}
    for key, one in own.items():
        name = key if key == "aurc" else f"accuracy_at_{key}"
        if before is None:
            made[name] = _figure(one.estimate, one.interval())
        else:
            first = before[key]
            change = replace(one, estimate=one.estimate - first.estimate, values=one.values - first.values)
            made[name] = _figure(one.estimate, one.interval(), change.estimate, change.interval())
    return made
