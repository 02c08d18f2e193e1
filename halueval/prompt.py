"""From rows to samples: prompts, answers, choices and strata, in lm-evaluation-harness's format.

A prompt is `description + (text + delimiter + answer + fewshot_delimiter) * n + text`, and the model goes on
with `delimiter + answer`; with `gen_prefix` the prefix opens each answer. Texts equal the harness's byte
for byte, because a missing space before a choice moves its likelihood. What differs is the choice of
few-shot examples: they are drawn by a generator seeded with the sample's own content, from a pool ordered by
content, so that neither `limit` nor the order of the rows changes anybody's examples.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halueval.choice_calibration import baseline_prompts
from halueval.datafile import Row
from halueval.errors import DataError, UsageError
from halueval.filters import apply_filters
from halueval.schema import OutputType, Sample, canonical_json, sha256_text
from halueval.taskcheck import check_task
from halueval.template import evaluate, missing_column, render

if TYPE_CHECKING:
    from halueval.config import TaskSpec
    from halueval.dataset import LoadedData

__all__ = ["apply_filters", "build_samples"]


@dataclass(frozen=True, slots=True)
class _Item:
    """A row, or a variant of one, that becomes a sample or a few-shot example."""

    doc: Row
    row_hash: str
    doc_hash: str
    number: int
    variant: str | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is right: texts, or indices into choices."""

    references: tuple[str, ...]
    choices: tuple[str, ...]
    gold: tuple[int, ...]

    @property
    def targets(self) -> list[str]:
        return [self.choices[index] for index in self.gold] if self.gold else list(self.references)


def build_samples(
    task: TaskSpec,
    data: LoadedData,
    *,
    num_fewshot: int | None,
    seed: int,
    limit: int | None,
    calibrations: Sequence[str] = (),
) -> list[Sample]:
    """Render every sample of a task.

    Args:
        task: the task's card.
        data: its rows.
        num_fewshot: examples before each question; None takes the card's number.
        seed: of the run; changes which examples are drawn.
        limit: take the first so many rows. Variants of a row stay together.
        calibrations: of `choice_calibration.METHODS`; give samples their baseline prompts.

    Raises:
        ConfigError: a template or key that is wrong whatever the row.
        DataError: a row that does not fit, a label outside the label set, too few rows for the examples;
            the line names task, row and key.
        UsageError: a negative number of examples, or a limit below 1.
    """
    shots = task.num_fewshot if num_fewshot is None else num_fewshot
    if shots < 0 or (limit is not None and limit < 1):
        raise UsageError(f"num_fewshot is {shots} and limit {limit}; they must be at least 0 and 1")
    check_task(task)
    examples = _Examples(task, data.fewshot_rows, shots) if shots else None
    samples = []
    for index, row in enumerate(data.rows[:limit]):
        for item in _expand(task, row, index + 1):
            primer = examples.before(item, seed) if examples else ""
            samples.append(_sample(task, item, primer, calibrations))
    return samples


def _expand(task: TaskSpec, row: Row, number: int) -> list[_Item]:
    """The row itself, or one item for each variant of it."""
    row_hash = sha256_text(canonical_json(row))
    if not task.variants:
        return [_Item(row, row_hash, row_hash, number, None)]
    items = []
    for variant in task.variants:
        where = f"{task.task}: row {number}: variant {variant['variant']}"
        extra = {
            key: value if key == "variant" else evaluate(value, row, where=f"{where}: {key}")
            for key, value in variant.items()
        }
        doc = {**row, **extra}
        items.append(_Item(doc, row_hash, sha256_text(canonical_json(doc)), number, variant["variant"]))
    return items


