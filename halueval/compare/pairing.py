"""Which sample of one run is which of the other, and whether two runs may be compared at all.

Samples are joined on document hash, prompt hash and variant, never on their order: a join by row number
makes up changes wherever a row is missing. A sample that occurs several times is paired occurrence by
occurrence (in the order of sample ids) if both runs have it equally often, and not at all otherwise.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from halueval.compare.columns import Columns, IntArray, Key
from halueval.compare.record import Mismatch
from halueval.errors import UsageError, nearest
from halueval.store import Run

_RERUN = {
    "task_hash": "run both again with the same task card",
    "data_sha256": "run both again on the same data",
    "num_fewshot": "rerun the candidate with --num-fewshot {base}",
    "seed": "rerun the candidate with --seed {base}",
    "limit": "rerun the candidate with --limit {base}",
    "generation": "run both again with the same generation_kwargs",
    "scorers": "repeat the older run's command with this version (its responses are kept, so it is only scored again)",
    "apply_chat_template": "rerun the candidate {with} --apply-chat-template",
    "system_instruction_sha256": "rerun the candidate with the base's --system-instruction",
    "calibration": "rerun the candidate with --calibration {base}",
}
MISMATCH_KEYS = (*_RERUN, "prompt_hash")
"""What `--allow-mismatch` can name. `prompt_hash` pairs by document and variant alone."""

# Under these keys prompts differ by nature, so that asking for the same prompt would pair nothing.
_CHANGE_PROMPTS = frozenset({"task_hash", "num_fewshot", "seed", "prompt_hash"})


def check_allowed(keys: Iterable[str]) -> None:
    """Refuse keys that `--allow-mismatch` does not know.

    Raises:
        UsageError: names the key and the nearest.
    """
    for key in keys:
        if key not in MISMATCH_KEYS:
            raise UsageError(f"--allow-mismatch {key!r}: no such key{nearest(key, MISMATCH_KEYS)}")


def find_mismatches(base: Run, candidate: Run) -> list[Mismatch]:
    """Keys of the runs' identities in which they must agree to be compared, and do not.

    Figures that only one run has are no mismatch; a figure that both have in different versions is.

    Raises:
        UsageError: the runs are of different tasks, which nothing can let through.
    """
    left, right = base.record["identity"], candidate.record["identity"]
    if left["task"] != right["task"]:
        raise UsageError(
            f"{base.path} is a run of task {left['task']!r}, {candidate.path} of {right['task']!r}; "
            "give two runs of one task"
        )
    found: list[Mismatch] = []
    for key in _RERUN:
        a, b = left.get(key), right.get(key)
        if key == "scorers":
            shared = [name for name in a if name in b and a[name] != b[name]]
            a, b = {name: a[name] for name in shared}, {name: b[name] for name in shared}
        if a != b:
            found.append({"key": key, "base": a, "candidate": b})
    return found


def refuse(task: str, mismatches: Sequence[Mismatch], allowed: Sequence[str]) -> None:
    """Refuse what differs and is not allowed to.

    Raises:
        UsageError: one line with each key, both values and how to rerun.
    """
    parts = []
    for item in mismatches:
        if item["key"] in allowed:
            continue
        how = _RERUN[item["key"]].format(base=item["base"], **{"with": "with" if item["base"] else "without"})
        if item["key"] == "limit" and item["base"] is None:
            how = "rerun the candidate without --limit"
        if item["key"] == "calibration" and item["base"] is None:
            how = "rerun the candidate without --calibration"
        if item["key"] == "system_instruction_sha256" and item["base"] is None:
            how = "rerun the candidate without --system-instruction"
        parts.append(
            f"{item['key']} is {_shown(item['base'])} in the base and {_shown(item['candidate'])} in the candidate: "
            f"{how}, or pass --allow-mismatch {item['key']}"
        )
    if parts:
        raise UsageError(f"{task}: the runs cannot be compared: " + "; ".join(parts))


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping | bool) else str(value)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of both runs that are one sample, in the order of their keys.

    Attributes:
        base, candidate: shape (n,), row numbers.
        unpaired_base, unpaired_candidate: row numbers without a partner.
        reasons: why, with counts over both sides.
        prompts_differ: pairs with different prompts (only where `by_prompt` is false).
    """

    base: IntArray
    candidate: IntArray
    unpaired_base: IntArray
    unpaired_candidate: IntArray
    reasons: dict[str, int]
    prompts_differ: int

    def __len__(self) -> int:
        return len(self.base)


