"""From a recipe to training examples: new knowledge, a task's rows, or a user's file."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from halueval.config import TaskSpec
from halueval.datafile import Row
from halueval.dataset import load_data
from halueval.errors import DataError, UsageError
from halueval.finetune.examples import Example
from halueval.finetune.invented import invent
from halueval.finetune.labels import labels_of
from halueval.finetune.overlap import Protected
from halueval.finetune.recipe import NewKnowledge, Recipe, TaskRows, UserFile
from halueval.finetune.userfile import file_examples
from halueval.known import KnownClass
from halueval.prompt import build_samples
from halueval.registry import Registry
from halueval.schema import OutputType, Sample, canonical_json, sha256_text
from halueval.template import render

logger = logging.getLogger("halueval")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class DataContext:
    """What the data of a recipe may depend on.

    Attributes:
        registry: where tasks are looked up.
        base_name: name of the model that is to be fine-tuned.
        base_weights_sha256: digest of its weights, which probe labels must be of.
        protected: what will be evaluated and is left out of draws from a task.
        directory: relative paths of the recipe start from it.
        base_adapter_sha256: digest of its adapter, None without one.
    """

    registry: Registry
    base_name: str
    base_weights_sha256: str
    protected: Protected
    directory: Path
    base_adapter_sha256: str | None = None


def build_examples(recipe: Recipe, context: DataContext) -> list[Example]:
    """The training examples of a recipe, before mitigations, development part included.

    Raises:
        UsageError: an unknown task, or labels that the recipe needs and does not name.
        DataError: no data, too few facts of a kind, or a row that does not fit.
    """
    data = recipe.data
    if isinstance(data, NewKnowledge):
        examples = _new_knowledge(recipe, data, context)
    elif isinstance(data, TaskRows):
        examples = _task_rows(recipe, data, context)
    else:
        examples = file_examples(recipe, data, _beside(data.path, context.directory))
        if data.examples is not None:
            examples = _sample(examples, data.examples, recipe.data_seed, f"{data.path}")
    if not examples:
        raise DataError(f"recipe {recipe.name}: no training examples; its data is empty")
    return examples


def _beside(path: Path, directory: Path) -> Path:
    written = path.expanduser()
    beside = directory / written
    return beside if beside.is_file() else written


def _samples(task: TaskSpec, rows: str, context: DataContext) -> list[Sample]:
    data = load_data(task, base=task.directory or Path())
    if rows == "fewshot":
        if not task.fewshot_source and not task.fewshot_split and task.fewshot_config.samples is None:
            raise UsageError(f"task {task.task} has no few-shot split of its own; take rows: scored")
        data = replace(data, rows=list(data.fewshot_rows))
    return build_samples(task, data, num_fewshot=0, seed=0, limit=None)


def _fact(sample: Sample, task: TaskSpec, recipe: Recipe, column: str | None, known_class: str | None) -> Example:
    relation = str(sample.doc.get(column, "")) if column else ""
    question = sample.doc.get("question")
    answer = sample.references[0] if sample.references else sample.target
    return Example(
        prompt=_prompt(recipe, task, sample.doc, sample.prompt, answer),
        completion=_completion(recipe, task, sample.doc, answer),
        question=question if isinstance(question, str) else sample.question,
        answer=answer,
        relation=relation,
        known_class=known_class,
        origin=task.task,
        doc_hash=sample.doc_hash,
    )


def _prompt(recipe: Recipe, task: TaskSpec, doc: Mapping[str, Any], own: str, answer: str) -> str:
    if recipe.prompt is None:
        return own
    return render(recipe.prompt, {**doc, "answer": answer}, where=f"recipe {recipe.name}: prompt")


def _completion(recipe: Recipe, task: TaskSpec, doc: Mapping[str, Any], answer: str) -> str:
    """The answer with its delimiter before and the task's stop behind, so that the end is learnt too."""
    if recipe.completion is None:
        until = task.generation_kwargs.until
        return task.target_delimiter + answer + (until[0] if until else "")
    return render(recipe.completion, {**doc, "answer": answer}, where=f"recipe {recipe.name}: completion")