def _sample(task: TaskSpec, item: _Item, primer: str, calibrations: Sequence[str]) -> Sample:
    where = f"{task.task}: row {item.number}"
    answer = _answer(task, item.doc, where)
    description = render(task.description, item.doc, where=f"{where}: description")
    question = _question(task, item.doc, where)
    prompt = description + primer + question
    targets = answer.targets
    name = str(item.number - 1)
    return Sample(
        sample_id=name if item.variant is None else f"{name}/{item.variant}",
        doc=item.doc,
        doc_hash=item.doc_hash,
        prompt=prompt,
        prompt_hash=sha256_text(prompt),
        target=targets[0],
        target_hash=sha256_text(canonical_json(targets)),
        references=() if task.output_type is OutputType.LOGLIKELIHOOD_ROLLING else answer.references,
        choices=answer.choices,
        gold=answer.gold,
        source=None
        if task.doc_to_source is None
        else render(task.doc_to_source, item.doc, where=f"{where}: doc_to_source"),
        classifier_input=_classifier_input(task, item.doc, where),
        group=_group(task, item, where),
        cluster=item.row_hash
        if task.cluster_by is None
        else _column(task.cluster_by, item.doc, f"{where}: cluster_by"),
        question=question,
        baselines=baseline_prompts(
            calibrations,
            item.doc,
            description + primer,
            lambda doc, what: _question(task, doc, f"{where}: {what}"),
            where,
        ),
    )


def _classifier_input(task: TaskSpec, doc: Row, where: str) -> tuple[str, str | None] | None:
    settings = task.classifier
    if settings is None:
        return None
    text = render(settings.text, doc, where=f"{where}: classifier.text")
    if settings.text_pair is None:
        return text, None
    return text, render(settings.text_pair, doc, where=f"{where}: classifier.text_pair")


def _column(name: str, doc: Row, where: str) -> str:
    if name not in doc:
        raise DataError(f"{where}: {missing_column(name, doc)}")
    return "not given" if doc[name] is None else str(doc[name])


def _group(task: TaskSpec, item: _Item, where: str) -> dict[str, str]:
    group = {name: _column(name, item.doc, f"{where}: group_by") for name in task.group_by}
    return group if item.variant is None else {**group, "variant": item.variant}


def _prefix(task: TaskSpec, doc: Row, where: str) -> str:
    return render(task.gen_prefix, doc, where=f"{where}: gen_prefix") if task.gen_prefix else ""


def _touch(left: str, right: str) -> bool:
    """Whether white space already stands where the two texts meet (or one of them is empty)."""
    return not left or not right or left[-1].isspace() or right[0].isspace()


def _question(task: TaskSpec, doc: Row, where: str) -> str:
    text = render(task.doc_to_text, doc, where=f"{where}: doc_to_text")
    prefix = _prefix(task, doc, where)
    return text + ("" if _touch(text, prefix) else task.target_delimiter) + prefix


def _example(task: TaskSpec, doc: Row, where: str) -> str:
    """A question with its first answer, delimiters included."""
    text = render(task.doc_to_text, doc, where=f"{where}: doc_to_text")
    prefix = _prefix(task, doc, where)
    target = _answer(task, doc, where).targets[0]
    if not prefix:
        return text + task.target_delimiter + target + task.fewshot_delimiter
    start = text + ("" if _touch(text, prefix) else task.target_delimiter) + prefix
    # The harness joins prefix and answer by a space, whatever the task's delimiter.
    return start + ("" if _touch(prefix, target) else " ") + target + task.fewshot_delimiter


