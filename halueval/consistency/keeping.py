"""Verdicts between calls: their JSON form, what a pair is known by, and which failures may be gone the next time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halueval.consistency.base import Pair, SentenceScore, Verdict
from halueval.consistency.endpoint import WENT_ON_FAILING
from halueval.engine.memory import OUT_OF_MEMORY
from halueval.schema import canonical_json, sha256_text

PASSING = (OUT_OF_MEMORY, WENT_ON_FAILING)
"""Reasons that say something of the place and the hour, and nothing of the pair."""


def passes(verdict: Verdict) -> bool:
    """Whether there is no value for a reason that may be gone the next time, so that it is worth asking again."""
    return verdict.value is None and any(reason in (verdict.reason or "") for reason in PASSING)


def pair_key(pair: Pair) -> str:
    """Digest of all that a scorer sees of a pair."""
    return sha256_text(canonical_json([pair.source, pair.claim, pair.question, pair.language]))


def encode_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a JSON object; what it does not say is left out. Numbers come back to the last bit."""
    sentences = [
        {"text": one.text, "value": _number(one.value), **({"reason": one.reason} if one.reason is not None else {})}
        for one in verdict.sentences
    ]
    return {
        "value": _number(verdict.value),
        **({"reason": verdict.reason} if verdict.reason is not None else {}),
        **({"sentences": sentences} if sentences else {}),
        **({"truncated": verdict.truncated} if verdict.truncated else {}),
        **({"details": {name: float(value) for name, value in verdict.details.items()}} if verdict.details else {}),
    }


def decode_verdict(found: Mapping[str, Any]) -> Verdict:
    """The verdict of such an object.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return Verdict(
        value=_given(found["value"]),
        reason=found.get("reason"),
        sentences=tuple(
            SentenceScore(one["text"], _given(one["value"]), one.get("reason")) for one in found.get("sentences", ())
        ),
        truncated=int(found.get("truncated", 0)),
        details=dict(found.get("details", {})),
    )


def _given(value: Any) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError(f"not a number: {value!r}")


def _number(value: float | None) -> float | None:
    """Of JSON: what comes out of an array or a tensor as a float."""
    return value if value is None or type(value) in (int, float) else float(value)
