"""How unlike two collections of texts are in meaning, by vectors of the packaged sentence encoder.

- energy distance 2E|X-Y| - E|X-X'| - E|Y-Y'| with Euclidean norms, over all pairs (Székely and Rizzo 2013, J. Stat.
  Plan. Inference 143:1249): 0 only for equal distributions. `energy_coefficient` divides it by 2E|X-Y|, which puts it
  into [0, 1]. `null` and p come from random divisions of the pooled texts.
- `mean_distance`: Euclidean norm of the difference of the two mean vectors, which are inside the unit sphere.

Intervals leave out groups of texts (`stats.two_samples`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halueval.explaining.record import Measure, measure, missing
from halueval.stats.two_samples import Statistic, jackknife_two_samples, permutation_null, upper_p

FloatArray = NDArray[np.float64]

_LABELS = {
    "energy_coefficient": "energy coefficient of sentence embeddings",
    "mean_distance": "distance of the mean sentence embeddings",
}


def pairwise(vectors: FloatArray) -> FloatArray:
    """Euclidean distances; shape (n, size) to (n, n)."""
    squares = (vectors**2).sum(1)
    gaps = np.maximum(squares[:, None] + squares[None, :] - 2 * vectors @ vectors.T, 0.0)
    np.fill_diagonal(gaps, 0.0)
    root: FloatArray = np.sqrt(gaps)
    return root


def energy(distances: FloatArray, first: FloatArray, second: FloatArray) -> tuple[float, float]:
    """Energy distance and coefficient from pooled distances (N, N) and weights of both sets, shape (N,) each."""
    a, b = first / first.sum(), second / second.sum()
    to_a, to_b = distances @ a, distances @ b
    across = 2 * float(a @ to_b)
    value = max(across - float(a @ to_a) - float(b @ to_b), 0.0)
    return value, value / across if across > 0 else 0.0


def embedding_distances(
    training: FloatArray, task: FloatArray, *, n_permutations: int, seed: int
) -> dict[str, Measure]:
    """Both measures.

    Args:
        training: shape (n, size), a vector a text.
        task: shape (m, size).
        n_permutations: draws of the null.
        seed: of groups and draws.
    """
    n, m = len(training), len(task)
    pooled = np.concatenate([training, task]).astype(np.float64)
    distances = pairwise(pooled)
    left, right = np.zeros(n), np.zeros(m)

    def coefficient(first: FloatArray, second: FloatArray) -> float:
        return energy(distances, np.r_[first, right], np.r_[left, second])[1]

    def gap(first: FloatArray, second: FloatArray) -> float:
        means = first @ pooled[:n] / first.sum() - second @ pooled[n:] / second.sum()
        return float(np.linalg.norm(means))

    def shuffled_gap(mask: NDArray[np.bool_]) -> float:
        return float(np.linalg.norm(pooled[mask].mean(0) - pooled[~mask].mean(0)))

    nulls = {
        "energy_coefficient": permutation_null(
            lambda mask: energy(distances, mask.astype(np.float64), (~mask).astype(np.float64))[1],
            n,
            m,
            n_permutations=n_permutations,
            seed=seed,
        ),
        "mean_distance": permutation_null(shuffled_gap, n, m, n_permutations=n_permutations, seed=seed),
    }
    statistics: dict[str, Statistic] = {"energy_coefficient": coefficient, "mean_distance": gap}
    out = {}
    for name, null in nulls.items():
        estimate = jackknife_two_samples(statistics[name], n, m, seed)
        low, high = estimate.interval(0.0, 1.0 if name == "energy_coefficient" else 2.0)
        out[name] = measure(
            _LABELS[name],
            estimate.value,
            low,
            high,
            n=m,
            p=upper_p(estimate.value, null),
            null=float(null.mean()),
            method="delete-a-group jackknife; permutation of texts",
            reason=None if low is not None else "no interval: too few texts",
        )
    return out


def no_embedding(reason: str) -> dict[str, Measure]:
    """The same measures, not taken."""
    return {name: missing(label, reason) for name, label in _LABELS.items()}
