"""Choose `lite`'s threshold on the validation parts of annotated sets, and write it beside the coefficients.

    python -m halueval.consistency.lite.threshold --data-dir DIR

Synthetic claims say nothing of where people draw the line, so `train`'s threshold is replaced by the one with the
largest balanced accuracy, each set counting the same. Balanced accuracy is then reported on the test parts alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from halueval.annotated.sets import load_set
from halueval.consistency.base import Pair
from halueval.consistency.lite import FILE, Lite

SETS = ("qags_cnndm", "qags_xsum", "frank_validation")


def main() -> None:
    """Score the validation parts, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    options = parser.parse_args()
    parts = []
    for name in SETS:
        rows = [row for row in load_set(name, options.data_dir).rows if row.part == "validation"]
        verdicts = Lite().score([Pair(row.sources[0], row.claim) for row in rows])
        found = [(v.value, row.consistent) for v, row in zip(verdicts, rows, strict=True) if v.value is not None]
        parts.append((np.array([value for value, _ in found]), np.array([truth for _, truth in found])))
    threshold, accuracy = best_threshold(parts)
    path = Path(__file__).parent / FILE
    model = json.loads(path.read_text(encoding="utf-8"))
    model |= {"threshold": threshold, "threshold_from": f"validation parts of {', '.join(SETS)}"}
    path.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    print(f"threshold {threshold}: mean balanced accuracy {accuracy:.3f} on the validation parts")


def best_threshold(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """The threshold with the largest mean balanced accuracy over sets, and that accuracy.

    Args:
        parts: for each set its values and, of the same shape, whether people called the claim consistent.
    """
    cuts = np.unique(np.round(np.concatenate([values for values, _ in parts]), 3))
    found = [
        np.mean([((values[truth] >= cut).mean() + (values[~truth] < cut).mean()) / 2 for values, truth in parts])
        for cut in cuts
    ]
    best = int(np.argmax(found))
    return float(cuts[best]), float(found[best])


if __name__ == "__main__":
    main()
