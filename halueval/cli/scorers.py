"""`halueval scorers`: list and explain the figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from halueval.scorers.base import Scorer


@click.group(epilog="\b\nExample:\n  halueval scorers ls")
def scorers() -> None:
    """List and explain the figures."""


def describe(scorer: type[Scorer]) -> dict[str, Any]:
    """What a figure says of itself."""
    return {
        "name": scorer.name,
        "version": scorer.version,
        "higher_is_better": scorer.higher_is_better,
        "needs": sorted(scorer.needs),
        "summary": scorer.summary,
    }


def arrow(higher_is_better: bool | None) -> str:
    """The direction in a word; neither for lengths."""
    return {True: "higher", False: "lower", None: "neither"}[higher_is_better]


@scorers.command("ls", epilog="\b\nExamples:\n  halueval scorers ls\n  halueval scorers ls --json | jq '.[].name'")
@click.option("--consistency", is_flag=True, help="List the consistency scorers that the figure `consistency` can use.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def list_scorers(consistency: bool, as_json: bool) -> None:
    """List the figures: name, direction, what each needs, and what it is.

    Piped, it prints tab-separated lines with a header.
    """
    from halueval.scorers.catalog import scorer_classes

    found = _consistency_scorers() if consistency else [describe(cls) for cls in scorer_classes()]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    if consistency:
        _print(("name", "runs on", "what it is"), [(s["name"], s["cost"], s["summary"]) for s in found])
        return
    rows = [(s["name"], arrow(s["higher_is_better"]), " ".join(s["needs"]), s["summary"]) for s in found]
    _print(("name", "better", "needs", "what it is"), rows)


def _consistency_scorers() -> list[dict[str, Any]]:
    from halueval.consistency.catalog import scorer_class, scorer_names

    classes = [scorer_class(name) for name in scorer_names()]
    return [{"name": c.name, "version": c.version, "cost": c.cost, "summary": c.summary} for c in classes]


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


@scorers.command(epilog="\b\nExample:\n  halueval scorers show exact_match")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def show(name: str, as_json: bool) -> None:
    """Explain one figure or consistency scorer: definition, direction, what it needs, and its options."""
    from halueval.consistency.catalog import SCORERS as CONSISTENCY
    from halueval.errors import UsageError, nearest
    from halueval.scorers.catalog import scorer_classes

    by_name = {cls.name: cls for cls in scorer_classes()}
    if name not in by_name:
        if name in CONSISTENCY:
            _show_consistency(name, as_json)
            return
        raise UsageError(f"unknown metric {name!r}{nearest(name, [*by_name, *CONSISTENCY])}")
    found = by_name[name]
    known = describe(found)
    needs = f"better: {arrow(known['higher_is_better'])}\nneeds: {', '.join(known['needs']) or 'nothing'}"
    _explain(found, known, name, needs, as_json=as_json)


def _show_consistency(name: str, as_json: bool) -> None:
    from halueval.consistency.catalog import scorer_class

    found = scorer_class(name)
    known = {"name": name, "version": found.version, "cost": found.cost, "summary": found.summary}
    needs = f"better: higher\nruns on: {found.cost}"
    _explain(found, known, f"{name}, a consistency scorer", needs, as_json=as_json)


def _explain(found: type[Any], known: dict[str, Any], title: str, needs: str, *, as_json: bool) -> None:
    """Print what a scorer says of itself, and the options of its constructor."""
    import inspect

    from halueval.consistency.options import option_names

    options = [name for name in option_names(found) if name not in ("language", "task")]
    if as_json:
        click.echo(json.dumps({**known, "options": options}, ensure_ascii=False, indent=1))
        return
    click.echo(f"{title} (version {known['version']})\n{known['summary']}\n")
    click.echo(inspect.getdoc(found))
    click.echo(f"\n{needs}")
    if options:
        click.echo(f"options: {', '.join(options)}")
