"""`halueval tasks`: list, show and check tasks and groups."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halueval.cli.models import include_path

if TYPE_CHECKING:
    from halueval.config import TaskSpec
    from halueval.headers import GroupHeader, TaskHeader
    from halueval.registry import Registry
    from halueval.schema import Sample

COLUMNS = ("name", "kind", "language", "tags and groups", "about")


@click.group()
def tasks() -> None:
    """List, show and check tasks and groups of tasks.

    \b
    Example:
      halueval tasks ls
    """


@tasks.command("ls")
@include_path
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def list_tasks(include_paths: tuple[Path, ...], as_json: bool) -> None:
    """List tasks, then groups: name, kind, language, tags and groups, and what it asks.

    Piped, it prints tab-separated lines with a header.

    \b
    Examples:
      halueval tasks ls
      halueval tasks ls --json | jq -r '.[] | select(.language == "zh").name'
    """
    from halueval.registry import Registry

    registry = Registry(include_paths)
    headers, groups = registry.list_tasks(), registry.list_groups()
    if as_json:
        entries = [_task_entry(header, groups) for header in headers] + [_group_entry(group) for group in groups]
        click.echo(json.dumps(entries, ensure_ascii=False, indent=2))
        return
    rows = [_task_row(header, groups) for header in headers] + [_group_row(group) for group in groups]
    if sys.stdout.isatty():
        _print_table(rows)
        return
    for row in (COLUMNS, *rows):
        click.echo("\t".join(row))


def _groups_of(name: str, groups: Sequence[GroupHeader]) -> list[str]:
    return [group.name for group in groups if name in group.tasks]


def _task_entry(header: TaskHeader, groups: Sequence[GroupHeader]) -> dict[str, Any]:
    return {
        "name": header.name,
        "kind": header.kind,
        "language": header.language,
        "tags": list(header.tags),
        "groups": _groups_of(header.name, groups),
        "about": header.about,
        "license": header.license,
        "path": str(header.path),
        "problem": header.problem,
    }


def _group_entry(group: GroupHeader) -> dict[str, Any]:
    return {
        "name": group.name,
        "kind": "group",
        "tasks": list(group.tasks),
        "limit": group.limit,
        "about": group.about,
        "path": str(group.path),
    }


def _task_row(header: TaskHeader, groups: Sequence[GroupHeader]) -> tuple[str, ...]:
    if header.problem:
        return (header.name, "unreadable", "", "", header.problem)
    labels = dict.fromkeys((*header.tags, *_groups_of(header.name, groups)))
    return (header.name, header.kind, header.language, ", ".join(labels), header.about)


def _group_row(group: GroupHeader) -> tuple[str, ...]:
    limit = f" The first {group.limit} rows of each." if group.limit else ""
    return (group.name, "group", "", f"{len(group.tasks)} tasks", group.about + limit)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "kind"))
    for row in rows:
        # Cards are data: square brackets in them are text, not markup.
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    Console().print(table)


@tasks.command()
@click.argument("name")
@include_path
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def show(name: str, include_paths: tuple[Path, ...], as_json: bool) -> None:
    """Show a task as it is understood, includes resolved, and its first sample.

    NAME is a task, a group, or the path of a YAML. The sample is shown when the task's data are on this
    machine already; `halueval pull NAME` brings them.

    \b
    Example:
      halueval tasks show nq_open
    """
    from halueval.registry import Registry

    registry = Registry(include_paths)
    group = next((group for group in registry.list_groups() if group.name == name), None)
    if group is not None and name not in {header.name for header in registry.list_tasks()}:
        documents = {"group": _group_entry(group)}
    else:
        documents = _task_documents(registry.task(name))
    if as_json:
        click.echo(json.dumps(documents, ensure_ascii=False, indent=2))
        return
    click.echo("---\n".join(_yaml(document) for document in documents.values()), nl=False)


def _task_documents(task: TaskSpec) -> dict[str, dict[str, Any]]:
    values = task.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    documents = {"task": {**values, "path": str(task.path)}}
    sample = _cached_sample(task)
    if sample is not None:
        documents["first_sample"] = _sample_entry(sample)
    return documents


def _sample_entry(sample: Sample) -> dict[str, Any]:
    entry = {
        "sample_id": sample.sample_id,
        "prompt": sample.prompt,
        "target": sample.target,
        "references": list(sample.references),
        "choices": list(sample.choices),
        "gold": list(sample.gold),
        "group": dict(sample.group),
        "classifier_input": list(sample.classifier_input) if sample.classifier_input else None,
    }
    return {key: value for key, value in entry.items() if value not in ([], {}, None)}


def _cached_sample(task: TaskSpec) -> Sample | None:
    """The first sample, if a file that is the task's data is here already; nothing is downloaded."""
    from halueval.dataset import load_data
    from halueval.errors import SourceError
    from halueval.prompt import build_samples

    files = [spec for spec in task.source if not spec.source.startswith("hub:")]
    here = task.model_copy(update={"source": files, "dataset_path": None})
    with _offline():
        try:
            data = load_data(here, base=task.directory or Path.cwd())
        except SourceError:
            return None
    return build_samples(here, data, num_fewshot=None, seed=0, limit=1)[0]