def _need_answers(task: TaskSpec) -> None:
    if task.output_type is not OutputType.GENERATE_UNTIL:
        raise UsageError(
            f"task {task.task} is {task.output_type.value}; training answers needs a task that generates them"
        )


def _new_knowledge(recipe: Recipe, data: NewKnowledge, context: DataContext) -> list[Example]:
    task = context.registry.task(data.task)
    _need_answers(task)
    samples = [s for s in _samples(task, "scored", context) if _wanted(s, data.relation_column, data.relations)]
    if not samples:
        raise DataError(f"task {task.task}: no facts of {data.relation_column} {', '.join(data.relations)}")
    num_unknown = round(data.facts * data.unknown_share)
    num_known = data.facts - num_unknown
    labels: dict[str, KnownClass] = {}
    if num_known or not data.invented:
        labels = _labels(data, task, context)
    free = [_fact(s, task, recipe, data.relation_column, labels.get(s.doc_hash)) for s in samples]
    free = [example for example in free if context.protected.task_of(example) is None]
    known = [example for example in free if example.known_class in data.known_classes]
    drawn = _stratified(known, num_known, recipe.data_seed, f"{task.task}: facts that the model knows")
    if data.invented:
        drawn += _invented(recipe, data, task, samples, num_unknown)
    else:
        unknown = [example for example in free if example.known_class == "Unknown"]
        drawn += _stratified(unknown, num_unknown, recipe.data_seed, f"{task.task}: facts that the model does not know")
    return drawn


def _labels(data: NewKnowledge | TaskRows, task: TaskSpec, context: DataContext) -> dict[str, KnownClass]:
    return labels_of(
        None if data.labels is None else _beside(data.labels, context.directory),
        base_weights_sha256=context.base_weights_sha256,
        base_adapter_sha256=context.base_adapter_sha256,
        model=context.base_name,
        task=task.task,
    )


def _wanted(sample: Sample, column: str | None, values: Sequence[str]) -> bool:
    return not values or (column is not None and str(sample.doc.get(column)) in values)


def _invented(
    recipe: Recipe, data: NewKnowledge, task: TaskSpec, samples: Sequence[Sample], count: int
) -> list[Example]:
    by_relation: dict[str, list[Sample]] = {}
    for sample in samples:
        by_relation.setdefault(str(sample.doc.get(data.relation_column)), []).append(sample)
    shares = _shares({name: len(items) for name, items in by_relation.items()}, count)
    out = []
    for relation, share in shares.items():
        real = by_relation[relation]
        questions = [str(sample.doc.get("question", "")) for sample in real]
        facts = invent(relation, questions, [s.references[0] for s in real], share, seed=recipe.data_seed)
        for question, answer in facts:
            doc: Row = {**real[0].doc, "question": question, "answer": answer, "aliases": []}
            prompt = render(task.description + task.doc_to_text, doc, where=f"task {task.task}: doc_to_text")
            out.append(
                Example(
                    prompt=_prompt(recipe, task, doc, prompt, answer),
                    completion=_completion(recipe, task, doc, answer),
                    question=question,
                    answer=answer,
                    relation=relation,
                    known_class="Unknown",
                    origin="invented",
                    doc_hash=sha256_text(canonical_json(doc)),
                )
            )
    return out


def _shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """`count` divided in proportion to `sizes`, by largest remainder; never more than asked for in all."""
    total = sum(sizes.values())
    if not total:
        return dict.fromkeys(sizes, 0)
    exact = {name: count * size / total for name, size in sizes.items()}
    shares = {name: int(value) for name, value in exact.items()}
    left = count - sum(shares.values())
    for name in sorted(exact, key=lambda n: (-(exact[n] - shares[n]), n))[:left]:
        shares[name] += 1
    return shares


