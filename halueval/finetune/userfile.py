"""A user's own examples, by column or template.

Only the file's name is kept of where an example comes from: where users keep their files is their affair.
"""

from __future__ import annotations

from pathlib import Path

from halueval.datafile import Row, read_rows
from halueval.errors import ConfigError, DataError
from halueval.finetune.examples import Example
from halueval.finetune.recipe import Recipe, UserFile
from halueval.template import render


def file_examples(recipe: Recipe, data: UserFile, path: Path) -> list[Example]:
    """Examples of a user's file.

    Raises:
        DataError: the file is empty or a row does not fit; ConfigError: the recipe does not say what to learn.
    """
    rows = read_rows(path)
    return [_of_row(recipe, data, row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]


def _of_row(recipe: Recipe, data: UserFile, row: Row, where: str) -> Example:
    def value(template: str | None, default: str) -> str | None:
        wanted = template if template is not None else default if default in row else None
        return None if wanted is None else render(wanted, row, where=f"{where}: {default}")

    question = value(data.question, "question") or ""
    prompt = value(data.prompt, "prompt")
    text = value(data.text, "text")
    if recipe.architecture == "classifier":
        label = value(data.label, "label")
        if label is None or (text or prompt) is None:
            raise DataError(f"{where}: a classifier learns from the columns text and label; the row has {_names(row)}")
        return Example(prompt=text or prompt or "", label=label, question=question, origin=data.path.name)
    completion = value(data.completion, "completion")
    if completion is None and text is None:
        raise DataError(f"{where}: needs the columns prompt and completion, or text; the row has {_names(row)}")
    if completion is None:
        return Example(prompt="", completion=text or "", question=question, origin=data.path.name)
    if recipe.prompt is not None or recipe.completion is not None:
        raise ConfigError(f"recipe {recipe.name}: with data of kind file, write prompt and completion under data")
    return Example(prompt=prompt or "", completion=completion, question=question, origin=data.path.name)


def _names(row: Row) -> str:
    return ", ".join(sorted(row)) or "none"
