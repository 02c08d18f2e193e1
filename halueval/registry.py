"""Which tasks, groups and models there are, and where each name leads.

Looked up in `--include-path` first, then `./tasks` and `./models`, then what ships with halueval and with
installed packages (`halueval.plugins`). A name found earlier hides the same name found later, so that a user
can replace a packaged card; the same name twice in one directory is an error, and so is one that two packages
bring. Listings read raw YAML only, so that `halueval tasks ls` stays fast:
pydantic and everything above it is imported when one card is really needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from halueval.cardfile import key_line, read_header
from halueval.errors import ConfigError, UsageError, nearest
from halueval.headers import YAML_ENDINGS, GroupHeader, ModelHeader, Shelf, TaskHeader, merge_shelves, read_shelf
from halueval.plugins import plugged_directories
from halueval.schema import canonical_json, sha256_text

if TYPE_CHECKING:
    from halueval.config import GroupSpec, ModelSpec, TaskSpec

TASK_HASH_VERSION = 1
"""Raised when a default of `TaskSpec` changes its meaning: defaults are left out of the hash."""

MODEL_CARD = "halueval.yaml"
"""Card that a model directory may hold: what `halueval finetune` made says itself what it was made from."""

NOT_HASHED = {
    *("about", "citation", "homepage", "license", "tag", "group", "task_alias"),
    *("source", "fewshot_source", "dataset_path", "dataset_name", "dataset_kwargs"),
    *("should_decontaminate", "doc_to_decontamination_query", "metadata"),
}
"""Keys that change neither a prompt nor a score. Where the rows come from is left out because the digest of
the rows themselves stands beside the task's hash in a run's identity."""

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_CHECKPOINT = re.compile(r"checkpoint-\d+")


Header = TypeVar("Header", TaskHeader, GroupHeader, ModelHeader)


def packaged_directory(kind: str) -> Path:
    """The `tasks` or `models` directory that ships with halueval, or the repository's in a checkout."""
    package = Path(__file__).parent
    shipped = package / "_data" / kind
    return shipped if shipped.is_dir() else package.parent / kind


