"""`halueval models`: list, show and check model cards."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from halueval.headers import ModelHeader

include_path = click.option(
    "--include-path",
    "include_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Directory with more cards, looked at first. May be given several times.",
)


@click.group(epilog="\b\nExample:\n  halueval models ls")
def models() -> None:
    """List, show and check model cards."""


@models.command(
    "ls",
    epilog="\b\nExamples:\n  halueval models ls\n  halueval models ls --json | jq '.[].name'",
)
@include_path
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def list_models(include_paths: tuple[Path, ...], as_json: bool) -> None:
    """List the model cards: name, architecture, parameters, base, license.

    Piped, it prints tab-separated lines with a header.
    """
    from halueval.registry import Registry

    headers = Registry(include_paths).list_models()
    if as_json:
        click.echo(json.dumps([_as_dict(header) for header in headers], ensure_ascii=False, indent=2))
        return
    columns = ("name", "architecture", "parameters", "base", "license")
    rows = [_row(header) for header in headers]
    if sys.stdout.isatty():
        _print_table(columns, rows)
        return
    for row in (columns, *rows):
        click.echo("\t".join(row))


def _as_dict(header: ModelHeader) -> dict[str, Any]:
    return {
        "name": header.name,
        "architecture": header.architecture,
        "num_parameters": header.num_parameters,
        "base": header.base or None,
        "family": header.family,
        "language": list(header.language),
        "license": header.license,
        "source": list(header.sources),
        "about": header.about,
        "path": str(header.path),
        "problem": header.problem,
    }


def _row(header: ModelHeader) -> tuple[str, ...]:
    if header.problem:
        return (header.name, f"unreadable: {header.problem}", "", "", "")
    return (header.name, header.architecture, _count(header.num_parameters), header.base, header.license)


def _count(number: int | None) -> str:
    """Parameters as people name models: 135M, 1.7B."""
    if number is None:
        return ""
    if number < 1_000_000_000:
        return f"{number / 1e6:.0f}M"
    return f"{number / 1e9:.1f}B"


def _print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column == "parameters" else "left", overflow="fold")
    for row in rows:
        # Cards are data: square brackets in them are text, not markup.
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    Console().print(table)


@models.command(epilog="\b\nExample:\n  halueval models show smollm2-135m-instruct")
@click.argument("name")
@include_path
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def show(name: str, include_paths: tuple[Path, ...], as_json: bool) -> None:
    """Show one model card as it is understood, and the file it stands in.

    NAME is a card, a directory, a .gguf file or a hub id.
    """
    from halueval.registry import Registry

    card = Registry(include_paths).model(name)
    values = {**card.model_dump(mode="json", exclude_none=True), "path": str(card.path) if card.path else None}
    if as_json:
        click.echo(json.dumps(values, ensure_ascii=False, indent=2))
        return
    import yaml

    click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100), nl=False)


@models.command(epilog="\b\nExample:\n  halueval models validate models/mine.yaml")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@include_path
def validate(path: Path, include_paths: tuple[Path, ...]) -> None:
    """Check a model card; exit 1 and name the line when it is not valid.

    Checked are the keys and their types, the form of every source, and that `base` names a card.
    Nothing is downloaded.
    """
    from halueval.errors import HaluevalError
    from halueval.registry import Registry

    registry = Registry(include_paths)
    try:
        name = registry.check_model(path).name
    except HaluevalError as error:
        click.echo(f"invalid: {error}", err=True)
        raise SystemExit(1) from error
    click.echo(f"{path}: valid model card {name}")
