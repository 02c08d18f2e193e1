"""What the labels say, with intervals: shares of the classes, accuracy of each, and how far two halves agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from halueval.known import KNOWN_CLASSES, KnownClass, KnownFact
from halueval.stats.bootstrap import table_replicates
from halueval.stats.intervals import wilson_interval

FloatArray = NDArray[np.float64]


class Share(TypedDict):
    """A share with its 95 % interval; None where there is none, with the reason."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    reason: str | None


class ClassFigure(TypedDict):
    """One class: how many facts it has, and how many of them a fresh prompt gets right."""

    known_class: KnownClass
    count: int
    share: Share
    fresh_accuracy: Share


class Agreement(TypedDict):
    """Labels from one half of the prompts against those of the other half, over the same facts.

    A half has fewer prompts than the labels, so it finds more Unknown, and the whole agrees better than its halves.
    """

    observed: Share
    kappa: Share
    table: list[list[int]]


def share(successes: int, n: int) -> Share:
    """A proportion with Wilson's interval."""
    if n == 0:
        return {"value": None, "ci_low": None, "ci_high": None, "n": 0, "reason": "no facts"}
    ends = wilson_interval(successes, n)
    return {"value": successes / n, "ci_low": ends.low, "ci_high": ends.high, "n": n, "reason": None}


def class_figures(facts: Sequence[KnownFact]) -> list[ClassFigure]:
    """Counts, shares and accuracies of the classes, from what is known best to what is not known."""
    out: list[ClassFigure] = []
    for name in KNOWN_CLASSES:
        mine = [fact for fact in facts if fact.known_class == name]
        out.append(
            {
                "known_class": name,
                "count": len(mine),
                "share": share(len(mine), len(facts)),
                "fresh_accuracy": share(sum(fact.fresh_correct for fact in mine), len(mine)),
            }
        )
    return out


def by_group(facts: Sequence[KnownFact], key: str) -> dict[str, dict[KnownClass, int]]:
    """Counts of the classes by a stratum's values, in the order of their names."""
    out: dict[str, dict[KnownClass, int]] = {}
    for fact in facts:
        counts = out.setdefault(fact.group.get(key, "not given"), dict.fromkeys(KNOWN_CLASSES, 0))
        counts[fact.known_class] += 1
    return dict(sorted(out.items()))


def agreement(
    first: Sequence[KnownClass], second: Sequence[KnownClass], *, n_resamples: int = 10_000, seed: int = 0
) -> Agreement:
    """How far two labellings of the same facts agree.

    Cohen's kappa = (p - e)/(1 - e), p the share of equal labels, e that of two labellings with these shares of classes
    by chance (Cohen 1960); its interval is a percentile bootstrap over facts.

    Args:
        first: n labels.
        second: n labels of the same facts.
        n_resamples: of the bootstrap.
        seed: of the draws.

    Raises:
        ValueError: no facts, or different numbers of them.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} labels")
    k = len(KNOWN_CLASSES)
    place = {name: i for i, name in enumerate(KNOWN_CLASSES)}
    cells = np.zeros((len(first), k * k))
    for row, (a, b) in enumerate(zip(first, second, strict=True)):
        cells[row, place[a] * k + place[b]] = 1.0
    counts = cells.sum(axis=0).reshape(k, k)
    equal = int(np.trace(counts))
    made = table_replicates(cells, _kappa, n_resamples=n_resamples, seed=seed)
    ends = made.interval()
    finite = bool(np.isfinite(made.estimate))
    return {
        "observed": share(equal, len(first)),
        "kappa": {
            "value": made.estimate if finite else None,
            "ci_low": ends.low if finite else None,
            "ci_high": ends.high if finite else None,
            "n": len(first),
            "reason": ends.reason if finite else "both halves give every fact one and the same class",
        },
        "table": counts.astype(int).tolist(),
    }


def _kappa(sums: FloatArray) -> FloatArray:
    """Cohen's kappa from sums of one-hot cells, shape (b, k²) to (b,); NaN where chance explains all."""
    k = len(KNOWN_CLASSES)
    tables = sums.reshape(len(sums), k, k)
    total = tables.sum(axis=(1, 2))
    out = np.full(len(sums), np.nan)
    observed = np.trace(tables, axis1=1, axis2=2)
    by_chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1)
    # Times n²: (n·Σ equal - Σ row·column) / (n² - Σ row·column).
    numerator, denominator = total * observed - by_chance, total**2 - by_chance
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
