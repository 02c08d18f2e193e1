"""`halueval probe`: what a model knows of the facts of a task."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from halueval.cli.run import BatchSize

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
@click.option("--limit", "-L", type=click.IntRange(min=1), help="Only the first N facts.")
@click.option(
    "--num-prompts", type=int, default=10, show_default=True, help="Prompts for each fact, with other examples each."
)
@click.option("--num-fewshot", "-f", type=click.IntRange(min=0), help="Examples in each prompt [default: the task's].")
@click.option(
    "--num-draws", type=int, default=16, show_default=True, help="Answers drawn for each prompt, beside the greedy one."
)
@click.option("--temperature", type=float, default=0.5, show_default=True, help="Temperature of the draws.")
@click.option(
    "--top-k", type=int, default=40, show_default=True, help="Likeliest tokens a draw chooses from; 0 for all."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of examples and draws.")
@click.option("--batch-size", "-b", type=BatchSize(), default="auto", show_default=True, help="Requests a batch.")
@click.option(
    "--max-tokens-per-batch", type=click.IntRange(min=16), help="Padded tokens a batch [default: from memory]."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Precision of the weights.",
)
@click.option("--adapter", type=click.Path(path_type=Path), help="PEFT adapter directory on top of the model.")
@click.option("--data", type=click.Path(path_type=Path), help="File used in place of the task's data set.")
@click.option("--apply-chat-template", is_flag=True, help="Wrap prompts in the model's chat template.")
@click.option(
    "--include-path",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory with further tasks and models. Repeatable.",
)
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with a model.")
@click.option("--fresh", is_flag=True, help="Start over instead of going on from what is stored.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Directory of the results; the labels go beside the model's runs of the task.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress and no notes; errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the record instead of the tables.")
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
