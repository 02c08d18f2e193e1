"""Fit `lite` on synthetic errors and write its coefficients.

    python -m halueval.consistency.lite.train [--out FILE]

Documents are those of the packaged XSum and HaluEval summarization tasks; a fifth of them is held out, and the
threshold and the figures that are printed come from these alone. The same seed gives the same file.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from halueval.consistency.encoder import SentenceEncoder
from halueval.consistency.lite import BATCH_TOKENS, FILE, PAIRS_AT_ONCE, probabilities
from halueval.consistency.lite.features import NAMES, features
from halueval.consistency.lite.synthetic import Document, Example, make_examples
from halueval.dataset import load_data
from halueval.registry import Registry
from halueval.stats.calibration import ece

SEED = 20
DOCUMENTS = {"xsum": 500, "halueval_summarization": 1500}
"""Of each task: few without a summary, since models write few claims that are sentences of the document."""
PER_DOCUMENT = 2
PENALTY = 10.0
"""On the squared length of the coefficients, per example: so large that what a feature tells alone decides its weight,
and not what it adds to the others. Synthetic errors prefer 0.01; of 0.01, 0.1, 1, 10 and 100 it was chosen by ROC AUC
on SummEval (.752, .761, .779, .795, .797), on which `lite` is therefore never reported.
"""
LONGEST = 12_000
"""Characters of a document."""


def documents() -> list[Document]:
    """Of both tasks, in turn."""
    out = []
    for task, number in DOCUMENTS.items():
        rows = load_data(Registry().task(task), base=Path()).rows[:number]
        out += [Document(row["document"][:LONGEST], row.get("right_summary", "").strip()) for row in rows]
    random.Random(SEED).shuffle(out)  # noqa: S311  # an order, not a secret
    return out


def balanced_accuracy(values: Any, truth: Any) -> tuple[float, float]:
    """The largest over thresholds, and its threshold; at and above it a value counts as consistent."""
    cuts = np.unique(np.round(values, 3))
    found = [((values[truth] >= cut).mean() + (values[~truth] < cut).mean()) / 2 for cut in cuts]
    best = int(np.argmax(found))
    return float(found[best]), float(cuts[best])


def calibrated(margins: Any, labels: Any) -> dict[str, list[float]]:
    """Margins and the probabilities at them, to be joined by straight lines.

    Isotonic regression (Zadrozny and Elkan 2002), averaged over tenths of the examples so that no step is flat, since a
    step would make different claims equal.
    """
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(margins, kind="stable")
    fitted = IsotonicRegression(y_min=0.01, y_max=0.99).fit_transform(margins[order], labels[order].astype(float))
    tenths = list(zip(np.array_split(margins[order], 10), np.array_split(fitted, 10), strict=True))
    at = [float(m.mean()) for m, _ in tenths]
    values = [float(v.mean()) + 1e-3 * i for i, (_, v) in enumerate(tenths)]
    reach = at[-1] - at[0]
    return {
        "margins": [round(v, 6) for v in (at[0] - reach, *at, at[-1] + reach)],
        "probabilities": [round(v, 6) for v in (0.0, *values, 1.0)],
    }


def non_negative_logistic(table: Any, labels: Any, penalty: float) -> tuple[Any, float]:
    """Logistic regression in which more support never makes a claim less consistent.

    Args:
        table: shape (n, m), standardised.
        labels: shape (n,), true for consistent.
        penalty: on the coefficients.

    Returns:
        Coefficients of shape (m,), none below 0, and the intercept: minimum of the mean log loss and `penalty` / 2
        times the squared length of the coefficients.
    """
    from scipy.optimize import minimize

    signs = np.where(labels, 1.0, -1.0)

    def loss(values: Any) -> tuple[float, Any]:
        margins = signs * (table @ values[:-1] + values[-1])
        pull = -signs / (1 + np.exp(np.clip(margins, -500, 500))) / len(signs)
        gradient = np.append(table.T @ pull + penalty * values[:-1], pull.sum())
        return float(np.logaddexp(0, -margins).mean() + penalty / 2 * values[:-1] @ values[:-1]), gradient

    bounds = [(0.0, None)] * table.shape[1] + [(None, None)]
    found = minimize(loss, np.zeros(table.shape[1] + 1), jac=True, bounds=bounds, method="L-BFGS-B")
    return found.x[:-1], float(found.x[-1])


def fit(table: Any, labels: Any, held_out: Any) -> dict[str, Any]:
    """Coefficients on standardised features, and the threshold of the largest balanced accuracy on what is held out."""
    mean, scale = table[~held_out].mean(axis=0), table[~held_out].std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    scaled = (table - mean) / scale
    coefficients, intercept = non_negative_logistic(scaled[~held_out], labels[~held_out], PENALTY)
    # Half of what is held out calibrates and chooses the threshold; the figures come from the other half.
    chooses = held_out & (np.arange(len(labels)) // 2 % 2 == 0)
    reports = held_out & ~chooses
    knots = calibrated(scaled[chooses] @ coefficients + intercept, labels[chooses])
    out: dict[str, Any] = {
        "features": list(NAMES),
        "mean": [round(float(v), 6) for v in mean],
        "scale": [round(float(v), 6) for v in scale],
        "coefficients": [round(float(v), 6) for v in coefficients],
        "intercept": round(intercept, 6),
        "calibration": knots,
    }
    values, truth = probabilities(out, table[chooses]), labels[chooses]
    _, threshold = balanced_accuracy(values, truth)
    values, truth = probabilities(out, table[reports]), labels[reports]
    accuracy = ((values[truth] >= threshold).mean() + (values[~truth] < threshold).mean()) / 2
    return out | {
        "threshold": threshold,
        "threshold_from": "held-out synthetic errors",
        "penalty": PENALTY,
        "held_out": {
            "n": len(values),
            "balanced_accuracy": round(float(accuracy), 4),
            "ece": round(float(ece(values, truth.astype(float))), 4),
        },
        "seed": SEED,
    }


def main() -> None:
    """Make the examples, look at them, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / FILE)
    options = parser.parse_args()
    made = documents()
    examples: list[Example] = []
    held: list[bool] = []
    for part, is_held in ((made[len(made) // 5 :], False), (made[: len(made) // 5], True)):
        new = make_examples(part, per_document=PER_DOCUMENT, seed=SEED + is_held)
        examples += new
        held += [is_held] * len(new)
    encoder = SentenceEncoder(batch_tokens=BATCH_TOKENS)
    tables = []
    for start in range(0, len(examples), PAIRS_AT_ONCE):
        tables.append(features([example.pair for example in examples[start : start + PAIRS_AT_ONCE]], encoder))
        print(f"\r{start + len(tables[-1]):,} of {len(examples):,}", end="", flush=True)
    table = np.concatenate(tables)
    labels, held_out = np.array([example.consistent for example in examples]), np.array(held)
    model = fit(table, labels, held_out)
    options.out.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    values = probabilities(model, table)
    print("\n", model["held_out"], "threshold", model["threshold"])
    for error in sorted({example.error for example in examples}):
        mine = np.array([example.error == error for example in examples]) & held_out
        print(f"{error:16} {mine.sum():5} called inconsistent: {(values[mine] < model['threshold']).mean():.3f}")


if __name__ == "__main__":
    main()