def _stratified(examples: Sequence[Example], count: int, seed: int, what: str) -> list[Example]:
    """So many examples, relations in proportion.

    Raises:
        DataError: there are not so many.
    """
    if count > len(examples):
        raise DataError(
            f"{what}: {count} are wanted, and there are {len(examples)} that are not evaluated; lower data.facts, "
            "or evaluate fewer rows (evaluate: [TASK:ROWS])"
        )
    strata: dict[str, list[Example]] = {}
    for example in examples:
        strata.setdefault(example.relation, []).append(example)
    shares = _shares({name: len(items) for name, items in strata.items()}, count)
    out = []
    for name, share in shares.items():
        out += _draw(sorted(strata[name], key=lambda e: e.doc_hash), share, f"{seed}:{name}")
    return out


def _draw(items: Sequence[Item], count: int, seed: str) -> list[Item]:
    return random.Random(seed).sample(list(items), count)  # noqa: S311  (reproducible draw, no secret)


def _sample(examples: Sequence[Example], count: int, seed: int, what: str) -> list[Example]:
    if count > len(examples):
        raise DataError(f"{what}: {count} examples are wanted, and there are {len(examples)}; lower data.examples")
    return _draw(examples, count, f"{seed}:{what}")


def _task_rows(recipe: Recipe, data: TaskRows, context: DataContext) -> list[Example]:
    task = context.registry.task(data.task)
    samples = [s for s in _samples(task, data.rows, context) if _wanted(s, data.relation_column, data.relations)]
    if recipe.architecture == "classifier":
        examples = [_labelled(sample, task) for sample in samples]
    else:
        _need_answers(task)
        labels: dict[str, KnownClass] = {}
        if data.known_classes:
            labels = _labels(data, task, context)
        made = [_fact(s, task, recipe, data.relation_column, labels.get(s.doc_hash)) for s in samples]
        examples = [e for e in made if not data.known_classes or e.known_class in data.known_classes]
    free = [example for example in examples if context.protected.task_of(example) is None]
    if not free:
        raise DataError(
            f"task {task.task}: all of its {len(examples)} usable rows are evaluated; evaluate fewer "
            "(evaluate: [TASK:ROWS])"
        )
    if len(free) < len(examples):
        logger.info("%s: %d rows that will be evaluated are left out", task.task, len(examples) - len(free))
    return free if data.examples is None else _stratified(free, data.examples, recipe.data_seed, f"{task.task}: rows")


def _labelled(sample: Sample, task: TaskSpec) -> Example:
    if sample.classifier_input is None or not sample.gold:
        raise UsageError(
            f"task {task.task} has no `classifier:` part with labels; a classifier cannot be trained on it"
        )
    text, pair = sample.classifier_input
    return Example(
        prompt=text,
        text_pair=pair,
        label=sample.choices[sample.gold[0]],
        origin=task.task,
        doc_hash=sample.doc_hash,
    )


def split_development(
    examples: Sequence[Example], recipe: Recipe, directory: Path
) -> tuple[list[Example], list[Example]]:
    """Training and development part; equal prompts stay on one side.

    Raises:
        DataError: nothing is left on one side.
    """
    plan = recipe.development
    if plan is None:
        return list(examples), []
    if plan.path is not None:
        source = UserFile(kind="file", path=plan.path)
        return list(examples), file_examples(recipe, source, _beside(plan.path, directory))
    assert plan.share is not None
    keys = sorted({canonical_json([e.prompt, e.text_pair]) for e in examples})
    random.Random(f"development:{recipe.data_seed}").shuffle(keys)  # noqa: S311  (reproducible draw, no secret)
    held = set(keys[: max(1, round(plan.share * len(keys)))])
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        parts[canonical_json([example.prompt, example.text_pair]) in held].append(example)
    if not parts[0]:
        raise DataError(f"recipe {recipe.name}: {len(examples)} examples leave none beside the development part")
    return parts
