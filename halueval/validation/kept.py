"""Scores kept between calls of `validate-scorer`, so that one that was stopped, or has a scorer more, goes on.

A file for each scorer and set. What it holds is used again only where the scorer's identity and the set's rows are the
same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from halueval.annotated.sets import AnnotatedSet
from halueval.consistency.base import ConsistencyScorer
from halueval.schema import canonical_json, sha256_text
from halueval.validation.run import Scored

Write = Callable[[Path, Iterable[bytes]], object]


class KeptScores:
    """Scores in a directory.

    Args:
        directory: made when the first scores are kept.
        write: writes a whole file or nothing.
    """

    def __init__(self, directory: Path, write: Write) -> None:
        self._directory, self._write = directory, write

    def get(self, scorer: ConsistencyScorer, annotated: AnnotatedSet) -> Scored | None:
        """What the scorer said of the set's rows before; None where that is not known, or the file cannot be read."""
        try:
            found = json.loads(self._path(scorer.name, annotated).read_text(encoding="utf-8"))
            same = found["rows_sha256"] == _rows_sha256(annotated)
            if not same or canonical_json(found["identity"]) != canonical_json(scorer.identity()):
                return None
            values = np.array([np.nan if v is None else v for v in found["values"]], dtype=np.float64)
            if values.shape != (len(annotated.rows),):
                return None
            return Scored(
                scorer=scorer.name,
                identity=found["identity"],
                values=values,
                reasons=dict(found["reasons"]),
                truncated=int(found["truncated"]),
                seconds=float(found["seconds"]),
                threshold=scorer.threshold,
                partial=dict(found.get("partial", {})),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, scored: Scored, annotated: AnnotatedSet) -> None:
        """Keep what a scorer said of a set.

        Raises:
            HaluevalError: the file cannot be written.
        """
        record = {
            "identity": dict(scored.identity),
            "rows_sha256": _rows_sha256(annotated),
            "values": [None if np.isnan(value) else float(value) for value in scored.values],
            "reasons": dict(scored.reasons),
            "truncated": scored.truncated,
            "partial": dict(scored.partial),
            "seconds": scored.seconds,
        }
        text = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        self._write(self._path(scored.scorer, annotated), [text.encode("utf-8", "replace")])

    def _path(self, scorer: str, annotated: AnnotatedSet) -> Path:
        return self._directory / f"{annotated.spec.name}.{scorer}.json"


def _rows_sha256(annotated: AnnotatedSet) -> str:
    """Of what a scorer sees: sources, claims, questions, and the language."""
    rows = [[list(row.sources), row.claim, row.question] for row in annotated.rows]
    return sha256_text(canonical_json([annotated.spec.language, rows]))