@contextmanager
def _offline() -> Iterator[None]:
    """No network, and no word about sources that are therefore passed over."""
    log = logging.getLogger("halueval")
    before, level = os.environ.get("HALUEVAL_OFFLINE"), log.level
    os.environ["HALUEVAL_OFFLINE"] = "1"
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        if before is None:
            del os.environ["HALUEVAL_OFFLINE"]
        else:
            os.environ["HALUEVAL_OFFLINE"] = before


def _yaml(value: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, item: str) -> yaml.ScalarNode:
        # Prompts read as they are, line by line; white space at an end is shown by its escape.
        style = None if "\n" not in item else "|" if item == item.strip() else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", item, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


@tasks.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@include_path
def validate(path: Path, include_paths: tuple[Path, ...]) -> None:
    """Check a task or group; exit 1 and say what is wrong when it is not valid.

    Checked are keys and types, the form of every source, templates, filters, layouts and figures; of a
    group, that its tasks exist. Data are not downloaded, but a file that the task includes is.

    \b
    Example:
      halueval tasks validate tasks/mine.yaml
    """
    from halueval.errors import HaluevalError
    from halueval.registry import Registry

    registry = Registry(include_paths)
    try:
        found = _check(registry, path)
    except HaluevalError as error:
        click.echo(f"invalid: {error}", err=True)
        raise SystemExit(1) from error
    click.echo(f"{path}: valid {found}")


def _check(registry: Registry, path: Path) -> str:
    """What the file is, after everything in it was checked."""
    from halueval.api import scorers_for
    from halueval.cardfile import read_yaml
    from halueval.dataset import check_layouts
    from halueval.errors import ConfigError
    from halueval.source import parse
    from halueval.taskcheck import check_task

    raw = read_yaml(path)
    if "group" in raw and isinstance(raw.get("task"), list):
        from halueval.config import GroupSpec, build

        group = build(GroupSpec, raw, path)
        for _ in registry.expand(group.task):
            pass
        return f"group {group.group} of {len(group.task)} tasks"
    task = registry.task(str(path.resolve()))
    for spec in [*task.source, *task.fewshot_source]:
        try:
            parse(spec.source)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    check_task(task)
    check_layouts(task)
    names = [scorer.name for scorer in scorers_for(task, "causal")]
    if task.primary_metric and task.primary_metric not in names:
        from halueval.errors import nearest

        raise ConfigError(
            f"{path}: primary_metric {task.primary_metric!r} is none of the task's figures"
            f"{nearest(task.primary_metric, names)}"
        )
    return f"task {task.task}"
