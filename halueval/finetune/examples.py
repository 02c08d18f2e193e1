"""What a model is trained on: a prompt, what is to follow it, and where the pair came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from halueval.datafile import read_rows
from halueval.errors import DataError
from halueval.schema import canonical_json


@dataclass(frozen=True, slots=True)
class Example:
    """One training example.

    Attributes:
        prompt: what the model reads; no loss on it. "" where the whole text is learnt.
        completion: what it learns to write, the end included (a line break, say); the loss is over its tokens alone.
            "" for a classifier.
        label: class of a classifier's example, else None.
        question: the bare question inside `prompt`, so that it can be reworded; "" where there is none.
        answer: the bare answer inside `completion`; "" where there is none.
        relation: stratum of a fact ("country_capital"); "" where there is none.
        known_class: what the base knew of it: HighlyKnown, MaybeKnown, WeaklyKnown or Unknown; None if not probed.
        origin: where it comes from: "invented", a task's name, a file's name, or a mitigation's name.
        doc_hash: of the task's row that it was made from; "" for others.
        text_pair: second text of a classifier's example, or None.
    """

    prompt: str
    completion: str = ""
    label: str | None = None
    question: str = ""
    answer: str = ""
    relation: str = ""
    known_class: str | None = None
    origin: str = ""
    doc_hash: str = ""
    text_pair: str | None = None

    def row(self) -> dict[str, Any]:
        """As a line of `train.jsonl`: empty fields left out, prompt and completion always there."""
        kept = {key: value for key, value in asdict(self).items() if value not in ("", None)}
        return {"prompt": self.prompt, "completion": self.completion, **kept}


def examples_sha256(examples: Iterable[Example]) -> str:
    """Digest of examples and their order: a canonical JSON line each."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(canonical_json(example.row()).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def example_lines(examples: Iterable[Example]) -> Iterable[bytes]:
    """Lines of `train.jsonl`."""
    for example in examples:
        yield json.dumps(example.row(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def read_examples(path: Path) -> list[Example]:
    """Read a `train.jsonl` back.

    Raises:
        DataError: not readable, or not written by a fine-tuning.
    """
    return [_example(row, f"{path}: row {number}") for number, row in enumerate(read_rows(path), 1)]


def _example(row: Mapping[str, Any], where: str) -> Example:
    known = {field.name for field in fields(Example)}
    strange = sorted(set(row) - known)
    if strange or not isinstance(row.get("prompt"), str):
        raise DataError(f"{where}: not an example that a fine-tuning wrote ({', '.join(strange) or 'no prompt'})")
    return Example(**row)


def counts(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    """How many examples there are of each origin, known class and relation."""
    found: dict[str, dict[str, int]] = {"origin": {}, "known_class": {}, "relation": {}}
    for example in examples:
        for key, table in found.items():
            name = getattr(example, key) or "not given"
            table[name] = table.get(name, 0) + 1
    return {key: dict(sorted(table.items())) for key, table in found.items()}
