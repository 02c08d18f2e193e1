"""The same comparison within groups: by relation, category, language, variant, known-class, quartile.

A column of numbers with many values (popularity) is cut into quartiles of the paired samples. A key that
tells nearly every sample apart breaks nothing down and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halueval.compare.columns import Columns
from halueval.compare.fields import Figure, Stratum
from halueval.compare.figures import Engine, difference
from halueval.compare.pairing import Pairs
from halueval.compare.recipes import NotComparableError, Recipe
from halueval.compare.transitions import Transitions, net_rate, rates
from halueval.stats.multiplicity import benjamini_hochberg

SMALL = 30
MAX_RESAMPLES = 2000
MIN_MEAN_SIZE = 3
MAX_NUMERIC_VALUES = 12


def strata(
    groups: Sequence[Mapping[str, str]],
    recipe: Recipe | None,
    sides: tuple[Columns, Columns],
    pairs: Pairs,
    states: Transitions,
    engine: Engine,
) -> tuple[dict[str, dict[str, Stratum]], list[str]]:
    """All breakdowns of a task.

    Args:
        groups: the strata of each pair, by key.
        recipe: of the task's primary figure; None where it cannot be compared.
        sides: samples of both.
        pairs: which rows belong together.
        states: of the pairs.
        engine: level, seed, replicates (at most 2,000 are used within a stratum).

    Returns:
        Stratum by value by key, and a note for each key that is left out.
    """
    engine = replace(engine, n_resamples=min(engine.n_resamples, MAX_RESAMPLES))
    out: dict[str, dict[str, Stratum]] = {}
    notes = []
    for key in dict.fromkeys(key for group in groups for key in group):
        values = _binned([group.get(key, "not given") for group in groups])
        names = _in_order(set(values))
        if len(values) < MIN_MEAN_SIZE * len(names):
            notes.append(f"no breakdown by {key}: {len(names)} values for {len(values)} pairs")
            continue
        if len(names) < 2:
            continue
        array = np.array(values, dtype=object)
        made = {name: _stratum(array == name, recipe, sides, pairs, states, engine) for name in names}
        _adjust(list(made.values()), engine.alpha)
        out[key] = made
    return out, notes


def _stratum(
    mask: NDArray[np.bool_],
    recipe: Recipe | None,
    sides: tuple[Columns, Columns],
    pairs: Pairs,
    states: Transitions,
    engine: Engine,
) -> Stratum:
    part = states.of(mask)
    inside = replace(
        pairs,
        base=pairs.base[mask],
        candidate=pairs.candidate[mask],
        unpaired_base=pairs.unpaired_base[:0],
        unpaired_candidate=pairs.unpaired_candidate[:0],
    )
    metric: Figure | None = None
    if recipe is not None:
        try:
            metric = difference(recipe, sides, inside, part.clusters, engine).figure
        except NotComparableError:
            # Undefined in this stratum alone (nothing scored in it); the record has None for that.
            metric = None
    found = rates(part)
    return {
        "n": int(mask.sum()),
        "small": int(mask.sum()) < SMALL,
        "metric": metric,
        "induced_rate": found["induced_rate"],
        "repaired_rate": found["repaired_rate"],
        "net_rate": net_rate(part, engine)[0],
        "transitions": part.matrix(),
    }


def _adjust(made: Sequence[Stratum], alpha: float) -> None:
    """Benjamini-Hochberg over the strata of one key, for the primary figure and the net rate each."""
    metrics = [s["metric"] for s in made if s["metric"] is not None]
    nets = [s["net_rate"] for s in made]
    for family in (metrics, nets):
        tested = [item for item in family if item["p_value"] is not None]
        for item, value in zip(tested, benjamini_hochberg([item["p_value"] or 0.0 for item in tested]), strict=True):
            item["p_adjusted"] = float(value)
            item["significant"] = float(value) < alpha


def _binned(values: Sequence[str]) -> list[str]:
    """The values, or their quartiles where they are numbers and many."""
    distinct = set(values)
    if len(distinct) <= MAX_NUMERIC_VALUES:
        return list(values)
    numbers = [_number(value) for value in values]
    known = [number for number in numbers if number is not None]
    if len({value for value, number in zip(values, numbers, strict=True) if number is None}) > 1 or not known:
        return list(values)
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    top = max(known)
    edges = [
        (low, f"Q1 (≤ {low:g})"),
        (middle, f"Q2 (≤ {middle:g})"),
        (high, f"Q3 (≤ {high:g})"),
        (top, f"Q4 (≤ {top:g})"),
    ]
    return [
        value if number is None else next(name for edge, name in edges if number <= edge)
        for value, number in zip(values, numbers, strict=True)
    ]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _in_order(names: set[str]) -> list[str]:
    """Numbers by size, then the rest by name."""
    return sorted(names, key=lambda name: (_number(name) is None, _number(name) or 0.0, name))
