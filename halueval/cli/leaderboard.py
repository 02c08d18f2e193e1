"""`halueval leaderboard`: tables of many models from their runs, the same bytes every time."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halueval.errors import DataError, UsageError

if TYPE_CHECKING:
    from halueval.leaderboard.board import Board

EPILOG = """\b
Examples:
  halueval leaderboard
  halueval leaderboard --markdown README.md --markdown results/LEADERBOARD.md --json results/leaderboard.json
  halueval leaderboard --markdown README.md --check
  halueval leaderboard --results nightly --include limited --csv -
  halueval leaderboard --html site && xdg-open site/index.html
  halueval leaderboard --model-card my-checkpoint >> README.md

Exit code 1 means that a file is stale (--check), 2 that something cannot be read.
"""


@click.command(epilog=EPILOG)
@click.option(
    "--results",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Directory of runs, at any depth. Repeatable.  [default: results]",
)
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings of the board.  [default: leaderboard.yaml in the results, if there]",
)
@click.option("--task", "-t", "tasks", multiple=True, metavar="TASK", help="Show this task alone. Repeatable.")
@click.option(
    "--include",
    multiple=True,
    metavar="KIND|RUN",
    help="Let through, marked, runs that are 'limited', 'dirty' or a 'mismatch', or one run by id or directory. Repeatable.",
)
@click.option("--verify", is_flag=True, help="Read every samples file whole and compare its digest.")
@click.option(
    "--markdown",
    "markdown_to",
    multiple=True,
    metavar="FILE",
    help="Write the tables between the markers of this file ('-': standard output). Repeatable.",
)
@click.option("--json", "json_to", metavar="FILE", help="Write the whole board ('-': standard output).")
@click.option("--csv", "csv_to", metavar="FILE", help="Write a line a figure ('-': standard output).")
@click.option(
    "--html",
    "html_to",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write a site: overview, pages of tasks, models and pairs, samples. DIR is new, empty, or holds a site.",
)
@click.option("--model-card", metavar="MODEL", help="Print a `model-index` for MODEL's card on the hub.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 and a diff where a file would change.")
@click.option("--quiet", "-q", is_flag=True, help="No table and no notes.")
def leaderboard(
    results: tuple[Path, ...],
    settings_file: Path | None,
    tasks: tuple[str, ...],
    include: tuple[str, ...],
    verify: bool,
    markdown_to: tuple[str, ...],
    json_to: str | None,
    csv_to: str | None,
    html_to: Path | None,
    model_card: str | None,
    check: bool,
    quiet: bool,
) -> int:
    """Rank models by their runs, each figure with its interval, ties as ties.

    One run a model and task counts; which, and why not the others, is said.
    """
    from halueval.leaderboard.build import build_board, excluded_lines
    from halueval.leaderboard.settings import read_spec
    from halueval.report.leaderboard_files import leaderboard_csv, leaderboard_json, model_index
    from halueval.report.leaderboard_markdown import render_leaderboard

    roots = list(results) or [Path("results")]
    spec = read_spec(settings_file, roots)
    if tasks:
        spec = spec.model_copy(update={"tasks": list(tasks)})
    targets = [*markdown_to, *(target for target in (json_to, csv_to) if target is not None)]
    _check_targets(targets, model_card, html_to, check=check)
    board = build_board(roots, spec, include=include, verify=verify)
    if model_card is not None:
        _print(model_index(board, model_card))
        return 0
    wanted: list[tuple[str, str]] = [(target, _marked(target, board)) for target in markdown_to]
    if json_to is not None:
        wanted.append((json_to, leaderboard_json(board)))
    if csv_to is not None:
        wanted.append((csv_to, leaderboard_csv(board)))
    stale = [_settle(target, text, check=check) for target, text in wanted]
    if html_to is not None:
        _write_site(board, html_to, quiet=quiet)
    if not quiet:
        if not targets and html_to is None:
            _print(render_leaderboard(board, details=False))
        for line in excluded_lines(board.excluded):
            click.echo(f"left out: {line}", err=True)
    return 1 if any(stale) else 0


def _check_targets(targets: list[str], model_card: str | None, html_to: Path | None, *, check: bool) -> None:
    """Refuse what cannot be meant, before anything is read.

    Raises:
        UsageError: two formats to one place, nothing to check, or a card together with files.
    """
    if check and html_to is not None:
        raise UsageError("--check compares files that are committed, and a site is not one; leave out --html")
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{'standard output' if twice == '-' else twice} is named twice; give each format its own file"
        )
    if check and not [target for target in targets if target != "-"]:
        raise UsageError("--check needs files to check: --markdown, --json or --csv FILE")
    if model_card is not None and (targets or html_to is not None):
        raise UsageError("--model-card goes to standard output by itself; run the command again for the files")


def _write_site(board: Board, directory: Path, *, quiet: bool) -> None:
    """Write the site, telling how far it is."""
    from halueval.cli.progress import make_observer
    from halueval.report.site.build import count_pages, write_site

    observer = make_observer(quiet=quiet or not sys.stderr.isatty())
    observer.begin("pages of the site", count_pages(board), 0)
    try:
        write_site(board, directory, lambda _: observer.advance(1))
    finally:
        observer.end()
    if not quiet:
        click.echo(f"{directory / 'index.html'}: open it in a browser", err=True)


def _marked(target: str, board: Board) -> str:
    """What a Markdown file should hold."""
    from halueval.report.leaderboard_markdown import between_markers, render_leaderboard

    table = render_leaderboard(board)
    if target == "-":
        return table
    return between_markers(_read(Path(target)), table, target)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _settle(target: str, text: str, *, check: bool) -> bool:
    """Write a file, or say how it differs; whether it was stale."""
    from halueval.store import write_atomically

    if target == "-":
        _print(text)
        return False
    path = Path(target)
    before = _read(path)
    if before == text:
        return False
    if check:
        lines = difflib.unified_diff(before.splitlines(True), text.splitlines(True), target, f"{target} (regenerated)")
        _print("".join(line if line.endswith("\n") else line + "\n" for line in lines))
        click.echo(f"{target} is stale; regenerate it by the same command without --check", err=True)
        return True
    write_atomically(path, [text.encode("utf-8", "backslashreplace")])
    return False


def _print(text: str) -> None:
    """Text to standard output, in UTF-8 whatever the locale."""
    click.echo(text.encode("utf-8", "backslashreplace"), nl=False)
