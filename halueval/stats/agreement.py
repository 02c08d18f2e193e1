"""Agreement of a scorer with people: correlations, ranking and classification figures, with bootstrap intervals.

Every figure is a function of integer weights, one a row, so that a resample is a row of weights and many are computed
at once; weights of 1 give the figure itself. A row drawn twice counts as two rows, tied with each other.

Directions: a higher score means more consistent. ROC AUC is the chance that a consistent claim is scored above an
inconsistent one, ties counting half. Average precision is that of *detection*: its positive class are the
inconsistent claims, ranked by falling score negated; a scorer that knows nothing has their share as its value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halueval.stats.measure import Figure, FloatArray, Measure, estimate, pair_arrays, problem_of
from halueval.stats.weighted import midranks, ratio, spread, tied_pairs, weighted_pearson

__all__ = [
    "Figure",
    "Measure",
    "average_precision",
    "balanced_accuracy",
    "choose_threshold",
    "estimate",
    "kendall",
    "partial_pearson",
    "partial_spearman",
    "pearson",
    "roc_auc",
    "spearman",
]

MAX_PAIRWISE = 4096
"""Most rows for which Kendall's interval is computed: it needs a matrix of all pairs."""


def pearson(scores: FloatArray, human: FloatArray) -> Measure:
    """Pearson's correlation.

    Args:
        scores: shape (n,).
        human: shape (n,).

    Raises:
        ValueError: arrays of different length.
    """
    x, y = pair_arrays(scores, human)
    problem = problem_of(x, y)
    columns = np.column_stack([_centred(x), _centred(y)])
    table = np.column_stack([columns, columns**2, columns.prod(axis=1)])

    def statistic(weights: FloatArray) -> FloatArray:
        n = weights.sum(axis=1)
        mx, my, xx, yy, xy = (weights @ table / n[:, None]).T
        return ratio(xy - mx * my, spread(xx, mx), spread(yy, my))

    return Measure(statistic, problem)


def spearman(scores: FloatArray, human: FloatArray) -> Measure:
    """Spearman's correlation: Pearson's of mid-ranks, taken anew in every resample. Arguments as `pearson`."""
    x, y = pair_arrays(scores, human)

    def statistic(weights: FloatArray) -> FloatArray:
        return weighted_pearson(midranks(x[None], weights), midranks(y[None], weights), weights)

    return Measure(statistic, problem_of(x, y))


def kendall(scores: FloatArray, human: FloatArray) -> Measure:
    """Kendall's tau-b (ties taken out of both scales).

    With two human values it follows from ranks; with more, above `MAX_PAIRWISE` rows, it has no interval. Arguments
    as `pearson`.
    """
    x, y = pair_arrays(scores, human)
    binary = len(np.unique(y)) == 2
    concordance = _binary_concordance if binary else _pairwise_concordance

    def statistic(weights: FloatArray) -> FloatArray:
        total = weights.sum(axis=1)
        untied = [total * (total - 1) - tied_pairs(values, weights) for values in (x, y)]
        return ratio(concordance(x, y, weights), untied[0], untied[1])

    many = f"more than {MAX_PAIRWISE:,} rows: an interval of Kendall's tau needs all pairs at once"
    return Measure(statistic, problem_of(x, y), many if len(x) > MAX_PAIRWISE and not binary else None)


