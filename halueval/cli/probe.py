"""`halueval probe`: what a model knows of the facts of a task."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from halueval.cli import options as shared

EPILOG = """\b
Examples:
  halueval probe -m smollm2-135m-instruct -t facts_qa --limit 200
  halueval probe -m ./my-base -t my_facts.yaml --num-prompts 10 --num-draws 16 --output results

Twenty facts take half a minute with a model of 135 million parameters on two cores. An interrupted probe goes on where
it stopped when the same command is given again. `halueval diff` finds the labels beside the base's runs and breaks
every comparison down by them.
"""


@click.command(epilog=EPILOG)
@click.option("--model", "-m", required=True, help="Card name, local directory, or hub id.")
@click.option("--task", "-t", required=True, help="Question-answering task by generation, or its YAML.")
@shared.limit("Only the first N facts.")
@click.option(
    "--num-prompts", type=int, default=10, show_default=True, help="Prompts for each fact, with other examples each."
)
@shared.num_fewshot("Examples in each prompt [default: the task's].")
@click.option(
    "--num-draws", type=int, default=16, show_default=True, help="Answers drawn for each prompt, beside the greedy one."
)
@click.option("--temperature", type=float, default=0.5, show_default=True, help="Temperature of the draws.")
@click.option(
    "--top-k", type=int, default=40, show_default=True, help="Likeliest tokens a draw chooses from; 0 for all."
)
@shared.seed("Seed of examples and draws.")
@shared.batching
@shared.device()
@shared.dtype()
@shared.adapter
@shared.data("File used in place of the task's data set.")
@shared.apply_chat_template
@shared.include_path("Directory with further tasks and models. Repeatable.")
@shared.trust_remote_code
@shared.fresh
@shared.output("Directory of the results; the labels go beside the model's runs of the task.", default=Path("results"))
@shared.quiet()
@shared.as_json("Print the record instead of the tables.")
def probe(model: str, task: str, quiet: bool, as_json: bool, **given: Any) -> None:
    """Class the facts of TASK by how well MODEL knows them: HighlyKnown, MaybeKnown, WeaklyKnown, Unknown (SliCK)."""
    from halueval.backends.base import ChatSettings
    from halueval.cli.progress import make_observer
    from halueval.cli.pull import shown_progress
    from halueval.knowledge import ProbeOptions, probe_model
    from halueval.probing.settings import ProbeSettings
    from halueval.report.probe_tables import print_probe

    if quiet:
        logging.getLogger("halueval").setLevel(logging.ERROR)
    names = ("output", "limit", "num_prompts", "num_fewshot", "num_draws", "temperature", "top_k", "seed", "fresh")
    settings = ProbeSettings(
        **{name: given[name] for name in (*names, "batch_size", "max_tokens_per_batch")},
        chat=ChatSettings(given["apply_chat_template"]),
    )
    with shown_progress(quiet=quiet) as progress:
        options = ProbeOptions(
            settings=settings,
            device=given["device"],
            dtype=given["dtype"],
            adapter=given["adapter"],
            data=given["data"],
            include_path=given["include_path"],
            trust_remote_code=given["trust_remote_code"],
            progress=progress,
        )
        made = probe_model(model, task, options, make_observer(quiet=quiet))
    if as_json:
        click.echo(json.dumps(made.record, ensure_ascii=False, indent=1))
        return
    print_probe(made.record, str(made.directory), sys.stdout)
    if not quiet:
        click.echo(f"next: halueval run -m {model} -t {task}, then halueval diff with a fine-tuned model", err=True)
