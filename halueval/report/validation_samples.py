"""Scorers held against people, claim by claim: which ones a scorer gets wrong, and by which of their sentences."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from halueval.annotated.sets import AnnotatedRow
from halueval.consistency.base import SentenceScore, Verdict
from halueval.validation import Evaluation
from halueval.validation.run import best_of


def sample_lines(evaluations: Iterable[Evaluation]) -> Iterator[str]:
    """A line of JSON for each scorer, set and claim, with what people said of it and what the scorer did.

    The sources are left to the set's own files, where `row` counts the rows that were not left out.
    """
    for made in evaluations:
        about = {"scorer": made.scored.scorer, "set": made.annotated.spec.name}
        for number, (row, verdicts) in enumerate(zip(made.annotated.rows, made.scored.verdicts, strict=True)):
            line = {**about, "row": number, **_row(row), **_said(verdicts)}
            yield json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"


def _row(row: AnnotatedRow) -> dict[str, Any]:
    return {
        "document": row.document,
        "part": row.part,
        **({"system": row.system} if row.system is not None else {}),
        **({"question": row.question} if row.question is not None else {}),
        "claim": row.claim,
        "human": row.human,
        "consistent": row.consistent,
        **({"error_types": list(row.error_types)} if row.error_types else {}),
    }


def _said(verdicts: tuple[Verdict, ...]) -> dict[str, Any]:
    """Of several sources the one that supports the claim best speaks; its number is `source`."""
    best = best_of(verdicts)
    verdict = verdicts[best]
    return {
        **({"source": best} if len(verdicts) > 1 else {}),
        "value": _finite(verdict.value),
        **({"reason": verdict.reason} if verdict.reason is not None else {}),
        **({"num_truncated": verdict.truncated} if verdict.truncated else {}),
        **({"sentences": [_sentence(one) for one in verdict.sentences]} if verdict.sentences else {}),
        **({"details": {name: _finite(value) for name, value in verdict.details.items()}} if verdict.details else {}),
    }


def _sentence(one: SentenceScore) -> dict[str, Any]:
    return {"text": one.text, "value": _finite(one.value), **({"reason": one.reason} if one.reason is not None else {})}


def _finite(value: float | None) -> float | None:
    """What JSON has a form for: a number that is none (of a part alone, never of a claim) is null."""
    return None if value is None or not math.isfinite(value) else float(value)
