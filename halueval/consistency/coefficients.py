"""Logistic regressions that come as a few kB of JSON in their scorer's package, as `lite` and `lite_lm` do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.errors import ModelError


def read_coefficients(package: str, file: str, names: Sequence[str]) -> dict[str, Any]:
    """The regression in a package's file.

    Args:
        package: dotted name.
        file: within the package.
        names: of the features that there are, in order.

    Raises:
        ModelError: it was fitted on other features.
    """
    model: dict[str, Any] = json.loads((files(package) / file).read_text(encoding="utf-8"))
    if model["features"] != list(names):
        raise ModelError(f"{file} was fitted on other features than these; fit it again")
    return model


def margins(model: Mapping[str, Any], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds before any calibration; features of shape (n, features) to shape (n,)."""
    scaled = (table - np.array(model["mean"])) / np.array(model["scale"])
    found: NDArray[np.float64] = scaled @ np.array(model["coefficients"]) + model["intercept"]
    return found
