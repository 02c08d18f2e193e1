"""What is wrong in a card, in one line: the file, the line and the key, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from halueval.cardfile import Tagged, key_line
from halueval.errors import ConfigError, nearest


def refuse_code(value: Mapping[str, Any], path: Path, origins: Mapping[str, Path]) -> None:
    """Refuse what a YAML tag would have run.

    Raises:
        ConfigError: a tagged value, however deep; one line with file, line and key.
    """
    for key, item in value.items():
        for tagged in _tagged(item):
            file = origins.get(str(key), path)
            raise ConfigError(
                f"{file}: {key_line(file, str(key))}{key}: {tagged.split()[0]} would run Python from the task "
                "file, which halueval never does; say it with a template or a registered scorer"
            )


def _tagged(value: Any) -> Iterator[Tagged]:
    """Every tagged value, however deep."""
    if isinstance(value, Tagged):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tagged(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tagged(item)


def describe(error: ValidationError, spec: type[BaseModel], path: Path, origins: Mapping[str, Path]) -> str:
    """The first problem of a validation as one line with file, line and key."""
    problems = error.errors(include_url=False)
    # A misspelt key is why another is missing: it is told first.
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    location = [str(part) for part in problem["loc"]]
    top = location[0] if location else ""
    file = origins.get(top, path)
    where = f"{file}: {key_line(file, top)}"
    location, keys = _keys_beside(spec, location)
    dotted = ".".join(location)
    if problem["type"] == "extra_forbidden":
        return f"{where}unknown key {dotted!r}{nearest(location[-1], keys)}"
    if problem["type"] == "missing":
        return f"{where}needs the key {dotted!r}"
    if not location:
        return f"{where}{problem['msg'].removeprefix('Value error, ')}"
    return f"{where}{dotted}: {problem['msg']} (found {_short(problem.get('input'))})"


def _keys_beside(spec: type[BaseModel], location: list[str]) -> tuple[list[str], list[str]]:
    """Where in the file a problem is, without the tags that pydantic adds for kinds, and the valid keys there."""
    written: list[str] = []
    owner: type[BaseModel] | None = spec
    kinds: dict[str, type[BaseModel]] = {}
    for part in location:
        if part in kinds:
            owner, kinds = kinds[part], {}
            continue
        written.append(part)
        if owner is not None and part in owner.model_fields:
            models = list(_models_in(owner.model_fields[part].annotation))
            tagged = {str(tag): model for model in models for tag in get_args(_kind_of(model))}
            # A list of models keeps its model; the part after it is the position.
            owner, kinds = (None, tagged) if tagged else (models[0] if models else None, {})
        elif not part.isdecimal() and part != location[-1]:
            owner = None
    return written, list(owner.model_fields) if owner is not None else []


def _kind_of(model: type[BaseModel]) -> Any:
    return model.model_fields["kind"].annotation if "kind" in model.model_fields else None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
