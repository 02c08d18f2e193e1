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
from halueval.text import holds_cjk, tokens

MIN_WORDS = 4
"""Shorter questions ("Who?") stand in many prompts by chance and are compared whole. A CJK character is a word."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One task, or its first rows, that the model will be evaluated on."""

    task: str
    limit: int | None
    samples: Sequence[Sample]
    language: str = "en"


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
                found[task.task, limit] = Evaluation(task.task, limit, samples, task.language)
    return list(found.values())


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


class _Texts:
    """Texts of one language, found whole or inside longer ones; each with the name of what holds it."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._names: dict[str, str] = {}
        # By its first words, the lengths of the texts that begin with them: one look-up a word of a prompt.
        self._starts: dict[str, set[int]] = {}

    def add(self, text: str, name: str) -> None:
        words = tokens(text, self.language)
        if words:
            self._names.setdefault(" ".join(words), name)
        if len(words) >= MIN_WORDS:
            self._starts.setdefault(" ".join(words[:MIN_WORDS]), set()).add(len(words))

    def equal(self, text: str) -> str | None:
        return self._names.get(" ".join(tokens(text, self.language)))

    def inside(self, text: str) -> str | None:
        words = tokens(text, self.language)
        for start in range(len(words) - MIN_WORDS + 1):
            for length in self._starts.get(" ".join(words[start : start + MIN_WORDS]), ()):
                found = self._names.get(" ".join(words[start : start + length]))
                if found is not None:
                    return found
        return None


class Protected:
    """What must not be trained on.

    Words are those of the task's language, and CJK characters wherever they stand.

    Args:
        evaluations: the tasks that the model will be evaluated on.
        others: further texts, each behind the name of what holds it.
    """

    def __init__(self, evaluations: Sequence[Evaluation], others: Sequence[tuple[str, str]] = ()) -> None:
        self._doc_hashes: dict[str, str] = {}
        self._languages: dict[str, _Texts] = {}
        for evaluation in evaluations:
            for sample in evaluation.samples:
                self._doc_hashes.setdefault(sample.doc_hash, evaluation.task)
                for text in _texts(sample):
                    self._add(text, evaluation.task, evaluation.language)
        for name, text in others:
            self._add(text, name, "en")

    def _add(self, text: str, name: str, language: str) -> None:
        for one in dict.fromkeys([language, "zh"] if holds_cjk(text) else [language]):
            self._languages.setdefault(one, _Texts(one)).add(text, name)

    def task_of(self, example: Example) -> str | None:
        """The task that holds an example's row, question or prompt, the question also inside a longer prompt."""
        if example.doc_hash in self._doc_hashes:
            return self._doc_hashes[example.doc_hash]
        for known in self._languages.values():
            for text in (example.question, example.prompt, example.text_pair or "", _whole(example)):
                found = known.equal(text)
                if found is not None:
                    return found
            found = known.inside(example.prompt)
            if found is not None:
                return found
        return None


def _whole(example: Example) -> str:
    return "" if example.prompt else example.completion


def check_overlap(examples: Sequence[Example], protected: Protected) -> list[tuple[Example, str]]:
    """Examples that an evaluation holds too, each with the task's name."""
    found = ((example, protected.task_of(example)) for example in examples)
    return [(example, task) for example, task in found if task is not None]


def refuse_overlap(overlapping: Sequence[tuple[Example, str]], total: int, part: str = "training") -> None:
    """Raise where there is any; `part` is what the examples are for: weights are chosen by the development part.

    Raises:
        DataError: names the first, how many there are, and the way out.
    """
    if not overlapping:
        return
    example, task = overlapping[0]
    text = " ".join((example.question or example.prompt or example.completion).split())
    raise DataError(
        f"{len(overlapping)} of {total} {part} examples are also evaluated: {text[:60]!r} is in {task}; evaluate "
        "other rows (evaluate: [TASK:ROWS] leaves the rest for training), drop them, or pass --allow-overlap"
    )
