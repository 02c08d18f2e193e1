"""`halueval diff`: a base against one or several candidates."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halueval.cli import options as shared
from halueval.cli.targets import targets_of, write

if TYPE_CHECKING:
    from halueval.report.result import Diff

EPILOG = """\b
Examples:
  halueval diff smollm2-135m my-checkpoint
  halueval diff results/base/facts_qa/1a2b3c4d5e6f results/tuned/facts_qa/6f5e4d3c2b1a --html page.html
  halueval diff base tuned-1 tuned-2 --markdown - --fail-on regression
  halueval diff base tuned --fail-on 'facts_qa:induced_rate.ci_low > 0.05' --fail-on 'exact_match.delta < -0.02'

Exit code 1 means that a gate failed, 2 that the runs cannot be compared.
"""
_FORMATS = ("json", "markdown", "html", "junit")


@click.command(epilog=EPILOG)
@click.argument("base")
@click.argument("candidates", nargs=-1, required=True)
@shared.results("Where models given by name are looked up; every task that both have is compared.")
@shared.written("json", "Write the record, everything below included ('-': standard output).")
@shared.written("markdown", "Write a summary fit for a pull request.")
@shared.written("html", "Write one self-contained page with all samples.")
@shared.written("junit", "Write the gates as JUnit XML.")
@shared.alpha
@shared.seed("Seed of the resampling.")
@shared.n_resamples(10_000, "Draws of the permutation tests, and of the change of ECE.")
@click.option(
    "--noise-floor",
    "noise",
    multiple=True,
    metavar="RUN",
    help="A second run of the base (other batch size or seed); what lies inside it is no change. One a task.",
)
@click.option(
    "--known-class",
    "known",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Labels of `halueval probe` on the base to break tasks down by [default: those beside its runs]. Repeatable.",
)
@click.option(
    "--allow-mismatch",
    "allow",
    multiple=True,
    metavar="KEY",
    help="Compare although the runs differ in this key; the table is marked. Repeatable.",
)
@click.option(
    "--fail-on",
    "gates",
    multiple=True,
    metavar="GATE",
    help="'[TASK:]FIGURE.FIELD OP NUMBER' or 'regression': exit with 1 where it holds. Repeatable.",
)
@shared.quiet("No table and no notes: files, failed gates and errors only.")
def diff(base: str, candidates: tuple[str, ...], gates: tuple[str, ...], quiet: bool, **given: Any) -> int:
    """Compare CANDIDATES with BASE on the samples that they share.

    Each is a run directory, or the name of a model under --results.
    """
    from halueval.compare.gates import parse_gate
    from halueval.comparison import diff as compare
    from halueval.report.diff_tables import print_diff

    targets = targets_of(given, _FORMATS)
    for gate in gates:
        parse_gate(gate)
    show = not quiet and sys.stderr.isatty()
    made = compare(
        base,
        list(candidates),
        results=given["results"],
        alpha=given["alpha"],
        seed=given["seed"],
        n_resamples=given["n_resamples"],
        noise_floor=list(given["noise"]),
        allow_mismatch=given["allow"],
        known_class=given["known"],
        advance=lambda what: click.echo(f"comparing {what}", err=True) if show else None,
    )
    results = made.check(*gates)
    for kind, target in targets.items():
        write(target, _render(made, kind))
    if not quiet and "-" not in targets.values():
        print_diff(made.record, sys.stdout)
    failed = [result for result in results if result["failed"]]
    for result in failed:
        click.echo(result["message"], err=True)
    return 1 if failed else 0


def _render(made: Diff, kind: str) -> Iterable[str]:
    if kind == "html":
        return made.to_html()
    if kind == "json":
        return [json.dumps(made.record, ensure_ascii=False, allow_nan=False), "\n"]
    return [made.to_markdown() if kind == "markdown" else made.to_junit()]
