"""Paired samples as blocks of data inside an HTML page: inert whatever a model wrote, and small.

A page holds one *index* (per row its transition and strata, a few bytes) and *chunks* of `CHUNK_ROWS` rows
with the texts. The browser reads the index at once and a chunk only when a row of it is shown or
searched, so that a page of 100,000 samples opens as fast as one of 100.
"""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from halueval.compare.record import STATES, Answer, PairedSample

CHUNK_ROWS = 500

# One letter a transition, base state first: a string of n letters is the smallest index JSON can hold.
_LETTERS = "abcdefghijklmnop"

# Inside <script> the HTML parser reads `<!--`, `<script` and `</script`; the line separators end a line
# in old JavaScript. All are legal inside a JSON string as escapes, and occur nowhere else in JSON.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def inert_json(value: Any) -> str:
    """JSON that can stand inside `<script type="application/json">`: nothing in it can close the element.

    Raises:
        ValueError: `value` holds NaN or an infinity.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escaped in _ESCAPES.items():
        text = text.replace(character, escaped)
    # Half a character, where a model stopped inside one, has no UTF-8 form; the page could not be written.
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


@dataclass(slots=True)
class StrataCodes:
    """The strata of numbered rows, by key: its values in the order seen, and per row the number of its value."""

    values: dict[str, dict[str, int]] = field(default_factory=dict)
    codes: dict[str, list[int]] = field(default_factory=dict)

    def add(self, row: int, group: Mapping[str, str]) -> None:
        """Take the strata of the next row."""
        for key, value in group.items():
            values = self.values.setdefault(key, {})
            # A key that some rows lack: -1 stands for "none" in those.
            codes = self.codes.setdefault(key, [])
            codes.extend([-1] * (row - len(codes)))
            codes.append(values.setdefault(value, len(values)))

    def as_json(self, total: int) -> list[dict[str, Any]]:
        """Key, values and the codes of `total` rows."""
        return [
            {"key": key, "values": list(values), "codes": self.codes[key] + [-1] * (total - len(self.codes[key]))}
            for key, values in self.values.items()
        ]


@dataclass(slots=True)
class _Set:
    """The rows of one task and candidate: what the browser filters by, and the rows not yet written."""

    number: int
    task: str
    candidate: str
    metrics: list[str]
    transitions: list[str] = field(default_factory=list)
    strata: StrataCodes = field(default_factory=StrataCodes)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    n_chunks: int = 0

    def add(self, sample: PairedSample) -> None:
        row = len(self.transitions)
        here, there = STATES.index(sample["base"]["state"]), STATES.index(sample["candidate"]["state"])
        self.transitions.append(_LETTERS[here * len(STATES) + there])
        self.strata.add(row, sample["group"])
        self.waiting.append(_row(sample, self.metrics))

    def flush(self) -> tuple[str, str]:
        block = f"rows-{self.number}-{self.n_chunks}", inert_json(prefixed(self.waiting))
        self.waiting, self.n_chunks = [], self.n_chunks + 1
        return block

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.task,
            "candidate": self.candidate,
            "metrics": self.metrics,
            "transitions": "".join(self.transitions),
            "groups": self.strata.as_json(len(self.transitions)),
        }


class SampleBlocks:
    """The data blocks of a page, made while its samples are read once.

    Args:
        samples: per task its paired samples; those of several candidates may be mixed.
    """

    def __init__(self, samples: Mapping[str, Iterable[PairedSample]]) -> None:
        self._samples = samples
        self._sets: dict[tuple[str, str], _Set] = {}

    def chunks(self) -> Iterator[tuple[str, str]]:
        """Element id and JSON of each chunk; to be read to its end before `index` is asked for."""
        for task, rows in self._samples.items():
            for sample in rows:
                key = (sample["candidate_label"], task)
                if key not in self._sets:
                    self._sets[key] = _Set(len(self._sets), task, key[0], list(sample["base"]["scores"]))
                self._sets[key].add(sample)
                if len(self._sets[key].waiting) == CHUNK_ROWS:
                    yield self._sets[key].flush()
        for one in self._sets.values():
            if one.waiting:
                yield one.flush()

    def index(self) -> str:
        """JSON of the index of all rows that `chunks` has yielded."""
        sets = [one.as_json() for one in self._sets.values()]
        return inert_json({"chunk_rows": CHUNK_ROWS, "states": STATES, "letters": _LETTERS, "sets": sets})


def prefixed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows with the start that all their prompts share (few-shot examples, an instruction) taken off and kept once."""
    prefix = os.path.commonprefix([row["prompt"] for row in rows])  # noqa: RUF071 - characters are meant, not paths
    # The shared start is cut at a paragraph's end, so that what is shown as the row's own part is whole.
    prefix = prefix[: prefix.rfind("\n\n") + 2] if "\n\n" in prefix else ""
    for row in rows:
        row["prompt"] = row["prompt"][len(prefix) :]
    return {"prefix": prefix, "rows": rows}


def _row(sample: PairedSample, metrics: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"id": sample["sample_id"], "prompt": sample["prompt"], "target": sample["target"]}
    if sample["choices"]:
        row["choices"] = sample["choices"]
    return row | {"base": _side(sample["base"], metrics), "cand": _side(sample["candidate"], metrics)}


def _side(answer: Answer, metrics: list[str]) -> dict[str, Any]:
    """One model's answer; whatever is null is left out."""
    side = {
        "text": answer["response"],
        "conf": rounded(answer["confidence"]),
        "why": answer["reason"],
        "scores": [rounded(answer["scores"].get(name)) for name in metrics],
    }
    return {key: value for key, value in side.items() if value is not None}


def rounded(value: float | None) -> float | None:
    """Five significant digits: what the page shows, at a third of the bytes."""
    return None if value is None else float(f"{value:.5g}")
