"""What listings show of the cards in a directory: a few keys of each file's raw YAML, nothing checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halueval.cardfile import read_header

YAML_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class TaskHeader:
    """What a listing shows of a task. `problem` says why the file is no task, where it is not."""

    name: str
    kind: str
    language: str
    tags: tuple[str, ...]
    about: str
    license: str
    path: Path
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class GroupHeader:
    """What a listing shows of a group."""

    name: str
    tasks: tuple[str, ...]
    limit: int | None
    about: str
    path: Path


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """What a listing shows of a model."""

    name: str
    architecture: str
    base: str
    family: str
    language: tuple[str, ...]
    num_parameters: int | None
    sources: tuple[str, ...]
    about: str
    license: str
    path: Path
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """The cards of one directory, in the order of their paths."""

    tasks: list[TaskHeader]
    groups: list[GroupHeader]
    models: list[ModelHeader]


def _strings(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(str(item) for item in items if item is not None)


def _yaml_files(root: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(root):
        directories[:] = sorted(d for d in directories if not d.startswith("."))
        for name in sorted(names):
            if name.endswith(YAML_ENDINGS) and not name.startswith("."):
                yield Path(parent, name)


def read_shelf(root: Path, default: str) -> Shelf:
    """Read the headers below `root`. `default` is what an unreadable file is shown as: task or model."""
    shelf = Shelf([], [], [])
    for path in _yaml_files(root):
        value = read_header(path)
        if isinstance(value, str) and default == "model":
            shelf.models.append(ModelHeader(path.stem, "", "", "", (), None, (), "", "", path, value))
        elif isinstance(value, str):
            shelf.tasks.append(TaskHeader(path.stem, "", "", (), "", "", path, value))
        elif isinstance(value.get("task"), str):
            shelf.tasks.append(_task_header(value, path))
        elif isinstance(value.get("group"), str) and isinstance(value.get("task"), list):
            shelf.groups.append(_group_header(value, path))
        elif "name" in value and "source" in value:
            shelf.models.append(_model_header(value, path))
        # Anything else is a template that tasks include, or no card at all.
    return shelf


def merge_shelves(shelves: Iterable[Shelf]) -> Shelf:
    """All cards of several directories as one level of the lookup."""
    merged = Shelf([], [], [])
    for shelf in shelves:
        merged.tasks.extend(shelf.tasks)
        merged.groups.extend(shelf.groups)
        merged.models.extend(shelf.models)
    return merged


def _about(value: dict[str, Any]) -> str:
    return " ".join(str(value.get("about") or "").split())


def _task_header(value: dict[str, Any], path: Path) -> TaskHeader:
    return TaskHeader(
        name=value["task"],
        kind=str(value.get("kind") or "qa"),
        language=str(value.get("language") or "en"),
        tags=_strings(value.get("tag")) + _strings(value.get("group")),
        about=_about(value),
        license=str(value.get("license") or ""),
        path=path,
    )


def _group_header(value: dict[str, Any], path: Path) -> GroupHeader:
    limit = value.get("limit")
    return GroupHeader(
        value["group"], _strings(value["task"]), limit if isinstance(limit, int) else None, _about(value), path
    )


def _model_header(value: dict[str, Any], path: Path) -> ModelHeader:
    source = value["source"]
    sources = [
        s.get("source") if isinstance(s, dict) else s for s in (source if isinstance(source, list) else [source])
    ]
    size = value.get("num_parameters")
    return ModelHeader(
        name=str(value["name"]),
        architecture=str(value.get("architecture") or ""),
        base=str(value.get("base") or ""),
        family=str(value.get("family") or ""),
        language=_strings(value.get("language")),
        num_parameters=size if isinstance(size, int) else None,
        sources=_strings(sources),
        about=_about(value),
        license=str(value.get("license") or ""),
        path=path,
    )
