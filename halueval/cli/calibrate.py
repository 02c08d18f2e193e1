"""`halueval calibrate`: how far a run's confidences can be trusted, and what repairs them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halueval.cli import options as shared
from halueval.cli.targets import targets_of, write

if TYPE_CHECKING:
    from halueval.calibrating.record import CalibrationRecord

EPILOG = """\b
Examples:
  halueval calibrate results/smollm2-135m-instruct/rte/1a2b3c4d5e6f
  halueval calibrate results/my-checkpoint/facts_qa/6f5e4d3c2b1a --html page.html --markdown -

Half of the answers are fitted on, the figures are of the other half. Contextual, domain and PMI calibration are
shown where the run was made with --calibration.
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@shared.as_json("Print the record, curves included, instead of a table.")
@shared.written("html", "Write one self-contained page ('-': standard output).")
@shared.written("markdown", "Write the table as Markdown ('-': standard output).")
@click.option("--bins", type=click.IntRange(1, 1000), default=15, show_default=True, help="Bins of calibration errors.")
@shared.seed("Seed of the halves and the resampling.")
@shared.n_resamples(2000, "Replicates of the intervals.")
@shared.quiet("No table; files and errors only.")
def calibrate(
    run: Path,
    as_json: bool,
    html_to: str | None,
    markdown_to: str | None,
    bins: int,
    seed: int,
    n_resamples: int,
    quiet: bool,
) -> None:
    """Measure the calibration of the finished RUN, a run directory, before and after what can repair it."""
    from halueval.calibrating.calibration import calibrate as measure
    from halueval.report.calibration_html import render_calibration
    from halueval.report.calibration_tables import print_calibration, render_markdown

    forms: dict[str, Callable[[CalibrationRecord], str]] = {
        "json": lambda record: json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        "html": render_calibration,
        "markdown": render_markdown,
    }
    given = {"json_to": "-" if as_json else None, "html_to": html_to, "markdown_to": markdown_to}
    targets = targets_of(given, forms)
    record = measure(run, bins=bins, n_resamples=n_resamples, seed=seed)
    for kind, target in targets.items():
        write(target, [forms[kind](record)])
    if not quiet and "-" not in targets.values():
        print_calibration(record, sys.stdout)
