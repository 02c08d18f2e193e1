"""`halueval explain`: measures of the known causes beside the rates that they should explain."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from halueval.cli import options as shared
from halueval.cli.targets import targets_of, write

EPILOG = """\b
Examples:
  halueval explain smollm2-135m-instruct my-checkpoint --candidate-model ./my-checkpoint --html page.html
  halueval explain base tuned --train-data train.jsonl --json explain.json
  halueval explain results/base/facts_qa/1a2b3c4d5e6f results/tuned/facts_qa/6f5e4d3c2b1a --no-models

Training data is rows with prompt and completion, or text. A model made by halueval finetune brings its own.
Nothing here shows a cause; it shows what goes together.
"""
_FORMATS = ("json", "markdown", "html")


@click.command(epilog=EPILOG)
@click.argument("base")
@click.argument("candidate")
@click.option(
    "--train-data",
    type=click.Path(path_type=Path),
    help="What the candidate was trained on; by default the file beside weights that halueval finetune made.",
)
@shared.results("Where models given by name are looked up; every task that both have is explained.")
@click.option(
    "--base-model",
    metavar="MODEL",
    help="Card, directory or hub id of the base's weights, if not found by the run's name.",
)
@click.option("--candidate-model", metavar="MODEL", help="The same of the candidate.")
@click.option("--candidate-adapter", type=click.Path(path_type=Path), help="PEFT adapter of the candidate.")
@click.option(
    "--neutral",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="General text for KL and forgetting, rows with text; by default news articles (xsum_documents).",
)
@click.option(
    "--neutral-texts", type=click.IntRange(min=2), default=40, show_default=True, help="How many general texts."
)
@click.option(
    "--no-models", is_flag=True, help="Load no model and read no weights: words, overlap and generalisation only."
)
@shared.device()
@shared.dtype("auto: that of the runs.")
@shared.written("json", "Write the record ('-': standard output).")
@shared.written("markdown", "Write a summary fit for a pull request.")
@shared.written("html", "Write one self-contained page with plots.")
@shared.alpha
@shared.seed("Seed of all draws.")
@click.option(
    "--n-permutations",
    type=click.IntRange(min=19),
    default=500,
    show_default=True,
    help="Draws of each permutation null.",
)
@click.option("--allow-mismatch", "allow", multiple=True, metavar="KEY", help="As for diff. Repeatable.")
@shared.include_path("As for run. Repeatable.")
@shared.quiet("No table and no progress: files and errors only.")
def explain(base: str, candidate: str, quiet: bool, **given: Any) -> None:
    """Show what goes together with the hallucination that CANDIDATE has and BASE has not.

    Each is a run directory, or the name of a model under --results. Distance of the training data from the tasks,
    overlap with them, seen against unseen items, change of the weights, KL and forgetting on general text: each beside
    the induced rate, with intervals. What cannot be measured is said, with the reason.
    """
    from halueval.cli.progress import make_observer
    from halueval.explanation import Settings
    from halueval.explanation import explain as make
    from halueval.report.explain_tables import print_explanation

    targets = targets_of(given, _FORMATS)
    settings = Settings(
        train_data=given["train_data"],
        base_model=given["base_model"],
        candidate_model=given["candidate_model"],
        candidate_adapter=given["candidate_adapter"],
        neutral=given["neutral"],
        neutral_texts=given["neutral_texts"],
        models=not given["no_models"],
        device=given["device"],
        dtype=given["dtype"],
        alpha=given["alpha"],
        seed=given["seed"],
        n_permutations=given["n_permutations"],
        allow_mismatch=given["allow"],
        include_path=given["include_path"],
        observer=make_observer(quiet=quiet),
    )
    made = make(base, candidate, results=given["results"], settings=settings)
    forms = {
        "json": lambda: json.dumps(made.record, ensure_ascii=False, allow_nan=False) + "\n",
        "markdown": made.to_markdown,
        "html": made.to_html,
    }
    for kind, target in targets.items():
        write(target, [forms[kind]()])
    if not quiet and "-" not in targets.values():
        print_explanation(made.record, sys.stdout)
