"""How unlike two collections of texts are, word by word.

- Jensen-Shannon distance of word n-grams: √JSD with base-2 logarithms, in [0, 1] (Lin 1991; a metric: Endres and
  Schindelin 2003). JSD of finite samples of one source is above 0, the more so for rare n-grams: `null` is its mean
  over random divisions of the pooled texts, and p the share of these that reach the value.
- coverage: the share of the task's n-grams, each as often as it occurs, that the training data holds.

Intervals leave out groups of texts (`stats.two_samples`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halueval.explaining.record import Measure, measure, missing
from halueval.stats.two_samples import jackknife_two_samples, permutation_null, upper_p

FloatArray = NDArray[np.float64]
ORDERS = (1, 2)


@dataclass(frozen=True, slots=True)
class Counts:
    """n-grams of pooled texts. `text` and `gram` have shape (occurrences,); the first `n` texts are one set."""

    text: NDArray[np.intp]
    gram: NDArray[np.intp]
    n: int
    m: int
    n_grams: int

    def of(self, weights: FloatArray) -> FloatArray:
        """Occurrences of each n-gram, texts weighted; shape (n_grams,)."""
        return np.bincount(self.gram, weights=weights[self.text], minlength=self.n_grams).astype(np.float64)


def count_ngrams(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]], order: int) -> Counts:
    """Count n-grams of two collections of texts, each given as words."""
    numbers: dict[tuple[str, ...], int] = {}
    text, gram = [], []
    for number, words in enumerate((*first, *second)):
        for i in range(len(words) - order + 1):
            text.append(number)
            gram.append(numbers.setdefault(tuple(words[i : i + order]), len(numbers)))
    return Counts(np.array(text, dtype=np.intp), np.array(gram, dtype=np.intp), len(first), len(second), len(numbers))


def js_distance(p: FloatArray, q: FloatArray) -> float:
    """√ of the Jensen-Shannon divergence in bits of two rows of counts of one length; NaN where one is all zero."""
    if not p.sum() or not q.sum():
        return float("nan")
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    divergence = sum(float((side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum()) / 2 for side in (p, q))
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def lexical_distances(
    training: Sequence[Sequence[str]], task: Sequence[Sequence[str]], *, n_permutations: int, seed: int
) -> dict[str, Measure]:
    """Jensen-Shannon distance and coverage for words and pairs of words.

    Args:
        training: texts as words.
        task: texts as words.
        n_permutations: draws of the null.
        seed: of groups and draws.
    """
    out = {}
    for order in ORDERS:
        counts = count_ngrams(training, task, order)
        out[f"js_distance_{order}"] = _distance(counts, order, n_permutations, seed)
        out[f"coverage_{order}"] = _coverage(counts, order, seed)
    return out


def no_lexical(reason: str) -> dict[str, Measure]:
    """The same measures, not taken."""
    return {
        f"{name}_{order}": missing(label(order), reason)
        for order in ORDERS
        for name, label in (("js_distance", _distance_label), ("coverage", _coverage_label))
    }


def _grams(order: int) -> str:
    return "words" if order == 1 else f"word {order}-grams"


def _distance_label(order: int) -> str:
    return f"Jensen–Shannon distance of {_grams(order)}"


def _coverage_label(order: int) -> str:
    return f"share of the task's {_grams(order)} that occur in the training data"


def _distance(counts: Counts, order: int, n_permutations: int, seed: int) -> Measure:
    n, m = counts.n, counts.m
    pad_left, pad_right = np.zeros(n), np.zeros(m)

    def statistic(first: FloatArray, second: FloatArray) -> float:
        return js_distance(counts.of(np.r_[first, pad_right]), counts.of(np.r_[pad_left, second]))

    estimate = jackknife_two_samples(statistic, n, m, seed)
    if not np.isfinite(estimate.value):
        return missing(_distance_label(order), f"one side holds no {_grams(order)}")
    null = permutation_null(
        lambda mask: js_distance(counts.of(mask.astype(np.float64)), counts.of((~mask).astype(np.float64))),
        n,
        m,
        n_permutations=n_permutations,
        seed=seed,
    )
    null = null[np.isfinite(null)]
    low, high = estimate.interval(0.0, 1.0)
    return measure(
        _distance_label(order),
        estimate.value,
        low,
        high,
        n=m,
        p=upper_p(estimate.value, null),
        null=float(null.mean()) if len(null) else None,
        method="delete-a-group jackknife; permutation of texts",
        reason=None if low is not None else "no interval: too few texts",
    )


def _coverage(counts: Counts, order: int, seed: int) -> Measure:
    n, m = counts.n, counts.m

    def statistic(first: FloatArray, second: FloatArray) -> float:
        trained = counts.of(np.r_[first, np.zeros(m)]) > 0
        tested = counts.of(np.r_[np.zeros(n), second])
        return float(tested[trained].sum() / tested.sum()) if tested.sum() else float("nan")

    estimate = jackknife_two_samples(statistic, n, m, seed)
    if not np.isfinite(estimate.value):
        return missing(_coverage_label(order), f"the task's texts hold no {_grams(order)}", "share")
    low, high = estimate.interval(0.0, 1.0)
    return measure(
        _coverage_label(order),
        estimate.value,
        low,
        high,
        n=m,
        unit="share",
        method="delete-a-group jackknife",
        reason=None if low is not None else "no interval: nothing varies, or too few texts",
    )