class Registry:
    """The lookup of names.

    Args:
        include_paths: directories looked at first, in this order, for tasks, groups and models alike.

    Raises:
        UsageError: an include path that is no directory.
    """

    def __init__(self, include_paths: Sequence[Path] = ()) -> None:
        for path in include_paths:
            if not path.is_dir():
                raise UsageError(f"--include-path {path}: no such directory")
        self._include = [path.resolve() for path in include_paths]

    def _shelves(self, kind: str) -> list[Shelf]:
        levels = [[path] for path in (*self._include, Path.cwd() / f"{kind}s")]
        levels.append([packaged_directory(f"{kind}s"), *plugged_directories()])
        seen: set[Path] = set()
        shelves = []
        for level in levels:
            roots = [root.resolve() for root in level if root.is_dir() and root.resolve() not in seen]
            seen.update(roots)
            shelves.append(merge_shelves([read_shelf(root, kind) for root in roots]))
        return shelves

    @cached_property
    def _task_shelves(self) -> list[Shelf]:
        return self._shelves("task")

    @cached_property
    def _model_shelves(self) -> list[Shelf]:
        return self._shelves("model")

    def list_tasks(self) -> list[TaskHeader]:
        """Every task by name; hidden ones are left out. A file that is no YAML is listed with its problem.

        Raises:
            ConfigError: one name twice in one directory.
        """
        return _visible([shelf.tasks for shelf in self._task_shelves])

    def list_groups(self) -> list[GroupHeader]:
        """Every group by name. Raises as `list_tasks`."""
        return _visible([shelf.groups for shelf in self._task_shelves])

    def list_models(self) -> list[ModelHeader]:
        """Every model by name. Raises as `list_tasks`."""
        return _visible([shelf.models for shelf in self._model_shelves])

    def task(self, name_or_path: str) -> TaskSpec:
        """Read one task with its includes.

        Args:
            name_or_path: a task's name, or the path of its YAML (with a "/" or a YAML ending).

        Raises:
            UsageError: no such task; the line names the nearest ones.
            ConfigError: a card that does not fit, or one name twice in one directory.
            SourceError: an included file that could not be had.
        """
        return self._load_task(self._task_path(name_or_path))

    def _task_path(self, name: str) -> Path:
        if is_path(name):
            return _existing(name, "task")
        header = _first([shelf.tasks for shelf in self._task_shelves], name)
        if header:
            return header.path
        if _first([shelf.groups for shelf in self._task_shelves], name):
            raise UsageError(f"{name!r} is a group of tasks; name one of its tasks")
        raise self._unknown_task(name)

    def _unknown_task(self, name: str) -> UsageError:
        return UsageError(f"unknown task {name!r}{nearest(name, self.task_names())}")

    def task_names(self) -> set[str]:
        """Names of all tasks and groups."""
        shelves = self._task_shelves
        return {h.name for s in shelves for h in s.tasks} | {h.name for s in shelves for h in s.groups}

    def knows_task(self, name: str) -> bool:
        """Whether `expand` takes `name`: a task, group, tag, or the path of a YAML file."""
        if is_path(name):
            return name.endswith(YAML_ENDINGS) and Path(name).expanduser().is_file()
        return name in self.task_names() or any(name in h.tags for s in self._task_shelves for h in s.tasks)

    def _load_task(self, path: Path) -> TaskSpec:
        from halueval.config import TaskSpec, build
        from halueval.include import read_task

        merged = read_task(path)
        return build(TaskSpec, merged.values, path, merged.origins)

    def _load_group(self, path: Path) -> GroupSpec:
        from halueval.config import GroupSpec, build, read_yaml

        return build(GroupSpec, read_yaml(path), path)

    def expand(self, names: Iterable[str]) -> list[tuple[TaskSpec, int | None]]:
        """Read the tasks that a command line names.

        Args:
            names: each a name, a group, a tag, a path, or several of them with commas between.

        Returns:
            Each task once, in the order of its first mention, with the limit of the group that it came
            from (None where it was named itself, or the group has none).

        Raises:
            UsageError: an unknown name, or two different tasks of one name.
            ConfigError, SourceError: see `task`.
        """
        found: dict[str, tuple[TaskSpec, int | None]] = {}
        for listed in names:
            for name in split_names(listed):
                for path, limit in self._paths_of(name, None, ()):
                    spec = self._load_task(path)
                    before = found.setdefault(spec.task, (spec, limit))[0]
                    if before.path != spec.path and task_hash(before) != task_hash(spec):
                        raise UsageError(
                            f"{before.path} and {spec.path} are different tasks of one name, {spec.task!r}; rename one"
                        )
        return list(found.values())

    def _paths_of(self, name: str, limit: int | None, chain: tuple[str, ...]) -> Iterator[tuple[Path, int | None]]:
        """Files of the tasks that `name` stands for; a group inside a group keeps its own limit."""
        if name in chain:
            raise ConfigError("groups hold one another: " + " → ".join((*chain, name)))
        group = self._group_path(name)
        if group:
            spec = self._load_group(group)
            for member in spec.task:
                yield from self._paths_of(member, spec.limit or limit, (*chain, name))
            return
        if not is_path(name) and not _first([shelf.tasks for shelf in self._task_shelves], name):
            tagged = [header.path for header in self.list_tasks() if name in header.tags]
            if tagged:
                yield from ((path, limit) for path in tagged)
                return
        yield self._task_path(name), limit

    def _group_path(self, name: str) -> Path | None:
        if is_path(name):
            path = _existing(name, "task")
            value = read_header(path)
            is_group = isinstance(value, dict) and "group" in value and isinstance(value.get("task"), list)
            return path if is_group else None
        if _first([shelf.tasks for shelf in self._task_shelves], name):
            return None
        header = _first([shelf.groups for shelf in self._task_shelves], name)
        return header.path if header else None

    def model(self, name_or_path: str) -> ModelSpec:
        """Read one model card, or make one up for a directory, a GGUF file or a hub id.

        Raises:
            UsageError: no such card, path or id; the line names the nearest cards.
            ConfigError: a card that does not fit.
        """
        if is_path(name_or_path) and name_or_path.endswith(YAML_ENDINGS):
            return _load_model(_existing(name_or_path, "model"))
        header = _first([shelf.models for shelf in self._model_shelves], name_or_path)
        if header:
            return _load_model(header.path)
        path = Path(name_or_path).expanduser()
        if (path / MODEL_CARD).is_file():
            return _load_model(path / MODEL_CARD)
        if path.is_dir() or (path.is_file() and path.suffix.lower() == ".gguf"):
            return _made_up(safe_name(path), str(path))
        if path.is_file():
            raise UsageError(f"{name_or_path} is neither a model directory nor a .gguf file nor a YAML card")
        if _HUB_ID.fullmatch(name_or_path):
            return _made_up(name_or_path.replace("/", "--"), f"hub:{name_or_path}")
        known = {header.name for shelf in self._model_shelves for header in shelf.models}
        raise UsageError(f"unknown model {name_or_path!r}{nearest(name_or_path, known)}")

    def is_model_file(self, name: str) -> bool:
        """Whether `name` is the path of a YAML file that looks like a model card."""
        path = Path(name).expanduser()
        if not name.endswith(YAML_ENDINGS) or not path.is_file():
            return False
        value = read_header(path)
        return isinstance(value, dict) and "name" in value and "source" in value

    def check_model(self, path: Path) -> ModelSpec:
        """Read a model card and check what the schema alone cannot: its sources and its base.

        Raises:
            ConfigError: the card does not fit, a source is malformed, or `base` names no card.
        """
        from halueval.source import parse

        card = _load_model(path)
        for source in card.source:
            try:
                parse(source.source)
            except ConfigError as error:
                raise ConfigError(f"{path}: {key_line(path, 'source')}{error}") from error
        known = {header.name for header in self.list_models()}
        if card.base and card.base not in known:
            raise ConfigError(
                f"{path}: {key_line(path, 'base')}base: no card is called {card.base!r}{nearest(card.base, known)}"
            )
        return card


