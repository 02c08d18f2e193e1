"""`halueval run`: models on tasks."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from halueval.cli import options as shared
from halueval.errors import UsageError

EPILOG = """\b
Examples:
  halueval run -m smollm2-135m-instruct -t facts_qa,xsum --limit 50
  halueval run -m ./my-checkpoint -t qa --output results
  halueval run -m smollm2-135m-instruct -t nq_open --data NQ-open.dev.jsonl

An interrupted run goes on where it stopped when the same command is given again.
"""


def split_names(values: tuple[str, ...]) -> list[str]:
    """Names from repeated and comma-separated options, in order."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


@click.command(epilog=EPILOG)
@click.option(
    "--model", "-m", "models", multiple=True, required=True, help="Card name, local directory, or hub id. Repeatable."
)
@click.option(
    "--task",
    "--tasks",
    "-t",
    "tasks",
    multiple=True,
    required=True,
    help="Task, group, tag or YAML path; several with commas.",
)
@shared.limit("Only the first N rows of each task.")
@shared.num_fewshot("Examples in the prompt [default: the task's].")
@shared.seed("Seed of few-shot draws, sampling and bootstrap.")
@shared.batching
@shared.device()
@shared.dtype()
@shared.adapter
@shared.data("JSON, JSONL, CSV, TSV or Parquet used in place of the task's data set.")
@shared.apply_chat_template
@click.option("--system-instruction", help="System message of the chat template.")
@click.option(
    "--calibration",
    type=click.Choice(["none", "contextual", "domain", "pmi", "batch"]),
    default="none",
    show_default=True,
    help="What to take off the choices' likelihoods before the likeliest is chosen.",
)
@click.option(
    "--calibration-baselines",
    metavar="METHODS",
    help="Ask what these methods of calibration would take off, too (contextual, domain and pmi with commas, or all), so "
    "that `halueval calibrate` shows them side by side; answers stay as they are.",
)
@click.option(
    "--known-class",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Labels of `halueval probe`, of this model or its base, as a stratum of the samples [default: those found "
    "under --output].",
)
@click.option("--no-known-class", is_flag=True, help="Look for no labels.")
@shared.include_path("Directory with further tasks and models. Repeatable.")
@click.option(
    "--predict-only",
    is_flag=True,
    help="Store responses without scoring; the same command without it scores them without the model.",
)
@click.option(
    "--uncertainty",
    is_flag=True,
    help="Draw further answers and measure how sure the model is of its own (generated QA tasks).",
)
@click.option("--num-draws", type=click.IntRange(min=1), help="Further answers to each question [default: 10].")
@click.option(
    "--draw-temperature",
    type=click.FloatRange(min=0, min_open=True),
    help="Temperature of the further answers [default: 1.0].",
)
@click.option(
    "--uncertainty-nli",
    metavar="MODEL",
    help="NLI model (directory, hub id or card) for SelfCheckGPT and semantic entropy by inference.",
)
@shared.fresh
@shared.trust_remote_code
@shared.output("Directory of the results.", default=Path("results"))
@shared.quiet()
@click.option("--all-figures", is_flag=True, help="Show every figure in the table, not only those that the task names.")
@shared.as_json("Print the run records as a JSON list instead of a table.")
def run(models: tuple[str, ...], tasks: tuple[str, ...], quiet: bool, as_json: bool, **given: Any) -> None:
    """Run models on tasks and store every figure with its uncertainty."""
    from halueval.api import Options, iter_runs
    from halueval.backends.base import ChatSettings
    from halueval.choice_calibration import methods_of
    from halueval.cli.progress import make_observer
    from halueval.cli.pull import shown_progress
    from halueval.job import RunSettings
    from halueval.report.tables import print_runs

    if quiet:
        logging.getLogger("halueval").setLevel(logging.ERROR)
    model_names, task_names = split_names(models), split_names(tasks)
    if not model_names or not task_names:
        raise UsageError("--model and --task need a name each; `halueval models ls` and `halueval tasks ls` list them")
    if not given["uncertainty"] and any(given[key] for key in ("num_draws", "draw_temperature", "uncertainty_nli")):
        raise UsageError(
            "--num-draws, --draw-temperature and --uncertainty-nli need --uncertainty, which draws further answers"
        )
    if given["no_known_class"] and given["known_class"] is not None:
        raise UsageError("--known-class names labels, and --no-known-class wants none; leave one out")
    settings = RunSettings(
        output=given["output"],
        limit=given["limit"],
        num_fewshot=given["num_fewshot"],
        seed=given["seed"],
        batch_size=given["batch_size"],
        max_tokens_per_batch=given["max_tokens_per_batch"],
        chat=ChatSettings(given["apply_chat_template"], given["system_instruction"]),
        predict_only=given["predict_only"],
        fresh=given["fresh"],
        calibration=given["calibration"],
        baselines=() if given["calibration_baselines"] is None else methods_of(given["calibration_baselines"]),
        known_class=given["known_class"],
        find_known_class=not given["no_known_class"],
    )
    finished = []
    try:
        with shown_progress(quiet=quiet) as progress:
            options = Options(
                settings=settings,
                **shared.loading(given, progress),
                uncertainty=(given["num_draws"] or 10, given["draw_temperature"] or 1.0)
                if given["uncertainty"]
                else None,
                uncertainty_nli=given["uncertainty_nli"],
            )
            for result in iter_runs(model_names, task_names, options, make_observer(quiet=quiet)):
                if result is not None:
                    finished.append(result)
                elif not quiet:
                    click.echo("responses stored; the same command without --predict-only scores them", err=True)
    finally:
        # Runs that were finished before an interruption are shown all the same.
        if as_json:
            click.echo(json.dumps([r.record for r in finished], ensure_ascii=False, indent=1))
        elif finished:
            print_runs(finished, sys.stdout, every=given["all_figures"])
