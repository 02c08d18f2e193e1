"""`halueval sweep`: mitigations against each other, at the same in-task score."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halueval.errors import UsageError

if TYPE_CHECKING:
    from halueval.finetune.progress import TrainingProgress
    from halueval.job import Observer
    from halueval.sweep.record import SweepRecord

EPILOG = """\b
Examples:
  halueval sweep cheap-arms --html sweep.html
  halueval sweep my-study.yaml --seed 0 --seed 1 --seed 2 -o sweeps/mine --markdown table.md
  halueval sweep my-study.yaml --dry-run
  halueval sweep --list

A sweep that was stopped goes on when the same command is given again. Exit code 3 means that it was interrupted, 1
that some arm could not be trained (with --strict).
"""
_FORMATS = ("json", "markdown", "html")


@click.command(epilog=EPILOG)
@click.argument("study", required=False)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Directory of the sweep: trainings, runs, and what is done [default: sweeps/NAME].",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=click.IntRange(min=0, max=2**32 - 1),
    help="In place of the study's seeds. Repeatable.",
)
@click.option("--model", "-m", help="In place of the study's model.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--json", "json_to", metavar="FILE", help="Write the record ('-': standard output).")
@click.option("--markdown", "markdown_to", metavar="FILE", help="Write tables and digests.")
@click.option("--html", "html_to", metavar="FILE", help="Write one self-contained page with the plots.")
@click.option("--keep-weights", is_flag=True, help="Keep the weights of trainings that were evaluated.")
@click.option("--allow-overlap", is_flag=True, help="Train although items are also evaluated.")
@click.option("--strict", is_flag=True, help="Exit with 1 where an arm could not be trained.")
@click.option("--dry-run", is_flag=True, help="Check the study, say what would be trained, and stop.")
@click.option(
    "--include-path",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory with further models, tasks and recipes. Repeatable.",
)
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with a model.")
@click.option("--list", "listing", is_flag=True, help="List the packaged studies and stop.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, no tables: files and errors only.")
def sweep(study: str | None, seeds: tuple[int, ...], model: str | None, quiet: bool, **given: Any) -> int:
    """Train the arms of STUDY with its seeds, evaluate every checkpoint, and compare them at a matched score.

    STUDY is the path of a YAML, or the name of a packaged study.
    """
    if given["listing"]:
        _list()
        return 0
    if study is None:
        raise UsageError("sweep needs a STUDY; `halueval sweep --list` shows what there is")
    targets = {kind: given[f"{kind}_to"] for kind in _FORMATS if given[f"{kind}_to"] is not None}
    _check_targets(targets)
    from halueval.cli.pull import shown_progress
    from halueval.sweep.command import describe, measure
    from halueval.sweep.planning import SweepOptions
    from halueval.sweep.run import sweep as run_sweep
    from halueval.sweep.show import print_sweep
    from halueval.sweep.spec import load_study

    if quiet:
        logging.getLogger("halueval").setLevel(logging.ERROR)
    changes: dict[str, Any] = {"seeds": list(seeds)} if seeds else {}
    if model is not None:
        changes["model"] = model
    loaded = load_study(study, changes)
    options = SweepOptions(
        output=given["output"] or Path("sweeps") / loaded.name,
        device=given["device"],
        keep_weights=given["keep_weights"],
        allow_overlap=given["allow_overlap"],
        include_path=tuple(given["include_path"]),
        trust_remote_code=given["trust_remote_code"],
    )
    if given["dry_run"]:
        for line in describe(loaded, options):
            click.echo(line)
        return 0
    with shown_progress(quiet=quiet) as progress:
        made = run_sweep(loaded, options, _Shown(quiet), fetch_progress=progress)
    record = measure(made, options)
    for kind, target in targets.items():
        _write(target, _render(record, kind))
    if not quiet and "-" not in targets.values():
        print_sweep(record, sys.stdout)
    for failure in record["failures"] if quiet else []:
        click.echo(f"{failure['arm']}, seed {failure['seed']}: {failure['reason']}", err=True)
    return 1 if given["strict"] and record["failures"] else 0


class _Shown:
    """Progress on standard error: a line for each unit, and the bars of training and evaluation."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def unit(self, name: str, number: int, total: int, remark: str) -> None:
        """A line."""
        if not self.quiet:
            click.echo(f"[{number}/{total}] {name}" + (f": {remark}" if remark else ""), err=True)

    def training(self) -> TrainingProgress:
        """A bar, lines or nothing."""
        from halueval.cli.training_progress import make_training_progress

        return make_training_progress(quiet=self.quiet)

    def observer(self) -> Observer:
        """A bar, lines or nothing."""
        from halueval.cli.progress import make_observer

        return make_observer(quiet=self.quiet)


def _check_targets(targets: dict[str, str]) -> None:
    seen: dict[str, str] = {}
    for kind, target in targets.items():
        if target in seen:
            place = "standard output" if target == "-" else target
            raise UsageError(f"--{seen[target]} and --{kind} both go to {place}; give each its own")
        seen[target] = kind


def _render(record: SweepRecord, kind: str) -> str:
    if kind == "json":
        return json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    if kind == "markdown":
        from halueval.sweep.show import render_markdown

        return render_markdown(record)
    from halueval.sweep.page import render_page

    return render_page(record)


def _write(target: str, text: str) -> None:
    from halueval.store import write_atomically

    if target == "-":
        click.echo(text, nl=False)
        return
    write_atomically(Path(target), [text.encode("utf-8", "replace")])


def _list() -> None:
    from halueval.sweep.spec import load_study, study_paths

    for name in sorted(study_paths()):
        click.echo(f"{name}: {' '.join(load_study(name).about.split())}")
