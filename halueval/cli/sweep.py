"""`halueval sweep`: mitigations against each other, at the same in-task score."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halueval.cli import options as shared
from halueval.cli.targets import targets_of, write
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
@shared.output("Directory of the sweep: trainings, runs, and what is done [default: sweeps/NAME].")
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=shared.TRAINING_SEED,
    help="In place of the study's seeds. Repeatable.",
)
@click.option("--model", "-m", help="In place of the study's model.")
@shared.training_device
@shared.written("json", "Write the record ('-': standard output).")
@shared.written("markdown", "Write tables and digests.")
@shared.written("html", "Write one self-contained page with the plots.")
@click.option("--keep-weights", is_flag=True, help="Keep the weights of trainings that were evaluated.")
@shared.allow_overlap
@click.option("--strict", is_flag=True, help="Exit with 1 where an arm could not be trained.")
@click.option("--dry-run", is_flag=True, help="Check the study, say what would be trained, and stop.")
@shared.include_path("Directory with further models, tasks and recipes. Repeatable.")
@shared.trust_remote_code
@click.option("--list", "listing", is_flag=True, help="List the packaged studies and stop.")
@shared.quiet("No progress, no tables: files and errors only.")
def sweep(study: str | None, seeds: tuple[int, ...], model: str | None, quiet: bool, **given: Any) -> int:
    """Train the arms of STUDY with its seeds, evaluate every checkpoint, and compare them at a matched score.

    STUDY is the path of a YAML, or the name of a packaged study.
    """
    if given["listing"]:
        _list()
        return 0
    if study is None:
        raise UsageError("sweep needs a STUDY; `halueval sweep --list` shows what there is")
    targets = targets_of(given, _FORMATS)
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
        write(target, [_render(record, kind)])
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


def _render(record: SweepRecord, kind: str) -> str:
    if kind == "json":
        return json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    if kind == "markdown":
        from halueval.sweep.show import render_markdown

        return render_markdown(record)
    from halueval.sweep.page import render_page

    return render_page(record)


def _list() -> None:
    from halueval.sweep.spec import load_study, study_paths

    for name in sorted(study_paths()):
        click.echo(f"{name}: {' '.join(load_study(name).about.split())}")
