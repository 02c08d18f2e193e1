"""What a base model knows of each fact of a task: the four classes of SliCK, and the file that keeps them.

Gekhman et al. 2024, "Does Fine-Tuning LLMs on New Knowledge Encourage Hallucinations?", table 1. A fact is asked with
several prompts that differ in their few-shot examples; P(greedy) is the share of prompts whose greedy answer is right,
P(sampled) the share of right answers among those drawn at a temperature.

A file of labels is JSON lines. The first says whose labels they are (`LabelHeader`), each other one is a fact
(`KnownFact`). It belongs to one set of weights: labels of another model say nothing about this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from halueval.errors import DataError

KnownClass = Literal["HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown"]
KNOWN_CLASSES: tuple[KnownClass, ...] = get_args(KnownClass)
"""From what is known best to what is not known."""

LABELS_SCHEMA_VERSION = 1
LABELS_FILE = "labels.jsonl"
PROBE_PREFIX = "probe-"
"""Of the directory of a probe, which stands beside the runs of the same model and task."""
STRATUM = "known_class"
"""Name of the stratum in comparisons."""


def known_class(greedy: Sequence[bool], sampled: Sequence[bool]) -> KnownClass:
    """The class of a fact.

    Args:
        greedy: for each prompt, whether its greedy answer is right.
        sampled: for each drawn answer of all prompts, whether it is right.

    Raises:
        ValueError: no greedy answer.
    """
    if not greedy:
        raise ValueError("a fact without a greedy answer has no class")
    if all(greedy):
        return "HighlyKnown"
    if any(greedy):
        return "MaybeKnown"
    return "WeaklyKnown" if any(sampled) else "Unknown"


@dataclass(frozen=True, slots=True)
class LabelHeader:
    """Whose labels they are.

    Attributes:
        model: name of the probed model.
        weights_sha256: of its weights.
        adapter_sha256: of its adapter, None without one.
        task: name of the task.
        task_hash: of its card.
        data_sha256: of its data.
        settings: prompts, examples, draws, temperature and seed.
    """

    model: str
    weights_sha256: str
    adapter_sha256: str | None
    task: str
    task_hash: str
    data_sha256: str
    settings: Mapping[str, Any]

    def are_of(self, weights_sha256: str, adapter_sha256: str | None) -> bool:
        """Whether the labels are those of a model: of its weights, and of its adapter or its having none."""
        return (self.weights_sha256, self.adapter_sha256) == (weights_sha256, adapter_sha256)


@dataclass(frozen=True, slots=True)
class KnownFact:
    """The label of one fact.

    Attributes:
        sample_id: of its row in the task.
        doc_hash: of its row.
        known_class: what the model knows of it.
        p_greedy: share of prompts whose greedy answer is right.
        p_sampled: share of drawn answers that are right.
        n_prompts: prompts that it was asked with.
        n_sampled: answers that were drawn.
        fresh_correct: whether a greedy answer to one more prompt, of other examples, is right; it has no part in the
            class.
        group: strata of its row (relation and the like).
    """

    sample_id: str
    doc_hash: str
    known_class: KnownClass
    p_greedy: float
    p_sampled: float
    n_prompts: int
    n_sampled: int
    fresh_correct: bool
    group: Mapping[str, str]


def label_lines(header: LabelHeader, facts: Sequence[KnownFact]) -> Iterator[bytes]:
    """The lines of a file of labels."""
    yield _line({"schema_version": LABELS_SCHEMA_VERSION, "kind": "known_classes", **asdict(header)})
    for fact in facts:
        yield _line(asdict(fact))


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"


def read_labels(path: Path) -> tuple[LabelHeader, list[KnownFact]]:
    """Read a file of labels.

    Raises:
        DataError: cannot be read, or not such a file; one line with the number of the bad line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not lines:
        raise DataError(f"{path}: is empty; `halueval probe` writes such files")
    header = _header(_parse(lines[0], f"{path}: line 1"), f"{path}: line 1")
    return header, [
        _fact(_parse(line, f"{path}: line {i}"), f"{path}: line {i}") for i, line in enumerate(lines[1:], 2)
    ]


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: holds no mapping; labels are what `halueval probe` writes")
    return value


def _header(value: dict[str, Any], where: str) -> LabelHeader:
    if value.get("kind") != "known_classes" or value.get("schema_version") != LABELS_SCHEMA_VERSION:
        raise DataError(
            f"{where}: no head of labels of version {LABELS_SCHEMA_VERSION}; `halueval probe` writes such files"
        )
    fields = LabelHeader.__slots__
    _need(value, fields, where)
    return LabelHeader(**{name: value[name] for name in fields})


def _fact(value: dict[str, Any], where: str) -> KnownFact:
    fields = KnownFact.__slots__
    _need(value, fields, where)
    if value["known_class"] not in KNOWN_CLASSES:
        raise DataError(f"{where}: known_class is {value['known_class']!r}; it is one of {', '.join(KNOWN_CLASSES)}")
    return KnownFact(**{name: value[name] for name in fields})


def _need(value: Mapping[str, Any], fields: Sequence[str], where: str) -> None:
    lacking = next((name for name in fields if name not in value), None)
    if lacking is not None:
        raise DataError(f"{where}: has no {lacking}; `halueval probe` writes it")


def find_labels(task_directory: Path, weights_sha256: str, adapter_sha256: str | None, data_sha256: str) -> Path | None:
    """The labels of a model beside its runs of a task: those with the most facts, then the last by name.

    Args:
        task_directory: `<output>/<model>/<task>`.
        weights_sha256: of the model.
        adapter_sha256: of its adapter.
        data_sha256: of the task's data.

    Returns:
        None where there are none of these weights and data.

    Raises:
        DataError: a file of labels that is broken.
    """
    return largest(
        task_directory.glob(f"{PROBE_PREFIX}*/{LABELS_FILE}"),
        lambda header: header.are_of(weights_sha256, adapter_sha256) and header.data_sha256 == data_sha256,
    )


def largest(paths: Iterable[Path], wanted: Callable[[LabelHeader], bool]) -> Path | None:
    """The file with the most facts, then the last by name, among those whose head is wanted; None where none is.

    Raises:
        DataError: a file of labels that is broken.
    """
    found = []
    for path in sorted(paths):
        header, facts = read_labels(path)
        if wanted(header):
            found.append((len(facts), path))
    return max(found)[1] if found else None
