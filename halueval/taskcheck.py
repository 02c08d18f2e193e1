"""What a task card's schema cannot check: templates that compile, keys that go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from halueval.errors import ConfigError
from halueval.filters import check_filter
from halueval.schema import Kind, OutputType
from halueval.template import check

if TYPE_CHECKING:
    from halueval.config import TaskSpec


def check_task(task: TaskSpec) -> None:
    """Check templates, filters, variants and classifier labels of a card.

    Raises:
        ConfigError: naming the task, the key and the problem.
    """
    for key, template in _templates(task):
        check(template, where=f"{task.task}: {key}")
    for pipeline in task.filter_list:
        for number, step in enumerate(pipeline.filter, 1):
            check_filter(step, f"{task.task}: filter_list: {pipeline.name}: step {number}")
    _check_variants(task)
    _check_choices(task)
    if task.grading == "support" and (task.kind is not Kind.QA or task.output_type is not OutputType.GENERATE_UNTIL):
        raise ConfigError(f"{task.task}: grading: support is for kind qa with output_type generate_until only")


def _templates(task: TaskSpec) -> Iterator[tuple[str, str]]:
    named = {
        "doc_to_text": task.doc_to_text,
        "doc_to_target": task.doc_to_target,
        "doc_to_choice": task.doc_to_choice,
        "doc_to_source": task.doc_to_source,
        "description": task.description,
        "gen_prefix": task.gen_prefix,
    }
    if task.classifier:
        named["classifier.text"] = task.classifier.text
        named["classifier.text_pair"] = task.classifier.text_pair
    yield from ((key, value) for key, value in named.items() if isinstance(value, str))
    for layout, mapping in task.layouts.items():
        yield from ((f"layouts.{layout}.{column}", value) for column, value in mapping.items())
    for number, variant in enumerate(task.variants, 1):
        yield from ((f"variants: {number}: {key}", value) for key, value in variant.items())


def _check_variants(task: TaskSpec) -> None:
    names = [variant.get("variant") for variant in task.variants]
    for number, name in enumerate(names, 1):
        if not name or not name.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(
                f"{task.task}: variants: {number}: needs `variant`, a name of letters, digits, _ and -, found {name!r}"
            )
        if names.count(name) > 1:
            raise ConfigError(f"{task.task}: variants: the name {name!r} stands twice")


def _check_choices(task: TaskSpec) -> None:
    choices = task.doc_to_choice
    if task.output_type is OutputType.MULTIPLE_CHOICE and choices is None:
        raise ConfigError(f"{task.task}: output_type multiple_choice needs doc_to_choice")
    if isinstance(choices, list) and len(choices) < 2:
        raise ConfigError(f"{task.task}: doc_to_choice has {len(choices)} entry; a choice needs at least 2")
    if task.doc_to_target == "":
        raise ConfigError(f"{task.task}: needs doc_to_target")
    if task.classifier is None:
        return
    if choices is None:
        raise ConfigError(f"{task.task}: classifier needs doc_to_choice, whose order its labels follow")
    if isinstance(choices, list) and len(task.classifier.labels) != len(choices):
        raise ConfigError(
            f"{task.task}: classifier has {len(task.classifier.labels)} labels for {len(choices)} choices"
        )
