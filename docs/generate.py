"""Write the CLI reference and the tables of tasks, models and figures from the code; `--check` compares.

Run by `make docs`, and with `--check` by `make test`, so that what is committed is never stale.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from halueval.cli.main import cli
from halueval.consistency.catalog import scorer_class, scorer_names
from halueval.finetune.arms.catalog import ARMS
from halueval.finetune.library import RECIPES, load_recipe
from halueval.registry import Registry, packaged_directory
from halueval.scorers.catalog import scorer_classes

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->\n\n"


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Every command with its help, depth first."""
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, click.Context(child, info_name=name, parent=context))


def cli_reference() -> str:
    """`docs/cli.md`."""
    context = click.Context(cli, info_name="halueval", terminal_width=100, max_content_width=100)
    parts = [f"## {path}\n\n```\n{text.rstrip()}\n```\n" for path, text in commands(cli, context)]
    codes = (
        "Exit codes: 0 done; 1 a gate or a check failed (`--fail-on`, `--check`, `validate`); 2 bad usage or bad "
        "input, told in one line on standard error; 3 incomplete: interrupted, or some samples could not be run. "
        "What was finished is kept, and the same command goes on from there. "
        "[Completion](completion.md) for bash, zsh and fish.\n"
    )
    return "# Command line\n\n" + NOTE + codes + "\n" + "\n".join(parts)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; pipes in cells are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def catalog() -> str:
    """`docs/catalog.md`: what ships with halueval."""
    registry = Registry()
    inside = packaged_directory("tasks").parent
    tasks = [t for t in registry.list_tasks() if t.path.is_relative_to(inside)]
    groups = [g for g in registry.list_groups() if g.path.is_relative_to(inside)]
    models = [m for m in registry.list_models() if m.path.is_relative_to(inside)]
    figures = [
        (f"`{c.name}`", {True: "higher", False: "lower", None: "neither"}[c.higher_is_better], c.summary)
        for c in scorer_classes()
    ]
    checkers = [scorer_class(name) for name in scorer_names()]
    return (
        "# Tasks, models and figures\n\n"
        + NOTE
        + f"## {len(tasks)} tasks\n\n"
        + table(
            ("task", "kind", "language", "about", "license"),
            [(f"`{t.name}`", t.kind, t.language, " ".join(t.about.split()), t.license) for t in tasks],
        )
        + "\n## Groups\n\n"
        + table(("group", "tasks", "about"), [(f"`{g.name}`", ", ".join(g.tasks), g.about) for g in groups])
        + f"\n## {len(models)} model cards\n\n"
        + table(
            ("model", "architecture", "fine-tuned from", "license"),
            [(f"`{m.name}`", m.architecture, f"`{m.base}`" if m.base else "", m.license) for m in models],
        )
        + f"\n## {len(figures)} figures\n\nDefinitions: [metrics.md](metrics.md).\n\n"
        + table(("figure", "better", "what it is"), figures)
        + f"\n## {len(checkers)} consistency scorers\n\n"
        + "What each computes: [metrics.md](metrics.md#consistency-scorers).\n\n"
        + table(("scorer", "runs on", "what it is"), [(f"`{c.name}`", c.cost, c.summary) for c in checkers])
        + recipes()
    )


def recipes() -> str:
    """Recipes of fine-tuning and what may be added to them."""
    shipped = [load_recipe(str(path)) for path in sorted(RECIPES.glob("*.yaml"))]
    return (
        f"\n## {len(shipped)} recipes\n\nWhat a recipe may say: [finetune.md](finetune.md).\n\n"
        + table(
            ("recipe", "architecture", "method", "learns", "about"),
            [(f"`{r.name}`", r.architecture, r.method, r.data.kind, " ".join(r.about.split())) for r in shipped],
        )
        + f"\n## {len(ARMS)} mitigations\n\n"
        + table(("mitigation", "what it does"), [(f"`{a.name}`", a.about) for a in ARMS.values()])
    )


def main() -> int:
    """Write the pages, or with `--check` say which are stale; exit code 1 if any is."""
    pages = {"cli.md": cli_reference(), "catalog.md": catalog()}
    stale = False
    for name, text in pages.items():
        path = DOCS / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
            continue
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        if old != text:
            stale = True
            diff = difflib.unified_diff(
                old.splitlines(), text.splitlines(), f"docs/{name}", "from the code", lineterm="", n=1
            )
            print("\n".join(list(diff)[:30]))
            print(f"docs/{name} is stale: run `make docs`")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
