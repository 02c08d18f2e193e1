"""Scores kept between calls of `validate-scorer`, so that one that was stopped, or has a scorer more, goes on.

A file for each scorer and set. What it holds is used again only where the scorer's identity and the set's rows are the
same, and whatever failed for a reason that may be gone by now (out of memory, an endpoint that was too busy) is scored
again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from halueval.annotated.sets import AnnotatedSet
from halueval.consistency.base import ConsistencyScorer, Verdict
from halueval.consistency.keeping import decode_verdict, encode_verdict, passes
from halueval.schema import canonical_json, sha256_text
from halueval.validation.run import Scored

Write = Callable[[Path, Iterable[bytes]], object]


class KeptScores:
    """Scores in a directory.

    Args:
        directory: made when the first scores are kept.
        write: writes a whole file or nothing.
        details: only what was kept with the verdicts of sentences will do, which earlier versions did not keep.
    """

    def __init__(self, directory: Path, write: Write, *, details: bool = False) -> None:
        self._directory, self._write, self._details = directory, write, details

    def get(self, scorer: ConsistencyScorer, annotated: AnnotatedSet) -> Scored | None:
        """What the scorer said of the set's rows before; None where that is not known, or the file cannot be read."""
        try:
            found = json.loads(self._path(scorer.name, annotated).read_text(encoding="utf-8"))
            same = found["rows_sha256"] == _rows_sha256(annotated)
            if not same or canonical_json(found["identity"]) != canonical_json(scorer.identity()):
                return None
            values = np.array([np.nan if v is None else v for v in found["values"]], dtype=np.float64)
            verdicts = _verdicts(found, annotated)
            if values.shape != (len(annotated.rows),) or (not verdicts and (self._details or _may_pass(found))):
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
                verdicts=verdicts,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
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
            "verdicts": [[encode_verdict(verdict) for verdict in of_row] for of_row in scored.verdicts],
        }
        text = json.dumps(record, ensure_ascii=False) + "\n"
        self._write(self._path(scored.scorer, annotated), [text.encode("utf-8", "backslashreplace")])

    def _path(self, scorer: str, annotated: AnnotatedSet) -> Path:
        return self._directory / f"{annotated.spec.name}.{scorer}.json"


def _verdicts(found: Mapping[str, Any], annotated: AnnotatedSet) -> list[tuple[Verdict, ...]]:
    """Of each row; none where the file has none.

    Raises:
        ValueError: they are not those of the set's rows.
    """
    verdicts = [tuple(decode_verdict(verdict) for verdict in of_row) for of_row in found.get("verdicts", ())]
    if verdicts and list(map(len, verdicts)) != [len(row.sources) for row in annotated.rows]:
        raise ValueError("verdicts of other rows")
    return verdicts


def _may_pass(found: Mapping[str, Any]) -> bool:
    return any(passes(Verdict.unscored(why)) for counted in ("reasons", "partial") for why in found.get(counted, {}))


def _rows_sha256(annotated: AnnotatedSet) -> str:
    """Of what a scorer sees: sources, claims, questions, and the language."""
    rows = [[list(row.sources), row.claim, row.question] for row in annotated.rows]
    return sha256_text(canonical_json([annotated.spec.language, rows]))
