"""The rows of `samples.jsonl` as columns: what a comparison needs of 100,000 samples, without their prompts.

Prompts, targets and choices stay in the file; `sample_rows` reads them again for the few samples that are shown.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.compare.record import STATES
from halueval.errors import DataError
from halueval.schema import State, canonical_json
from halueval.scorers.likelihood import logsumexp
from halueval.store import SAMPLES_FILE, Run, parse_row, read_samples
from halueval.text import holds_words

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

FLAGS = ("refused", "empty", "truncated", "unparsable", "verbose")
"""Forms of a response. All but the last are in the rows; `verbose` is an answer that was judged hallucinated and holds
a reference as whole words: a right answer in a longer text, or one that says more than it should."""
_LISTS = ("sample_ids", "keys", "target_hashes", "clusters", "answers", "groups")
_ARRAYS = ("state", "confidence", "tokens", "characters", "choice_nll", "flags")
_CHUNK = 128
"""Rows parsed before they are taken apart: more, and they no longer fit the processor's cache."""
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)
_HALLUCINATED = State.HALLUCINATED.value
_STATE_NUMBER = {name: i for i, name in enumerate(STATES)}
# The states that a figure may leave out by definition (`hallucination_rate` the abstained).
_BY_DEFINITION = frozenset(state.value for state in State) - {State.UNSCORED.value}

Key = tuple[str, str, str]
"""Document hash, prompt hash, variant."""


@contextmanager
def without_collection() -> Iterator[None]:
    """Hold the cyclic garbage collector.

    It would walk all samples again and again while they are read and paired, a third of the time of comparing
    100,000 of them; they hold no cycles.
    """
    held = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if held:
            gc.enable()


@dataclass(slots=True)
class Columns:
    """One run's samples, n of them, in the order of the file.

    Attributes:
        keys: identity of each sample within its task.
        state: shape (n,), index into `STATES`.
        confidence, tokens, choice_nll: shape (n,), NaN where a row has none. `choice_nll` is the negative
            log of the probability that the right choices have among all, in nats.
        characters: shape (n,), length of the response, NaN where nothing was generated.
        flags: shape (n, 5), in the order of `FLAGS`.
        answers: what the model said, byte for byte: its response, or its log-likelihoods as text.
        scores: shape (n,) by figure, NaN where unscored.
        left_out: shape (n,) by figure: unscored by the figure's definition (an abstained sample has no
            part in `hallucination_rate`), so no failure of either model.
        stats: shape (n, width) by figure, zeros where unscored.
        generates: some row has a response.
    """

    sample_ids: list[str]
    keys: list[Key]
    target_hashes: list[str]
    clusters: list[str]
    state: IntArray
    confidence: FloatArray
    tokens: FloatArray
    characters: FloatArray
    choice_nll: FloatArray
    flags: NDArray[np.bool_]
    answers: list[str | None]
    groups: list[Mapping[str, str]]
    scores: dict[str, FloatArray]
    left_out: dict[str, NDArray[np.bool_]]
    stats: dict[str, FloatArray]
    generates: bool

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(slots=True)
class _Builder:
    """Columns that grow by chunks of rows; a call for each row would take half the time of a comparison.

    `stats` holds row numbers and their values, `widths` the lengths that a figure's values have, `strata` each
    distinct group once.
    """

    n: int = 0
    lists: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _LISTS})
    arrays: dict[str, list[NDArray[Any]]] = field(default_factory=lambda: {name: [] for name in _ARRAYS})
    scores: dict[str, list[FloatArray]] = field(default_factory=dict)
    left_out: dict[str, list[int]] = field(default_factory=dict)
    stats: dict[str, list[tuple[list[int], FloatArray]]] = field(default_factory=dict)
    widths: dict[str, set[int]] = field(default_factory=dict)
    strata: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = field(default_factory=dict)

    def extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows; KeyError, TypeError, ValueError or AttributeError where one is not of ours."""
        ids = [str(row["sample_id"]) for row in rows]
        documents = [row["doc_hash"] for row in rows]
        clusters = [str(row["cluster"]) for row in rows]
        responses = [row.get("response") for row in rows]
        lists, share = self.lists, self.strata.setdefault
        lists["sample_ids"] += ids
        lists["keys"] += [
            (document, row["prompt_hash"], name.partition("/")[2] if "/" in name else "")
            for document, row, name in zip(documents, rows, ids, strict=True)
        ]
        lists["target_hashes"] += [row["target_hash"] for row in rows]
        # A sample that is its own cluster bears its document's hash: one object for both.
        lists["clusters"] += [a if a == b else b for a, b in zip(documents, clusters, strict=True)]
        lists["answers"] += [
            text if type(text) is str and "choices" not in row else _answer(row)
            for text, row in zip(responses, rows, strict=True)
        ]
        lists["groups"] += [share(tuple(group.items()), group) for group in [row["group"] for row in rows]]
        arrays = self.arrays
        arrays["state"].append(np.array([_STATE_NUMBER[row["state"]] for row in rows], dtype=np.intp))
        arrays["confidence"].append(_floats([row.get("confidence") for row in rows]))
        arrays["tokens"].append(_floats([row.get("num_response_tokens") for row in rows]))
        arrays["characters"].append(_floats([None if text is None else len(text) for text in responses]))
        arrays["choice_nll"].append(_floats([_choice_nll(row) if "choices" in row else None for row in rows]))
        arrays["flags"].append(_flags(rows))
        self._extend_scores(rows)
        self._extend_stats([row.get("stats", {}) for row in rows])
        self.n += len(rows)

    def _extend_scores(self, rows: Sequence[Mapping[str, Any]]) -> None:
        scores = [row["scores"] for row in rows]
        for name in _names(scores):
            self.scores.setdefault(name, [np.full(self.n, math.nan)] if self.n else [])
        for name, chunks in self.scores.items():
            values = [given.get(name) for given in scores]
            chunks.append(_floats(values))
            if None in values:
                unscored = (i for i, value in enumerate(values) if value is None)
                by_definition = [i for i in unscored if rows[i].get("reasons", {}).get(name) in _BY_DEFINITION]
                self.left_out.setdefault(name, []).extend(self.n + i for i in by_definition)

    def _extend_stats(self, stats: Sequence[Mapping[str, Sequence[float]]]) -> None:
        for name in _names(stats):
            numbers = [i for i, given in enumerate(stats) if name in given]
            values = [stats[i][name] for i in numbers]
            widths = self.widths.setdefault(name, set())
            widths.update(map(len, values))
            # Without one width there is no table (`build` leaves the figure out).
            table = np.array(values, dtype=np.float64) if len(widths) == 1 else np.empty((0, 0))
            self.stats.setdefault(name, []).append(([self.n + i for i in numbers], table))

    def build(self) -> Columns:
        """Put the chunks together."""
        lists = self.lists
        whole = {name: np.concatenate(chunks) for name, chunks in self.arrays.items()}
        left_out = {}
        for name in self.scores:
            left_out[name] = np.zeros(self.n, dtype=np.bool_)
            left_out[name][self.left_out.get(name, [])] = True
        return Columns(
            sample_ids=lists["sample_ids"],
            keys=lists["keys"],
            target_hashes=lists["target_hashes"],
            clusters=lists["clusters"],
            answers=lists["answers"],
            groups=lists["groups"],
            state=whole["state"],
            confidence=whole["confidence"],
            tokens=whole["tokens"],
            characters=whole["characters"],
            choice_nll=whole["choice_nll"],
            flags=whole["flags"],
            scores={name: np.concatenate(chunks) for name, chunks in self.scores.items()},
            left_out=left_out,
            stats={name: self._table(name) for name, widths in self.widths.items() if len(widths) == 1},
            generates=bool(np.isfinite(whole["tokens"]).any() or np.isfinite(whole["characters"]).any()),
        )

    def _table(self, name: str) -> FloatArray:
        table = np.zeros((self.n, *self.widths[name]))
        for numbers, values in self.stats[name]:
            table[numbers] = values
        return table


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of all rows, in the order in which they first occur."""
    layouts = dict.fromkeys(map(tuple, rows))
    return list(dict.fromkeys(name for layout in layouts for name in layout))


