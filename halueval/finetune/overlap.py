"""Whether a model is trained on what it will be evaluated on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from halueval.dataset import load_data
from halueval.errors import DataError, UsageError
from halueval.finetune.examples import Example
from halueval.prompt import build_samples
from halueval.registry import Registry
from halueval.schema import Sample
from halueval.text import normalize_answer, tokens

MIN_WORDS = 4
"""Shorter questions ("Who?") stand in many prompts by chance; they are only compared whole."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One task, or its first rows, that the model will be evaluated on."""

    task: str
    limit: int | None
    samples: Sequence[Sample]


def read_evaluations(names: Iterable[str], registry: Registry) -> list[Evaluation]:
    """The samples of the tasks that a recipe names.

    Args:
        names: tasks or groups, each with the number of its first rows behind a colon where not all are meant
            (`facts_qa:300`); a group's own limit holds where none is given.
        registry: where they are looked up.

    Raises:
        UsageError: an unknown task, or a number that is none.
        SourceError, DataError: data that cannot be had.
    """
    found: dict[tuple[str, int | None], Evaluation] = {}
    for name in names:
        task_name, _, rows = name.partition(":")
        if rows and not (rows.isdecimal() and int(rows)):
            raise UsageError(f"evaluate: {name!r}: write TASK or TASK:ROWS, as in facts_qa:300")
        for task, own in registry.expand([task_name]):
            limit = int(rows) if rows else own
            if (task.task, limit) not in found:
                data = load_data(task, base=task.directory or Path())
                samples = build_samples(task, data, num_fewshot=0, seed=0, limit=limit)
                found[task.task, limit] = Evaluation(task.task, limit, samples)
    return list(found.values())


def _normalised(text: str) -> str:
    return normalize_answer(text)


def _texts(sample: Sample) -> Iterable[str]:
    """What of a sample would give it away: question, document, and the columns named so."""
    yield sample.question
    if sample.source is not None:
        yield sample.source
    if sample.classifier_input is not None:
        yield sample.classifier_input[0]
    for column in ("question", "statement", "document", "text"):
        if isinstance(sample.doc.get(column), str):
            yield sample.doc[column]


class Protected:
    """What must not be trained on.

    Args:
        evaluations: the tasks that the model will be evaluated on.
        others: further texts, each behind the name of what holds it.
    """

    def __init__(self, evaluations: Sequence[Evaluation], others: Sequence[tuple[str, str]] = ()) -> None:
        self._doc_hashes: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        for evaluation in evaluations:
            for sample in evaluation.samples:
                self._doc_hashes.setdefault(sample.doc_hash, evaluation.task)
                for text in _texts(sample):
                    self._texts.setdefault(_normalised(text), evaluation.task)
        for name, text in others:
            self._texts.setdefault(_normalised(text), name)
        self._texts.pop("", None)
        # By its first words, the lengths of the texts that begin with them: one look-up a word of a prompt.
        self._starts: dict[str, set[int]] = {}
        for key in self._texts:
            words = key.split(" ")
            if len(words) >= MIN_WORDS:
                self._starts.setdefault(" ".join(words[:MIN_WORDS]), set()).add(len(words))

    def task_of(self, example: Example) -> str | None:
        """The task that holds an example's row, question or prompt, the question also inside a longer prompt."""
        if example.doc_hash in self._doc_hashes:
            return self._doc_hashes[example.doc_hash]
        for text in (example.question, example.prompt, example.text_pair or "", _whole(example)):
            key = _normalised(text)
            if key in self._texts:
                return self._texts[key]
        words = tokens(example.prompt)
        for start in range(len(words) - MIN_WORDS + 1):
            for length in self._starts.get(" ".join(words[start : start + MIN_WORDS]), ()):
                inside = " ".join(words[start : start + length])
                if inside in self._texts:
                    return self._texts[inside]
        return None


def _whole(example: Example) -> str:
    return "" if example.prompt else example.completion


def check_overlap(examples: Sequence[Example], protected: Protected) -> list[tuple[Example, str]]:
    """Examples that an evaluation holds too, each with the task's name."""
    found = ((example, protected.task_of(example)) for example in examples)
    return [(example, task) for example, task in found if task is not None]


def refuse_overlap(overlapping: Sequence[tuple[Example, str]], total: int) -> None:
    """Raise where there is any.

    Raises:
        DataError: names the first, how many there are, and the way out.
    """
    if not overlapping:
        return
    example, task = overlapping[0]
    text = " ".join((example.question or example.prompt or example.completion).split())
    raise DataError(
        f"{len(overlapping)} of {total} training examples are also evaluated: {text[:60]!r} is in {task}; evaluate "
        "other rows (evaluate: [TASK:ROWS] leaves the rest for training), drop them, or pass --allow-overlap"
    )