def _load_model(path: Path) -> ModelSpec:
    from halueval.config import ModelSpec, build, read_yaml

    return build(ModelSpec, read_yaml(path), path)


def _made_up(name: str, source: str) -> ModelSpec:
    from halueval.config import ModelSpec, build

    return build(ModelSpec, {"name": name, "source": source}, None)


def safe_name(path: Path) -> str:
    """A name for a path's results: its last part, with the parent's before a bare `checkpoint-N`."""
    full = path.resolve()
    last = full.stem if full.suffix.lower() == ".gguf" else full.name
    name = f"{full.parent.name}-{last}" if _CHECKPOINT.fullmatch(last) else last
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).lstrip("._+-")[:120] or "model"


def is_path(name: str) -> bool:
    """Whether a name on the command line is a path: it has a separator or a YAML ending."""
    return name.endswith(YAML_ENDINGS) or "/" in name or os.sep in name


def _existing(name: str, kind: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"{kind} {name!r}: no such file")
    return path


def split_names(listed: str) -> list[str]:
    """Names between commas; a path that exists is taken whole, commas and all."""
    if Path(listed).is_file():
        return [listed]
    names = [name.strip() for name in listed.split(",")]
    if not all(names):
        raise UsageError(f"{listed!r}: a name is missing beside a comma")
    return names


def _first(levels: Sequence[Sequence[Header]], name: str) -> Header | None:
    """The header of `name` on the first level that has it."""
    for headers in levels:
        matches = [header for header in headers if header.name == name]
        if len(matches) > 1:
            raise ConfigError(f"{matches[0].path} and {matches[1].path} both define {name!r}; rename one")
        if matches:
            return matches[0]
    return None


def _visible(levels: Sequence[Sequence[Header]]) -> list[Header]:
    found: dict[str, Header] = {}
    for headers in levels:
        level: dict[str, Header] = {}
        for header in headers:
            if header.name in level:
                raise ConfigError(
                    f"{level[header.name].path} and {header.path} both define {header.name!r}; rename one"
                )
            level[header.name] = header
        found = {**level, **found}
    return [found[name] for name in sorted(found)]


def task_hash(spec: TaskSpec) -> str:
    """SHA-256 of what determines a task's prompts and scores; see `NOT_HASHED` for what does not.

    Values equal to their default are left out, so that a new key of the schema leaves old hashes alone.
    """
    values = spec.model_dump(mode="json", exclude=NOT_HASHED, exclude_defaults=True)
    return sha256_text(canonical_json({"hash_version": TASK_HASH_VERSION, "version": spec.version, **values}))
