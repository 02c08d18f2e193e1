"""p-values corrected for how many were looked at.

Holm for the claims that a report stands on: the chance of even one false claim stays below alpha. Benjamini and
Hochberg for exploring breakdowns: the share of false finds among the finds stays below alpha.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Holm's step-down adjustment (Holm 1979), under any dependence.

    Args:
        p_values: shape (m,).

    Returns:
        Shape (m,), in the same order; a claim holds at alpha where its adjusted value is ≤ alpha.

    Raises:
        ValueError: a value outside [0, 1], NaN included.
    """
    values, order = _checked(p_values)
    m = values.size
    stepped = np.maximum.accumulate(values[order] * np.arange(m, 0, -1))
    return _restore(stepped, order)


def benjamini_hochberg(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Benjamini and Hochberg's step-up adjustment (1995), for independent or positively dependent tests.

    Args:
        p_values: shape (m,).

    Returns:
        Shape (m,), in the same order.

    Raises:
        ValueError: a value outside [0, 1], NaN included.
    """
    values, order = _checked(p_values)
    m = values.size
    scaled = values[order] * m / np.arange(1, m + 1)
    stepped = np.minimum.accumulate(scaled[::-1])[::-1]
    return _restore(stepped, order)


def _checked(p_values: Sequence[float] | FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values must be a list of numbers in [0, 1]; leave out what could not be tested")
    return values, np.argsort(values, kind="stable")


def _restore(stepped: FloatArray, order: NDArray[np.intp]) -> FloatArray:
    out = np.empty_like(stepped)
    out[order] = np.minimum(stepped, 1.0)
    return out