class _Examples:
    """The pool of few-shot examples, and what stands before each sample."""

    def __init__(self, task: TaskSpec, rows: Sequence[Row], shots: int) -> None:
        self._task = task
        self._shots = shots
        self._first_n = task.fewshot_config.sampler == "first_n"
        self._rendered: dict[str, str] = {}
        items = [item for number, row in enumerate(rows, 1) for item in _expand(task, row, number)]
        if not self._first_n:
            items = [item for _, item in sorted({item.doc_hash: item for item in items}.items())]
        self._pools: dict[tuple[str, ...], list[_Item]] = {}
        for item in items:
            self._pools.setdefault(self._key(item, "few-shot row"), []).append(item)

    def _key(self, item: _Item, kind: str) -> tuple[str, ...]:
        where = f"{self._task.task}: {kind} {item.number}: fewshot_config.same"
        return tuple(_column(name, item.doc, where) for name in self._task.fewshot_config.same)

    def before(self, item: _Item, seed: int) -> str:
        """The examples of one sample, never the sample itself nor another variant of its row."""
        pool = self._pools.get(self._key(item, "row"), [])
        if self._first_n:
            drawn = pool
        else:
            generator = random.Random(sha256_text(f"{seed}:{item.doc_hash}"))  # noqa: S311 (no secret)
            spare = max(1, len(self._task.variants))
            drawn = generator.sample(pool, min(len(pool), self._shots + spare))
        chosen = [example for example in drawn if example.row_hash != item.row_hash][: self._shots]
        if len(chosen) < self._shots:
            same = self._task.fewshot_config.same
            alike = f" with the same {', '.join(same)}" if same else ""
            raise DataError(
                f"{self._task.task}: row {item.number}: {self._shots} few-shot examples are wanted, and there are "
                f"{len(chosen)} other rows{alike}; lower --num-fewshot"
            )
        return "".join(self._render(example) for example in chosen)

    def _render(self, item: _Item) -> str:
        if item.doc_hash not in self._rendered:
            where = f"{self._task.task}: few-shot row {item.number}"
            self._rendered[item.doc_hash] = _example(self._task, item.doc, where)
        return self._rendered[item.doc_hash]


def _answer(task: TaskSpec, doc: Row, where: str) -> _Answer:
    choices = _choices(task, doc, f"{where}: doc_to_choice")
    where = f"{where}: doc_to_target"
    raw = task.doc_to_target
    value = evaluate(raw, doc, where=where) if isinstance(raw, str) else raw
    if choices:
        by_name = isinstance(raw, str) and raw in doc
        gold = tuple(dict.fromkeys(_index(label, choices, by_name, where) for label in _as_list(value)))
        if not gold:
            raise DataError(f"{where}: names no right choice")
        return _Answer(tuple(choices[index] for index in gold), choices, gold)
    if task.output_type is OutputType.LOGLIKELIHOOD_ROLLING:
        return _Answer((_text(value, where),), (), ())
    references = tuple(_text(item, where) for item in _as_list(value))
    if not references:
        raise DataError(f"{where}: gives no answer; write [''] where the question has none")
    return _Answer(references, (), ())


def _as_list(value: Any) -> list[Any]:
    """A list as it is; text that looks like a Python list as one, as the harness does; else `[value]`."""
    if isinstance(value, str) and len(value) >= 2 and value[0] == "[" and value[-1] == "]":
        try:
            parsed = ast.literal_eval(value)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return [value]
        return list(parsed) if isinstance(parsed, list) else [value]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return str(value)
    raise DataError(f"{where}: gives {'null' if value is None else type(value).__name__} where text is needed")


def _choices(task: TaskSpec, doc: Row, where: str) -> tuple[str, ...]:
    spec = task.doc_to_choice
    if spec is None or task.output_type is OutputType.LOGLIKELIHOOD_ROLLING:
        return ()
    found = _as_list(evaluate(spec, doc, where=where)) if isinstance(spec, str) else spec
    choices = tuple(_text(item, where) for item in found)
    if len(choices) < 2:
        raise DataError(f"{where}: gives {len(choices)} choice; a choice needs at least 2")
    return choices


def _index(label: Any, choices: tuple[str, ...], by_name: bool, where: str) -> int:
    """Index of the right choice: an index, digits, or the text of a choice.

    Digits are an index, as in the harness, unless the label is a column's own text and that is a choice.
    """
    if isinstance(label, str):
        text = label.strip()
        if text in choices and (by_name or not text.isdecimal()):
            return choices.index(text)
        index = int(text) if text.isdecimal() and len(text) < 10 else -1
    else:
        index = int(label) if isinstance(label, int) else -1
    if not 0 <= index < len(choices):
        shown = ", ".join(repr(choice if len(choice) <= 40 else choice[:37] + "…") for choice in choices[:12])
        raise DataError(
            f"{where}: label {label!r} is outside the label set: {shown}, or an index from 0 to {len(choices) - 1}"
        )
    return index
