"""`halueval finetune`: a base and a recipe to a checkpoint that says what it was made from."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halueval.cli import options as shared
from halueval.errors import UsageError

if TYPE_CHECKING:
    from halueval.finetune.recipe import Recipe
    from halueval.finetune.record import FinetuneRecord

EPILOG = """\b
Examples:
  halueval finetune --model smollm2-135m-instruct --recipe invented-facts
  halueval finetune -m smollm2-135m-instruct -r invented-facts-lora --set lora.rank=4 --seed 1 -o lora-4
  halueval finetune -m ./my-base -r known-facts --set data.labels=labels.jsonl
  halueval finetune --list

An interrupted fine-tuning goes on from its last whole checkpoint when the same command is given again.
"""


@click.command(epilog=EPILOG)
@click.option("--model", "-m", help="Card name, local directory, or hub id [default: the recipe's].")
@click.option("--recipe", "-r", help="Name of a recipe, or path of its YAML.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe, e.g. data.facts=100. Repeatable.",
)
@shared.output("Directory of the result [default: finetuned/MODEL-RECIPE, with the seed where it is given].")
@click.option("--seed", type=shared.TRAINING_SEED, help="Seed of the training [default: the recipe's].")
@shared.training_device
@click.option(
    "--evaluate",
    multiple=True,
    metavar="TASK[:ROWS]",
    help="Task that the result will be evaluated on, in place of the recipe's: none of its rows is trained on. Repeatable.",
)
@shared.allow_overlap
@shared.fresh
@shared.include_path("Directory with further models, tasks and recipes. Repeatable.")
@shared.trust_remote_code
@click.option("--list", "listing", is_flag=True, help="List the recipes and stop.")
@shared.quiet()
@shared.as_json("Print the record as JSON.")
def finetune(
    model: str | None, recipe: str | None, changes: tuple[str, ...], quiet: bool, as_json: bool, **given: Any
) -> None:
    """Fine-tune a model by a recipe, into a directory that `halueval run` takes."""
    if given["listing"]:
        _list(given["include_path"])
        return
    if recipe is None:
        raise UsageError("finetune needs --recipe; `halueval finetune --list` shows what there is")
    from halueval.cli.pull import shown_progress
    from halueval.cli.training_progress import make_training_progress
    from halueval.finetune.library import load_recipe, parse_change
    from halueval.finetune.train import finetune as train
    from halueval.registry import Registry

    if quiet:
        logging.getLogger("halueval").setLevel(logging.ERROR)
    wanted = dict(parse_change(change) for change in changes)
    if given["evaluate"]:
        wanted["evaluate"] = list(given["evaluate"])
    loaded = load_recipe(recipe, changes=wanted, include_paths=given["include_path"])
    output = given["output"] or _default_output(loaded, model, given["seed"])
    with shown_progress(quiet=quiet) as progress:
        record = train(
            loaded,
            model,
            output,
            seed=given["seed"],
            device=given["device"],
            allow_overlap=given["allow_overlap"],
            fresh=given["fresh"],
            registry=Registry(given["include_path"]),
            progress=make_training_progress(quiet=quiet),
            fetch_progress=progress,
            trust_remote_code=given["trust_remote_code"],
        )
    if as_json:
        click.echo(json.dumps(record.document, ensure_ascii=False, indent=1))
    elif not quiet:
        _tell(record, loaded, model or record.base)


def _default_output(recipe: Recipe, model: str | None, seed: int | None) -> Path:
    from halueval.registry import safe_name

    name = model or recipe.model
    if name is None:
        raise UsageError(f"recipe {recipe.name} names no model; give one with --model")
    tail = "" if seed is None else f"-seed{seed}"
    return Path("finetuned") / f"{safe_name(Path(name))}-{recipe.name}{tail}"


def _tell(record: FinetuneRecord, recipe: Recipe, base: str) -> None:
    """What was made, and what to do with it."""
    loss = "" if record.loss is None else f", loss {record.loss:.3f}"
    stopped = f"; stopped early, the weights are of step {record.best_step}" if record.stopped_early else ""
    click.echo(f"{record.name}: {record.base} after {record.steps} steps on {record.examples} examples{loss}{stopped}")
    where = shlex.quote(str(record.path))
    click.echo(f"weights (sha256 {record.weights_sha256[:12]}…), model card and training examples are in {where}")
    task, _, rows = (recipe.evaluate[0] if recipe.evaluate else "facts_qa").partition(":")
    click.echo("next:")
    # A base without a head cannot be run.
    headless = record.document.get("new_head", False)
    models = "" if headless else f"--model {shlex.quote(base)} "
    click.echo(f"  halueval run {models}--model {where} --task {shlex.quote(task)} --limit {rows or 300}")
    if not headless:
        click.echo(f"  halueval diff {shlex.quote(record.base)} {shlex.quote(record.name)}")


def _list(include_paths: tuple[Path, ...]) -> None:
    from halueval.cardfile import read_header
    from halueval.finetune.library import recipe_paths

    for name, path in sorted(recipe_paths(include_paths).items()):
        header = read_header(path)
        about = (
            " ".join(str(header.get("about") or "").split()) if isinstance(header, dict) else f"unreadable: {header}"
        )
        click.echo(f"{name}: {about}")
