"""Samples with both answers side by side, for the record's lists and for the HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.compare.columns import IntArray, sample_rows
from halueval.compare.pairing import Pairs
from halueval.compare.record import MAX_LISTED, Answer, Listed, PairedSample
from halueval.compare.transitions import Transitions
from halueval.store import Run


def transition_names(states: Transitions) -> list[str | None]:
    """`induced`, `repaired`, `persistent` or None for each pair."""
    out: list[str | None] = [None] * len(states.base)
    for name in ("induced", "repaired", "persistent"):
        for i in np.flatnonzero(getattr(states, name)):
            out[i] = name
    return out


def listed(base: Run, candidate: Run, ids: Sequence[str], pairs: Pairs, states: Transitions, label: str) -> Listed:
    """The first samples of either kind, by the base's sample ids (`ids`, of all its rows)."""
    kinds = {"induced": states.induced, "repaired": states.repaired}
    wanted = [i for mask in kinds.values() for i in _first(mask, ids, pairs)]
    made = paired_samples(base, candidate, pairs, states, np.array(wanted, dtype=np.intp), label)
    rows = {kind: [s for s in made if s["transition"] == kind] for kind in kinds}
    return {"induced": rows["induced"], "repaired": rows["repaired"]}


def _first(mask: NDArray[np.bool_], ids: Sequence[str], pairs: Pairs) -> list[int]:
    """Numbers of the first `MAX_LISTED` pairs of a kind: only these rows are read again."""
    names = {i: ids[row] for i, row in zip(np.flatnonzero(mask).tolist(), pairs.base[mask].tolist(), strict=True)}
    return sorted(names, key=lambda i: (len(names[i]), names[i]))[:MAX_LISTED]


def paired_samples(
    base: Run, candidate: Run, pairs: Pairs, states: Transitions, wanted: IntArray | None, label: str
) -> list[PairedSample]:
    """Some or all pairs with their texts, in the order of the base's sample ids.

    Args:
        base: run of the base.
        candidate: run of the candidate.
        pairs: which rows belong together.
        states: of the pairs.
        wanted: numbers of pairs; None for all.
        label: the candidate's name in the table.

    Raises:
        DataError: a samples file that was changed meanwhile.
    """
    numbers = np.arange(len(pairs)) if wanted is None else wanted
    names = transition_names(states)
    left = sample_rows(base, pairs.base[numbers].tolist())
    right = sample_rows(candidate, pairs.candidate[numbers].tolist())
    out = [_paired(left[int(pairs.base[i])], right[int(pairs.candidate[i])], names[i], label) for i in numbers]
    return sorted(out, key=lambda sample: (len(sample["sample_id"]), sample["sample_id"]))


def _paired(base: Mapping[str, Any], candidate: Mapping[str, Any], transition: str | None, label: str) -> PairedSample:
    return {
        "candidate_label": label,
        "sample_id": base["sample_id"],
        "doc_hash": base["doc_hash"],
        "prompt": base["prompt"],
        "target": base["target"],
        "choices": base.get("choices"),
        "group": base["group"],
        "transition": transition,
        "base": _answer(base),
        "candidate": _answer(candidate),
    }


def _answer(row: Mapping[str, Any]) -> Answer:
    response, prediction = row.get("response"), row.get("prediction")
    if response is None and prediction is not None and row.get("choices"):
        response = row["choices"][prediction]
    return {
        "state": row["state"],
        "response": response,
        "confidence": row.get("confidence"),
        "reason": row.get("reasons", {}).get("state"),
        "scores": row["scores"],
    }