def _binary_concordance(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Ordered pairs that agree minus those that disagree, from the rank sum of the rows with the larger y."""
    larger = weights * (y == y.max())
    p = larger.sum(axis=1)
    q = weights.sum(axis=1) - p
    above = (larger * midranks(x[None], weights)).sum(axis=1) - p * (p + 1) / 2
    return np.asarray(2 * (2 * above - p * q))


def _pairwise_concordance(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """The same from all pairs, a block of rows at a time."""
    out = np.zeros(len(weights))
    step = max(1, 8_000_000 // max(len(x), 1))
    # Single precision holds these whole numbers exactly: they stay below 2**24.
    drawn = weights.astype(np.float32)
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        signs = np.sign(x[block, None] - x) * np.sign(y[block, None] - y)
        out += ((drawn @ signs.astype(np.float32).T).astype(np.float64) * weights[:, block]).sum(axis=1)
    return out


def partial_pearson(scores: FloatArray, human: FloatArray, groups: Sequence[str]) -> Measure:
    """Pearson's correlation of what is left of both after regressing each on one-hot groups (Pagnoni et al. 2021).

    The recipe of FRANK's `evaluation/evaluate.py`: regressing on one-hot groups takes each group's mean away.

    Args:
        scores: shape (n,).
        human: shape (n,).
        groups: n names, the system that wrote each row.
    """
    return _partial(scores, human, groups, ranks=False)


def partial_spearman(scores: FloatArray, human: FloatArray, groups: Sequence[str]) -> Measure:
    """Spearman's correlation of the same residuals. Arguments as `partial_pearson`."""
    return _partial(scores, human, groups, ranks=True)


def _partial(scores: FloatArray, human: FloatArray, groups: Sequence[str], *, ranks: bool) -> Measure:
    x, y = pair_arrays(scores, human)
    if len(groups) != len(x):
        raise ValueError(f"{len(x)} scores and {len(groups)} groups")
    names, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    one_hot = np.eye(len(names))[index]

    def residuals(values: FloatArray, weights: FloatArray) -> FloatArray:
        # The weight of a group that a resample lacks is 0, and none of its rows counts.
        means = weights @ (one_hot * values[:, None]) / np.maximum(weights @ one_hot, 1)
        left = values - means[:, index]
        # Rounding must neither make ties differ nor leave something where a group holds one value only.
        scale = max(float(np.abs(values).max()), 1e-300)
        return np.asarray(np.round(left / scale, 10))

    def statistic(weights: FloatArray) -> FloatArray:
        left = [residuals(values, weights) for values in (x, y)]
        if ranks:
            left = [midranks(values, weights) for values in left]
        return weighted_pearson(left[0], left[1], weights)

    problem = problem_of(x, y)
    if problem is None and len(names) < 2:
        problem = "one system only: nothing to hold constant"
    if problem is None and not all(residuals(v, np.ones((1, len(x)))).any() for v in (x, y)):
        problem = "within each system all scores are equal"
    return Measure(statistic, problem)


def roc_auc(scores: FloatArray, consistent: NDArray[np.bool_]) -> Measure:
    """Chance that a consistent claim is scored above an inconsistent one; ties count half.

    Args:
        scores: shape (n,).
        consistent: shape (n,), the human label.
    """
    x, labels = pair_arrays(scores, consistent)

    def statistic(weights: FloatArray) -> FloatArray:
        positive = weights * labels
        p = positive.sum(axis=1)
        q = weights.sum(axis=1) - p
        above = (positive * midranks(x[None], weights)).sum(axis=1) - p * (p + 1) / 2
        return _divide(above, p * q)

    return Measure(statistic, _class_problem(x, labels))


def average_precision(scores: FloatArray, consistent: NDArray[np.bool_]) -> Measure:
    """Average precision of finding the inconsistent claims by their low scores.

    Sum over distinct scores, from the lowest, of the recall gained times the precision reached, so that rows with
    equal scores are taken together. Arguments as `roc_auc`.
    """
    x, labels = pair_arrays(scores, consistent)
    order = np.argsort(x, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(x[order]) != 0])

    def statistic(weights: FloatArray) -> FloatArray:
        drawn = weights[:, order]
        seen = np.add.reduceat(drawn, starts, axis=1).cumsum(axis=1)
        gained = np.add.reduceat(drawn * (1 - labels[order]), starts, axis=1)
        found = gained.cumsum(axis=1)
        precision = np.divide(found, seen, out=np.zeros_like(seen), where=seen > 0)
        total = found[:, -1]
        return _divide((gained * precision).sum(axis=1), total)

    return Measure(statistic, _class_problem(x, labels))


def balanced_accuracy(scores: FloatArray, consistent: NDArray[np.bool_], threshold: float) -> Measure:
    """Mean of the shares of consistent claims at or above the threshold and of inconsistent ones below it.

    Args:
        scores: shape (n,).
        consistent: shape (n,), the human label.
        threshold: chosen elsewhere; see `choose_threshold`.
    """
    x, labels = pair_arrays(scores, consistent)
    above = (x >= threshold).astype(np.float64)
    table = np.column_stack([labels, labels * above, 1 - labels, (1 - labels) * (1 - above)])

    def statistic(weights: FloatArray) -> FloatArray:
        p, hits, q, misses = (weights @ table).T
        defined = p * q > 0
        out = np.full(len(p), np.nan)
        out[defined] = (hits[defined] / p[defined] + misses[defined] / q[defined]) / 2
        return out

    return Measure(statistic, _class_problem(x, labels, constant=False))


def choose_threshold(scores: FloatArray, consistent: NDArray[np.bool_]) -> tuple[float | None, str | None]:
    """The threshold with the best balanced accuracy on validation scores.

    Candidates lie half-way between neighbouring distinct scores; of several that are equally good the middle one is
    taken (of two middle ones the lower).

    Args:
        scores: shape (n,), of the validation part.
        consistent: shape (n,), the human label.

    Returns:
        The threshold, and None; or None and the reason.
    """
    x, labels = pair_arrays(scores, consistent)
    problem = _class_problem(x, labels)
    if problem is not None:
        return None, problem
    values, inverse = np.unique(x, return_inverse=True)
    good = np.bincount(inverse, weights=labels)
    bad = np.bincount(inverse, weights=1 - labels)
    # Index k: everything from the (k+1)-th distinct value on counts as consistent.
    kept = 1 - good.cumsum()[:-1] / good.sum()
    caught = bad.cumsum()[:-1] / bad.sum()
    total = kept + caught
    best = np.flatnonzero(total >= total.max() - 1e-12)
    k = int(best[(len(best) - 1) // 2])
    return float(values[k] / 2 + values[k + 1] / 2), None


def _class_problem(x: FloatArray, labels: FloatArray, *, constant: bool = True) -> str | None:
    problem = problem_of(x, labels)
    if problem == "all human values are equal":
        return "all labels are equal"
    return None if problem == "all scores are equal" and not constant and labels.min() != labels.max() else problem


def _centred(values: FloatArray) -> FloatArray:
    return values - values.mean() if len(values) and np.isfinite(values).all() else values


def _divide(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
