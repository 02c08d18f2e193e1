"""What is written into a figure: its interval, its p-value where that is McNemar's, its detectable effect."""

from __future__ import annotations

import math

import numpy as np

from halueval.compare.columns import FloatArray
from halueval.compare.fields import Figure
from halueval.stats.jackknife import Estimate
from halueval.stats.paired import mcnemar_exact
from halueval.stats.power import mde_mcnemar, mde_paired_mean
from halueval.stats.proportions import newcombe_difference, newcombe_paired

CHANGE_OF_SHARE = (-1.0, 1.0)
ANYTHING = (-math.inf, math.inf)


def fill_mcnemar(figure: Figure, values: tuple[FloatArray, FloatArray], alpha: float) -> None:
    """Newcombe's interval and McNemar's test of 0/1 values of independent pairs."""
    lost = int(((values[0] == 1) & (values[1] == 0)).sum())
    won = int(((values[0] == 0) & (values[1] == 1)).sum())
    kept, n = int(((values[0] == 1) & (values[1] == 1)).sum()), len(values[0])
    # Newcombe's interval is of first minus second, so the candidate stands first.
    low, high = newcombe_paired(kept, won, lost, n - kept - won - lost)
    figure |= {"ci_low": low, "ci_high": high, "ci_method": "newcombe-paired", "ci_reason": None}
    figure |= {"p_value": mcnemar_exact(lost, won).p_value, "test": "mcnemar-exact"}
    figure["mde"] = mde_mcnemar((lost + won) / n, n, alpha=alpha, power=0.8)


def fill_interval(figure: Figure, estimate: Estimate, alpha: float, bounds: tuple[float, float]) -> None:
    """Interval from the standard error, and the effect that it lets one detect."""
    interval = estimate.interval(bounds)
    figure |= {
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_method": interval.method,
        "ci_reason": interval.reason,
    }
    if estimate.standard_error > 0:  # not NaN either
        figure["mde"] = mde_paired_mean(estimate.standard_error, 1, alpha=alpha, power=0.8)


def fill_closed_form(
    figure: Figure, values: tuple[FloatArray, FloatArray], n_clusters: tuple[int, int, int], alpha: float
) -> None:
    """Interval of a 0/1 figure of which no cluster says anything else than the others: 0 of 40 is not "never".

    As many independent pairs stand in as there are clusters, the cautious end. Where the two sides leave out
    different samples they are taken for unrelated.

    Args:
        figure: with `base` and `candidate` set.
        values: 0, 1, or NaN where left out by definition.
        n_clusters: of the base's values, of the candidate's, and of either.
        alpha: level of the detectable effect.
    """
    base, candidate = values
    if np.isnan(base).any() or np.isnan(candidate).any():
        before, after, _ = n_clusters
        low, high = newcombe_difference(figure["candidate"] * after, after, figure["base"] * before, before)
        method = "newcombe"
    else:
        both = float(np.mean(base * candidate))
        shares = both, figure["candidate"] - both, figure["base"] - both
        cells = [max(0.0, share) * n_clusters[2] for share in (*shares, 1 - sum(shares))]
        low, high = newcombe_paired(*cells)
        method = "newcombe-paired"
    figure |= {"ci_low": low, "ci_high": high, "ci_method": method, "ci_reason": None}
    if figure["mde"] is None:
        figure["mde"] = mde_mcnemar(0.0, n_clusters[2], alpha=alpha, power=0.8)


def unpaired_mde(alone: Estimate, alpha: float) -> float | None:
    """Detectable effect where no pair differs, and the spread of differences is therefore unknown.

    The spread of two unrelated models with this figure stands in: real pairs detect smaller effects, so it is
    the cautious end.
    """
    error = alone.standard_error
    return mde_paired_mean(error * math.sqrt(2), 1, alpha=alpha, power=0.8) if error > 0 else None
