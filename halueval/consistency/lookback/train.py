"""Fit `lookback` on the spans that people marked in XSumFaith, and write its coefficients.

    python -m halueval.consistency.lookback.train --data-dir DIR

A token is made up where most annotators marked it. Documents that share twelve words on end with one of a reported set
are left out, so that nothing is reported on a text that was fitted on; claims of one document are held out together
when the penalty's figure is printed. The threshold comes from the validation parts of `THRESHOLD_SETS`; figures that
use it are reported on their test parts alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.annotated.sets import AnnotatedRow, load_set
from halueval.consistency.base import Pair
from halueval.consistency.language_model import DEFAULT_MODEL
from halueval.consistency.lite.threshold import SETS as THRESHOLD_SETS
from halueval.consistency.lite.threshold import best_threshold
from halueval.consistency.lookback import FILE, consistency, token_risks
from halueval.consistency.lookback.reading import LAYERS, Reader, Reading
from halueval.stats.agreement import roc_auc
from halueval.text import unicode_words

FITTED = "xsumfaith"
ROWS = 1200
"""Claims of it that are read, whole documents drawn by hash: about a second a document on two cores."""
REPORTED = ("qags_cnndm", "qags_xsum", "frank_validation", "gofigure_xsum")
"""Sets whose articles come from where XSumFaith's do."""
SPANS = "xsum_hallucination/hallucination_annotations_xsum_summaries.csv"
INVERSE_PENALTY = 3e-4
"""scikit-learn's C on standardised features; of 1e-4 to 1e-2 it ranks held-out claims of `FITTED` best."""
FOLDS = 3
OVERLAP = 12

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """A claim: features of its tokens, which of them are made up, whether people called it consistent, its fold."""

    features: Matrix
    made_up: NDArray[np.bool_]
    consistent: bool
    fold: int


def marked_tokens(
    spans: Sequence[tuple[int, int]], marks: Mapping[str, Sequence[tuple[int, int]]]
) -> NDArray[np.bool_]:
    """Whether more than half of the annotators marked each token; shape (tokens,).

    Args:
        spans: first character of each token and that behind its last.
        marks: of each annotator the spans that he marked, none where he marked none.
    """
    votes = np.zeros(len(spans))
    for own in marks.values():
        votes += [any(first < end and last > begin for begin, end in own) for first, last in spans]
    return votes * 2 > len(marks)


def read_marks(path: Path) -> dict[str, dict[str, list[tuple[int, int]]]]:
    """Of each summary the spans that each annotator marked. In the file the first character is number 1."""
    out: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            own = out[row["summary"].strip()][row["worker_id"]]
            if row["hallucination_type"] != "NULL":
                own.append((int(row["hallucinated_span_start"]) - 1, int(row["hallucinated_span_end"])))
    return out


def fit(examples: Sequence[Example]) -> dict[str, Any]:
    """Coefficients on plain features and an intercept, of a logistic regression on standardised ones."""
    from sklearn.linear_model import LogisticRegression

    table = np.concatenate([example.features for example in examples])
    labels = np.concatenate([example.made_up for example in examples])
    mean, scale = table.mean(axis=0), table.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    found = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000, tol=1e-6).fit((table - mean) / scale, labels)
    coefficients = found.coef_[0] / scale
    return {
        "layers": list(LAYERS),
        "intercept": round(float(found.intercept_[0] - coefficients @ mean), 6),
        "coefficients": [float(f"{value:.4g}") for value in coefficients],
        "fitted_on": [FITTED],
    }


def held_out(examples: Sequence[Example]) -> float:
    """ROC AUC of claims, each scored by a probe fitted without its document's."""
    values, truth = [], []
    for fold in range(FOLDS):
        model = fit([example for example in examples if example.fold != fold])
        for example in examples:
            if example.fold == fold:
                values.append(consistency(_risks(model, example.features)))
                truth.append(example.consistent)
    return float(roc_auc(np.array(values), np.array(truth)).statistic(np.ones((1, len(values))))[0])


def _risks(model: dict[str, Any], features: Matrix) -> list[float]:
    import torch

    return token_risks(model, torch.from_numpy(features))


def unseen(rows: Sequence[AnnotatedRow], reported: Sequence[AnnotatedRow]) -> list[AnnotatedRow]:
    """Rows whose documents share no `OVERLAP` words on end with a document of the reported sets."""
    known = {words for row in reported for source in row.sources for words in _runs(source)}
    return [row for row in rows if not any(words in known for words in _runs(row.sources[0]))]


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = unicode_words(text)
    return (tuple(words[i : i + OVERLAP]) for i in range(len(words) - OVERLAP + 1))


def read(reader: Reader, rows: Sequence[AnnotatedRow]) -> list[tuple[AnnotatedRow, Reading]]:
    """The rows that the model can read."""
    found = reader.read([Pair(row.sources[0], row.claim) for row in rows], lambda _: None)
    return [(row, reading) for row, reading in zip(rows, found, strict=True) if isinstance(reading, Reading)]


def main() -> None:
    """Read, fit, choose the threshold, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / FILE)
    options = parser.parse_args()
    reader = Reader(DEFAULT_MODEL, "auto", "float32")
    marks = read_marks(options.data_dir / SPANS)
    rows = load_set(FITTED, options.data_dir, limit=ROWS).rows
    reported = [row for name in REPORTED for row in load_set(name, options.data_dir).rows]
    kept = unseen(rows, reported)
    print(f"{len(kept)} of {len(rows)} claims; the documents of the others are in reported sets")
    examples = [
        Example(
            reading.features.double().cpu().numpy(),
            marked_tokens(reading.spans, marks[row.claim.strip()]),
            row.consistent,
            zlib.crc32(row.document.encode()) % FOLDS,
        )
        for row, reading in read(reader, kept)
    ]
    print(f"ROC AUC on held-out documents of {FITTED}: {held_out(examples):.3f}")
    model = fit(examples)
    parts = []
    for name in THRESHOLD_SETS:
        wanted = [row for row in load_set(name, options.data_dir).rows if row.part == "validation"]
        found = [
            (consistency(token_risks(model, reading.features)), row.consistent) for row, reading in read(reader, wanted)
        ]
        parts.append((np.array([value for value, _ in found]), np.array([truth for _, truth in found])))
    threshold, accuracy = best_threshold(parts)
    model |= {"threshold": threshold, "threshold_from": f"validation parts of {', '.join(THRESHOLD_SETS)}"}
    options.out.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    print(f"threshold {threshold}: mean balanced accuracy {accuracy:.3f} on the validation parts")


if __name__ == "__main__":
    main()
