"""The rows of `samples.jsonl` as columns: what a comparison needs of 100,000 samples, without their prompts.

Prompts, targets and choices stay in the file; `sample_rows` reads them again for the few samples that are shown.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halueval.compare.record import STATES
from halueval.errors import DataError
from halueval.schema import State, canonical_json
from halueval.scorers.likelihood import logsumexp
from halueval.store import SAMPLES_FILE, Run, parse_row, read_samples

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

FLAGS = ("refused", "empty", "truncated", "unparsable")
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
        flags: shape (n, 4), in the order of `FLAGS`.
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
    """Lists that grow with the rows; `stats` holds (row, values), `groups` each distinct group once."""

    n: int = 0
    simple: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: []
            for name in (
                *("sample_ids", "keys", "target_hashes", "clusters", "state", "confidence", "tokens"),
                *("characters", "choice_nll", "flags", "answers", "groups"),
            )
        }
    )
    scores: dict[str, list[float]] = field(default_factory=dict)
    left_out: dict[str, list[int]] = field(default_factory=dict)
    stats: dict[str, list[tuple[int, Sequence[float]]]] = field(default_factory=dict)
    groups: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row; KeyError or TypeError where it is not one of ours."""
        sample_id, response, simple = str(row["sample_id"]), row.get("response"), self.simple
        # One call a column, without a dictionary of the row: this runs for every row of both files.
        simple["sample_ids"].append(sample_id)
        simple["keys"].append((row["doc_hash"], row["prompt_hash"], sample_id.partition("/")[2]))
        simple["target_hashes"].append(row["target_hash"])
        simple["clusters"].append(str(row["cluster"]))
        simple["state"].append(_STATE_NUMBER[row["state"]])
        simple["confidence"].append(_number(row.get("confidence")))
        simple["tokens"].append(_number(row.get("num_response_tokens")))
        simple["characters"].append(math.nan if response is None else float(len(response)))
        simple["choice_nll"].append(_choice_nll(row) if "choices" in row else math.nan)
        simple["flags"].append(_flags(row.get("flags")))
        simple["answers"].append(_answer(row))
        simple["groups"].append(self._shared(row["group"]))
        reasons = row.get("reasons", {})
        for name, score in row["scores"].items():
            if name not in self.scores:
                self.scores[name] = [math.nan] * self.n
            self.scores[name].append(math.nan if score is None else float(score))
            if score is None and reasons.get(name) in _BY_DEFINITION:
                self.left_out.setdefault(name, []).append(self.n)
        for name, numbers in row.get("stats", {}).items():
            self.stats.setdefault(name, []).append((self.n, numbers))
        self.n += 1

    def _shared(self, group: Mapping[str, str]) -> Mapping[str, str]:
        """One object for all samples of a stratum."""
        return self.groups.setdefault(tuple(group.items()), group)

    def build(self) -> Columns:
        """Turn the lists into arrays."""
        simple = self.simple

        def floats(name: str) -> FloatArray:
            return np.array(simple[name], dtype=np.float64)

        left_out = {}
        for name in self.scores:
            left_out[name] = np.zeros(self.n, dtype=np.bool_)
            left_out[name][self.left_out.get(name, [])] = True
        tokens, characters = floats("tokens"), floats("characters")
        return Columns(
            sample_ids=simple["sample_ids"],
            keys=simple["keys"],
            target_hashes=simple["target_hashes"],
            clusters=simple["clusters"],
            state=np.array(simple["state"], dtype=np.intp),
            confidence=floats("confidence"),
            tokens=tokens,
            characters=characters,
            choice_nll=floats("choice_nll"),
            flags=np.array(simple["flags"], dtype=np.bool_).reshape(self.n, len(FLAGS)),
            answers=simple["answers"],
            groups=simple["groups"],
            scores={name: np.array(values, dtype=np.float64) for name, values in self.scores.items()},
            left_out=left_out,
            stats=dict(_stats(self.stats, self.n)),
            generates=bool(np.isfinite(tokens).any() or np.isfinite(characters).any()),
        )


def _stats(stats: Mapping[str, Sequence[tuple[int, Sequence[float]]]], n: int) -> Iterable[tuple[str, FloatArray]]:
    for name, items in stats.items():
        width = len(items[0][1])
        if all(len(values) == width for _, values in items):
            table = np.zeros((n, width))
            table[[i for i, _ in items]] = [values for _, values in items]
            yield name, table


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _flags(given: Sequence[str] | None) -> tuple[bool, ...]:
    return tuple(flag in given for flag in FLAGS) if given else (False,) * len(FLAGS)


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
    for row in read_samples(run.path, run.record):
        try:
            builder.add(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{run.path / SAMPLES_FILE}: line {builder.n + 1}: is no sample of a run ({what})"
            ) from error


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
    with path.open("rb") as file:
        return {i: parse_row(line) for i, line in enumerate(file) if i in numbers}
