"""Fit the head of `entailment_probe` on pairs that people labelled, and write it.

    python -m halueval.consistency.entailment_probe.train --data-dir DIR

RTE and CommitmentBank (SuperGLUE, the files of the few-shot sets of Zhao et al. 2021) hold general entailment;
FEVER-symmetric claims whose words give nothing away; rank19 sentences with a right and a wrong compression. Each counts
the same. The penalty is the one of `PENALTIES` with the best mean ROC AUC on four kinds of text: on each source of
pairs by a head fitted on the others, and on claims of `CHOOSING`, which is therefore not reported. The threshold comes
from the validation parts of `THRESHOLD_SETS`; figures that use it are reported on test parts alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.annotated.sets import AnnotatedRow, load_set
from halueval.consistency.base import Pair
from halueval.consistency.entailment_probe import FILE, EntailmentProbe, Reader
from halueval.consistency.lite.threshold import SETS as THRESHOLD_SETS
from halueval.consistency.lite.threshold import best_threshold
from halueval.consistency.local_model import Scored
from halueval.datafile import read_rows
from halueval.schema import FailedResponse
from halueval.stats.agreement import roc_auc

SUPERGLUE = {"rte": ("rte_train", "rte_val"), "cb": ("cb_train", "cb_val")}
FITTED = ("fever_symmetric", "rank19")
"""Annotated sets that the head is fitted on, and so is never reported on."""
ROWS = 1200
"""Rows of each of them at most, whole documents drawn by hash."""
CHOOSING, CHOOSING_ROWS = "summeval", 160
PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2)
"""scikit-learn's C on standardised features."""

Matrix = NDArray[np.float64]


class Remembering(Reader):
    """Asks the cross-encoder once for each pair, whatever the head."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[str, str], Scored | FailedResponse] = {}

    def states(self, pairs: Sequence[tuple[str, str]]) -> list[Scored | FailedResponse]:
        """States of pairs, from memory where they were asked for before."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        self._known |= dict(zip(new, super().states(new), strict=True))
        return [self._known[pair] for pair in pairs]


@dataclass(frozen=True, slots=True)
class Examples:
    """Hidden states of one source of pairs, shape (pairs, size), and which of the pairs are entailments."""

    states: Matrix
    entailed: NDArray[np.bool_]


def superglue_pairs(folder: Path, files: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Premise, hypothesis, and whether it is entailed."""
    rows = [row for name in files for row in read_rows(folder / f"{name}.jsonl")]
    return [(str(r["premise"]), str(r["hypothesis"]), r["label"] == "entailment") for r in rows]


def annotated_pairs(name: str, data_dir: Path) -> list[tuple[str, str, bool]]:
    """Source, claim, and whether people called it consistent."""
    return [(row.sources[0], row.claim, row.consistent) for row in load_set(name, data_dir, limit=ROWS).rows]


def read(reader: Reader, pairs: Sequence[tuple[str, str, bool]]) -> Examples:
    """The pairs that the cross-encoder can read."""
    answers = reader.states([(premise, hypothesis) for premise, hypothesis, _ in pairs])
    found = [(a.probabilities, truth) for a, (_, _, truth) in zip(answers, pairs, strict=True) if isinstance(a, Scored)]
    return Examples(np.array([state for state, _ in found]), np.array([truth for _, truth in found], dtype=bool))


def fit(parts: Sequence[Examples], penalty: float) -> dict[str, Any]:
    """A logistic regression on standardised states, each part counting the same; coefficients on plain states."""
    from sklearn.linear_model import LogisticRegression

    states = np.concatenate([part.states for part in parts])
    truth = np.concatenate([part.entailed for part in parts])
    sizes = np.concatenate([np.full(len(part.entailed), 1 / len(part.entailed)) for part in parts])
    mean, scale = states.mean(axis=0), states.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    weights = sizes * len(truth) / sizes.sum()
    found = LogisticRegression(C=penalty, max_iter=2000, tol=1e-8).fit((states - mean) / scale, truth, weights)
    coefficients = found.coef_[0] / scale
    return {
        "intercept": round(float(found.intercept_[0] - coefficients @ mean), 6),
        "coefficients": [float(f"{value:.5g}") for value in coefficients],
    }


def left_out(parts: Mapping[str, Examples], penalty: float) -> dict[str, float]:
    """ROC AUC on each source of pairs of a head that was fitted on the others."""
    out = {}
    for name, part in parts.items():
        head = fit([other for key, other in parts.items() if key != name], penalty)
        out[name] = area(part.states @ np.array(head["coefficients"]), part.entailed)
    return out


def judged(scorer: EntailmentProbe, rows: Sequence[AnnotatedRow]) -> tuple[Matrix, NDArray[np.bool_]]:
    """Values of the claims that have one, and which of these people called consistent."""
    verdicts = scorer.score([Pair(row.sources[0], row.claim) for row in rows])
    known = [(v.value, row.consistent) for v, row in zip(verdicts, rows, strict=True) if v.value is not None]
    return np.array([value for value, _ in known]), np.array([truth for _, truth in known], dtype=bool)


def area(values: Matrix, truth: NDArray[np.bool_]) -> float:
    """ROC AUC."""
    return float(roc_auc(values, truth).statistic(np.ones((1, len(values))))[0])


def main() -> None:
    """Read, choose the penalty, fit, choose the threshold, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / FILE)
    options = parser.parse_args()
    scorer = EntailmentProbe()
    scorer.reader = Remembering()
    folder = options.data_dir / "classification_small"
    pairs = [pair for files in SUPERGLUE.values() for pair in superglue_pairs(folder, files)]
    parts = {" and ".join(SUPERGLUE): read(scorer.reader, pairs)}
    parts |= {name: read(scorer.reader, annotated_pairs(name, options.data_dir)) for name in FITTED}
    chosen: tuple[float, float, dict[str, Any]] = (0.0, 0.0, {})
    for penalty in PENALTIES:
        scorer.head = fit(list(parts.values()), penalty)
        rows = load_set(CHOOSING, options.data_dir, limit=CHOOSING_ROWS).rows
        figures = left_out(parts, penalty) | {CHOOSING: area(*judged(scorer, rows))}
        mean = sum(figures.values()) / len(figures)
        print(f"C {penalty}: ROC AUC", ", ".join(f"{name} {value:.3f}" for name, value in figures.items()), flush=True)
        chosen = max(chosen, (mean, penalty, scorer.head), key=lambda item: item[0])
    _, penalty, scorer.head = chosen
    validation = [
        judged(scorer, [row for row in load_set(name, options.data_dir).rows if row.part == "validation"])
        for name in THRESHOLD_SETS
    ]
    threshold, accuracy = best_threshold(validation)
    said = {"penalty": penalty, "fitted_on": [*SUPERGLUE, *FITTED]}
    said |= {"threshold": threshold, "threshold_from": f"validation parts of {', '.join(THRESHOLD_SETS)}"}
    options.out.write_text(json.dumps(scorer.head | said, indent=1) + "\n", encoding="utf-8")
    print(f"C {penalty}, threshold {threshold}: mean balanced accuracy {accuracy:.3f} on the validation parts")


if __name__ == "__main__":
    main()