def pairs_by_prompt(mismatches: Sequence[Mismatch], allowed: Sequence[str]) -> bool:
    """Whether prompts must be equal: unless a difference that changes prompts was allowed."""
    differing = {item["key"] for item in mismatches} | {"prompt_hash"}
    return not (_CHANGE_PROMPTS & differing & set(allowed))


def pair(base: Columns, candidate: Columns, *, by_prompt: bool = True) -> Pairs:
    """Join two runs of a task.

    Args:
        base: samples of the base.
        candidate: samples of the candidate.
        by_prompt: ask for the same prompt as well as the same document and variant.

    Returns:
        The pairs, and what is left over with reasons.
    """
    ours, theirs = _keys(base, by_prompt), _keys(candidate, by_prompt)
    left, right = _places(ours, base.sample_ids), _places(theirs, candidate.sample_ids)
    mine, yours = base.target_hashes, candidate.target_hashes
    # Nearly all samples occur once on both sides, with one target: these are matched without a loop of their own.
    partner = right.last.get
    once = [(i, j) for i, key in enumerate(ours) if (j := partner(key, -1)) >= 0 and mine[i] == yours[j]]
    odd = left.repeated.keys() | right.repeated.keys()
    if odd:
        once = [(i, j) for i, j in once if ours[i] not in odd]
    if not len(once) == len(ours) == len(theirs):
        odd |= (left.last.keys() | right.last.keys()) - {ours[i] for i, _ in once}
    several, alone, reasons = _pair_odd(sorted(odd), (base, candidate), (left, right))
    # Stable, so that occurrences of one key stay in their order. Joined, keys sort as they do apart: \0 is in no hash.
    paired = sorted(once + several, key=lambda rows: "\0".join(ours[rows[0]]))
    index = np.array(paired, dtype=np.intp).reshape(-1, 2)
    return Pairs(
        base=index[:, 0].copy(),
        candidate=index[:, 1].copy(),
        unpaired_base=np.array(alone[0], dtype=np.intp),
        unpaired_candidate=np.array(alone[1], dtype=np.intp),
        reasons=dict(sorted(reasons.items())),
        prompts_differ=0 if by_prompt else sum(base.keys[i][1] != candidate.keys[j][1] for i, j in paired),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """The last row of each key, and all rows of keys with several, in the order of their sample ids."""

    last: dict[Key, int]
    repeated: dict[Key, list[int]]

    def of(self, key: Key) -> list[int]:
        """Rows of a key."""
        return self.repeated[key] if key in self.repeated else [self.last[key]] if key in self.last else []


def _keys(columns: Columns, by_prompt: bool) -> list[Key]:
    return columns.keys if by_prompt else [(document, "", variant) for document, _, variant in columns.keys]


def _places(keys: Sequence[Key], ids: Sequence[str]) -> _Places:
    last = {key: i for i, key in enumerate(keys)}
    rows: dict[Key, list[int]] = {}
    if len(last) < len(keys):
        for i, key in enumerate(keys):
            rows.setdefault(key, []).append(i)
    repeated = {key: sorted(some, key=lambda i: (len(ids[i]), ids[i])) for key, some in rows.items() if len(some) > 1}
    return _Places(last, repeated)


def _pair_odd(
    keys: Sequence[Key], sides: tuple[Columns, Columns], places: tuple[_Places, _Places]
) -> tuple[list[tuple[int, int]], tuple[list[int], list[int]], Counter[str]]:
    """Pairs, rows without a partner, and reasons, of keys that are not on both sides once with one target."""
    reasons: Counter[str] = Counter()

    @cache
    def documents() -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        base, candidate = ({(key[0], key[2]) for key in side.keys} for side in sides)
        return base, candidate

    paired: list[tuple[int, int]] = []
    alone: tuple[list[int], list[int]] = ([], [])
    for key in keys:
        ours, theirs = places[0].of(key), places[1].of(key)
        targets = [sides[0].target_hashes[i] for i in ours], [sides[1].target_hashes[j] for j in theirs]
        if len(ours) == len(theirs) and targets[0] == targets[1]:
            paired.extend(zip(ours, theirs, strict=True))
            continue
        same = len(ours) == len(theirs)
        why = "same document and prompt, different target" if same else _reason(key, ours, theirs, documents())
        reasons[why] += len(ours) + len(theirs)
        alone[0].extend(ours)
        alone[1].extend(theirs)
    return paired, alone, reasons


def _reason(
    key: Key, ours: Sequence[int], theirs: Sequence[int], documents: tuple[set[tuple[str, str]], set[tuple[str, str]]]
) -> str:
    if ours and theirs:
        return "repeated a different number of times"
    if (key[0], key[2]) in documents[1 if ours else 0]:
        return "prompt differs"
    return "only in the base" if ours else "only in the candidate"
