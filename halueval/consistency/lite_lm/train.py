"""Fit `lite_lm` on people's judgements and write its coefficients.

    python -m halueval.consistency.lite_lm.train --data-dir DIR

It is fitted on the sets of `FITTED`, on which it is therefore never reported, each counting the same, and within each
consistent and inconsistent claims counting the same. Features are centred within each set, so that no weight comes from
one set's texts being unlike another's. The threshold comes from the validation part of `THRESHOLD_SET`; figures that
use it are reported on that set's test part alone. The same data give the same file, up to what the language model's
precision moves.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from halueval.annotated.sets import AnnotatedRow, load_set
from halueval.consistency.base import Pair
from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.language_model import DEFAULT_MODEL, LanguageModel, shared_model
from halueval.consistency.lite.threshold import best_threshold
from halueval.consistency.lite_lm import FILE, probabilities
from halueval.consistency.lite_lm.features import EVIDENCE, NAMES, WordTable, features
from halueval.consistency.lite_lm.reading import read_words

FITTED: Mapping[str, int | None] = {"summeval": 240, "rank19": None, "fever_symmetric": None}
"""Sets, and the most rows of each."""
THRESHOLD_SET = "qags_xsum"
"""Its validation part chooses the threshold."""
SHADES_PENALTY = 10.0
"""On half the squared length of the coefficients of all features but `EVIDENCE`: so large that each weighs by what it
tells alone."""
EVIDENCE_PENALTY = 0.001
"""On those of `EVIDENCE` and of the sum of the others: so small that each weighs by what it adds. Both were chosen by
leaving each set out in turn, see docs/decisions/0006."""


def balanced_weights(labels: Any) -> Any:
    """Weights that sum to 1, half of them to each class; shape (n,)."""
    share = labels.mean()
    weights = np.where(labels, 0.5 / share, 0.5 / (1 - share))
    return weights / weights.sum()


def fit(parts: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """Coefficients on standardised features, none below 0, and an intercept.

    First the many features that say nearly the same are put together, then the sum and `EVIDENCE`.

    Args:
        parts: of each set the features, shape (n, m), and whether people called the claim consistent, shape (n,).
    """
    is_evidence = np.array([name in EVIDENCE for name in NAMES])
    labels = np.concatenate([truth for _, truth in parts])
    weights = np.concatenate([balanced_weights(truth) / len(parts) for _, truth in parts])
    group = np.repeat(np.arange(len(parts)), [len(truth) for _, truth in parts])
    table = np.vstack([found - found.mean(axis=0) for found, _ in parts])
    scale = np.sqrt(weights @ table**2)
    scale = np.where(scale > 0, scale, 1.0)
    table = table / scale
    coefficients = np.zeros(len(NAMES))
    coefficients[~is_evidence] = non_negative(table[:, ~is_evidence], labels, weights, group, SHADES_PENALTY)
    shades = table @ coefficients
    size = np.sqrt(weights @ shades**2) or 1.0
    both = np.column_stack([shades / size, table[:, is_evidence]])
    added = non_negative(both, labels, weights, group, EVIDENCE_PENALTY)
    coefficients *= added[0] / size
    coefficients[is_evidence] = added[1:]
    slope, intercept = _platt(table @ coefficients, np.where(labels, 1.0, -1.0), weights)
    return {
        "features": list(NAMES),
        "mean": [round(float(v), 6) for v in np.mean([found.mean(axis=0) for found, _ in parts], axis=0)],
        "scale": [round(float(v), 6) for v in scale],
        "coefficients": [round(float(v * slope), 6) for v in coefficients],
        "intercept": round(intercept, 6),
        "fitted_on": list(FITTED),
    }


def non_negative(table: Any, labels: Any, weights: Any, group: Any, penalty: float) -> Any:
    """Coefficients of a weighted logistic regression, none below 0, with an intercept of its own for each group.

    Args:
        table: standardised, shape (n, m).
        labels: shape (n,), true for consistent.
        weights: shape (n,), of sum 1.
        group: shape (n,), from 0.
        penalty: on half the squared length of the coefficients.
    """
    from scipy.optimize import minimize

    signs = np.where(labels, 1.0, -1.0)
    size, groups = table.shape[1], int(group.max()) + 1
    columns = np.hstack([table, np.eye(groups)[group]])

    def loss(values: Any) -> tuple[float, Any]:
        margins = signs * (columns @ values)
        pull = -signs * weights / (1 + np.exp(np.clip(margins, -500, 500)))
        gradient = columns.T @ pull
        gradient[:size] += penalty * values[:size]
        return float(weights @ np.logaddexp(0, -margins) + penalty / 2 * values[:size] @ values[:size]), gradient

    bounds = [(0.0, None)] * size + [(None, None)] * groups
    return minimize(loss, np.zeros(size + groups), jac=True, bounds=bounds, method="L-BFGS-B").x[:size]


def _platt(margins: Any, signs: Any, weights: Any) -> tuple[float, float]:
    """Slope and intercept that undo the penalty's shrinking (Platt 1999)."""
    from scipy.optimize import minimize

    found = minimize(lambda v: float(weights @ np.logaddexp(0, -signs * (v[0] * margins + v[1]))), [1.0, 0.0])
    return float(found.x[0]), float(found.x[1])


def look(model: LanguageModel, encoder: SentenceEncoder, rows: Sequence[AnnotatedRow]) -> tuple[Any, Any]:
    """Features of the rows that the models can read, and whether people called each consistent."""
    pairs = [Pair(row.sources[0], row.claim) for row in rows]
    kept = [
        (pair, table, row.consistent)
        for pair, table, row in zip(pairs, read_words(model, pairs), rows, strict=True)
        if isinstance(table, WordTable)
    ]
    found = features([pair for pair, _, _ in kept], [table for _, table, _ in kept], encoder)
    return found, np.array([truth for _, _, truth in kept])


def main() -> None:
    """Score, fit, choose the threshold, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / FILE)
    options = parser.parse_args()
    read = shared_model(DEFAULT_MODEL, "auto", "auto"), SentenceEncoder()
    model = fit([look(*read, load_set(name, options.data_dir, limit=limit).rows) for name, limit in FITTED.items()])
    rows = [row for row in load_set(THRESHOLD_SET, options.data_dir).rows if row.part == "validation"]
    table, truth = look(*read, rows)
    threshold, accuracy = best_threshold([(probabilities(model, table), truth)])
    model |= {"threshold": threshold, "threshold_from": f"validation part of {THRESHOLD_SET}"}
    options.out.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    print(f"threshold {threshold}: balanced accuracy {accuracy:.3f} on the validation part")
    for name, weight in sorted(zip(NAMES, model["coefficients"], strict=True), key=lambda item: -item[1]):
        print(f"{name:32} {weight:.3f}")


if __name__ == "__main__":
    main()