def _floats(values: Sequence[Any]) -> FloatArray:
    """Numbers, with NaN for None; shape (n,)."""
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1:
        raise TypeError("a list where a number belongs")
    return array


def _flags(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
    out = np.zeros((len(rows), len(FLAGS)), dtype=np.bool_)
    for i, row in enumerate(rows):
        names = row.get("flags")
        if names:
            out[i] = [flag in names for flag in FLAGS]
        if row["state"] == _HALLUCINATED and row.get("response"):
            response = row["response"]
            out[i, -1] = any(holds_words(response, text) for text in row.get("references") or ())
    return out


def _answer(row: Mapping[str, Any]) -> str | None:
    if "choices" in row and row.get("loglikelihoods") is not None:
        return canonical_json(row["loglikelihoods"])
    response = row.get("response")
    if response is None and "response" in row and row["scores"]:
        # Nothing generated (a rolling task): what the model said of the text is in its likelihoods.
        return canonical_json(row["scores"])
    return None if response is None else str(response)


def _choice_nll(row: Mapping[str, Any]) -> float:
    values, gold = row.get("loglikelihoods"), row.get("gold")
    if not values or not gold or len(gold) == len(values):
        return math.nan
    if correction := row.get("correction"):
        values = [value - less for value, less in zip(values, correction, strict=True)]
    return logsumexp(values) - logsumexp([values[i] for i in gold])


def read_columns(run: Run) -> Columns:
    """The samples of a run.

    Raises:
        DataError: the file is missing, was changed after the run, or holds something else than samples.
    """
    builder = _Builder()
    _fill(builder, run)
    if not builder.n:
        raise DataError(f"{run.path / SAMPLES_FILE}: holds no samples")
    return builder.build()


def _fill(builder: _Builder, run: Run) -> None:
    rows = read_samples(run.path, run.record)
    while chunk := list(islice(rows, _CHUNK)):
        try:
            builder.extend(chunk)
        except _MALFORMED as error:
            number, cause = _first_malformed(chunk, error)
            raise DataError(
                f"{run.path / SAMPLES_FILE}: line {builder.n + number + 1}: is no sample of a run "
                f"({type(cause).__name__}: {cause})"
            ) from cause


def _first_malformed(chunk: Sequence[Mapping[str, Any]], error: Exception) -> tuple[int, Exception]:
    """Which row of a chunk is at fault, and what is wrong with it."""
    for i, row in enumerate(chunk):
        try:
            _Builder().extend([row])
        except _MALFORMED as cause:
            return i, cause
    raise error  # a fault of the chunk, not of the file


def sample_rows(run: Run, wanted: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Whole rows by their number (from 0) in the file; only those wanted are parsed.

    Raises:
        DataError: the file was changed since it was read.
    """
    numbers = set(wanted)
    if not numbers:
        return {}
    path = run.path / SAMPLES_FILE
    if not run.is_intact():
        raise DataError(f"{path}: was changed while it was being compared; run the comparison again")
    last = max(numbers)
    with path.open("rb") as file:
        return {i: parse_row(line) for i, line in enumerate(islice(file, last + 1)) if i in numbers}
