"""Which facts are trained, which are asked, and the task files that ask them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.study.settings import COMPLETION, PROMPT, Settings
from halueval.dataset import load_data
from halueval.errors import DataError
from halueval.known import KnownFact
from halueval.prompt import build_samples
from halueval.registry import Registry
from halueval.schema import sha256_text
from halueval.store import write_atomically

HELD_OUT, FITTED = "heldout", "fitted"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact with what the base knew of it; `answers[0]` is the one that is trained."""

    doc_hash: str
    relation: str
    question: str
    answers: tuple[str, ...]
    known_class: str

    @property
    def known(self) -> bool:
        """Whether the base ever answered it rightly."""
        return self.known_class != "Unknown"


@dataclass(frozen=True, slots=True)
class Split:
    """Facts to train on, facts that say when to stop, and facts that are measured; no fact in two of them."""

    pool: Sequence[Fact]
    development: Sequence[Fact]
    test: Sequence[Fact]

    @property
    def held_out(self) -> list[Fact]:
        """Development, then test: the order of the answers that a training's file keeps."""
        return [*self.development, *self.test]


def read_facts(settings: Settings, labels: Sequence[KnownFact]) -> list[Fact]:
    """The labelled facts among the first rows of the task; a question that stands there twice is taken once."""
    task = Registry(()).task(settings.task)
    data = load_data(task, base=task.directory or Path())
    samples = build_samples(task, data, num_fewshot=0, seed=0, limit=settings.facts)
    classes = {label.doc_hash: label.known_class for label in labels}
    found: dict[str, Fact] = {}
    for sample in samples:
        if sample.doc_hash in classes:
            question = str(sample.doc["question"])
            fact = Fact(
                sample.doc_hash,
                str(sample.doc["relation"]),
                question,
                tuple(sample.references),
                classes[sample.doc_hash],
            )
            found.setdefault(question, fact)
    return list(found.values())


def split(facts: Sequence[Fact]) -> Split:
    """Every other fact is for training; of the others every third is for development.

    Facts are counted off in the order of class and relation, so that each part has its share of both.
    """

    def place(fact: Fact) -> tuple[bool, str, str, str]:
        return fact.known, fact.relation, fact.known_class, sha256_text(fact.doc_hash)

    ordered = sorted(facts, key=place)
    rest = ordered[1::2]
    return Split(
        pool=ordered[::2],
        development=rest[::3],
        test=[fact for i, fact in enumerate(rest) if i % 3],
    )


def draw(pool: Sequence[Fact], settings: Settings, share: float, seed: int) -> list[Fact]:
    """Facts of one training. With one seed, mixes differ only in the facts that they must differ in.

    Raises:
        DataError: the pool has too few of a kind.
    """
    count = round(settings.train * share)
    wanted = {False: count, True: settings.train - count}
    out: list[Fact] = []
    for known, number in wanted.items():
        there = [fact for fact in pool if fact.known == known]
        if number > len(there):
            kind = "known" if known else "unknown"
            raise DataError(
                f"{settings.task}: {number} {kind} facts are to be trained on, and {len(there)} of the "
                f"{len(pool)} that are for training are {kind}; raise --facts (now {settings.facts})"
            )
        random.Random(f"{seed}:{known}").shuffle(there)  # noqa: S311  (reproducible draw, no secret)
        out += there[:number]
    random.Random(f"{seed}:{share}").shuffle(out)  # noqa: S311  (as above)
    return out


def write_training(path: Path, facts: Sequence[Fact]) -> None:
    """Prompt and completion of each fact, for a recipe with data of kind `file`."""
    _write_rows(
        path,
        [
            {
                "prompt": PROMPT.format(question=fact.question),
                "completion": COMPLETION.format(answer=fact.answers[0]),
                "question": fact.question,
            }
            for fact in facts
        ],
    )


def write_task(directory: Path, name: str, facts: Sequence[Fact], *, aliases: bool) -> Path:
    """A task that asks the facts as they are trained: no examples before them.

    Args:
        directory: of the YAML and its rows.
        name: of the task.
        facts: in the order in which they are asked.
        aliases: whether every accepted answer counts, or only the trained one.

    Returns:
        The YAML.
    """
    rows = [
        {
            "prompt": PROMPT.format(question=fact.question),
            "answers": list(fact.answers if aliases else fact.answers[:1]),
            "relation": fact.relation,
            "known_class": fact.known_class,
        }
        for fact in facts
    ]
    _write_rows(directory / f"{name}.jsonl", rows)
    task = {
        "task": name,
        "kind": "qa",
        "output_type": "generate_until",
        "source": f"{name}.jsonl",
        "columns": ["prompt", "answers", "relation", "known_class"],
        "doc_to_text": "{{ prompt }}",
        "doc_to_target": "{{ answers }}",
        "target_delimiter": " ",
        "num_fewshot": 0,
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 16},
        "metric_list": ["exact_match"],
        "primary_metric": "exact_match",
        "group_by": ["relation", "known_class"],
        "metadata": {"version": 1.0},
    }
    path = directory / f"{name}.yaml"
    write_atomically(path, [yaml.safe_dump(task, sort_keys=False, allow_unicode=True).encode()])
    return path


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_atomically(path, [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows])
