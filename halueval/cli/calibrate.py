"""`halueval calibrate`: how far a run's confidences can be trusted, and what repairs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from halueval.errors import UsageError

EPILOG = """\b
Examples:
  halueval calibrate results/smollm2-135m-instruct/rte/1a2b3c4d5e6f
  halueval calibrate results/my-checkpoint/facts_qa/6f5e4d3c2b1a --html page.html --markdown -

Half of the answers are fitted on, the figures are of the other half. Contextual, domain and PMI calibration are
shown where the run was made with --calibration.
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the record, curves included, instead of a table.")
@click.option("--html", "html_to", metavar="FILE", help="Write one self-contained page ('-': standard output).")
@click.option("--markdown", "markdown_to", metavar="FILE", help="Write the table as Markdown ('-': standard output).")
@click.option("--bins", type=click.IntRange(1, 1000), default=15, show_default=True, help="Bins of calibration errors.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the halves and the resampling."
)
@click.option(
    "--n-resamples", type=click.IntRange(min=100), default=2000, show_default=True, help="Replicates of the intervals."
)
@click.option("--quiet", "-q", is_flag=True, help="No table; files and errors only.")
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
    from halueval.store import write_atomically

    targets = [target for target in (html_to, markdown_to, "-" if as_json else None) if target is not None]
    if len(set(targets)) < len(targets):
        raise UsageError("--json, --html and --markdown: two of them go to one place; give each its own")
    record = measure(run, bins=bins, n_resamples=n_resamples, seed=seed)
    for target, render in ((html_to, render_calibration), (markdown_to, render_markdown)):
        if target == "-":
            click.echo(render(record), nl=False)
        elif target is not None:
            # A lone surrogate (half a character that a model stopped in) has no UTF-8 form; it is shown as "?".
            write_atomically(Path(target), [render(record).encode("utf-8", "replace")])
    if as_json:
        click.echo(json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False))
    elif not quiet and "-" not in targets:
        print_calibration(record, sys.stdout)
