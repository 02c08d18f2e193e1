"""Run what `leaderboard.yaml` lists, as far as its runs are not here already. Called by `make leaderboard`.

A model of the list is run by `halueval run`, which finds finished runs by the content of weights, data and prompts
and leaves them as they are. A checkpoint that is trained on another machine has other weights, so a recipe is
trained and run only where the board lacks a run of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from halueval.leaderboard.build import build_board
from halueval.leaderboard.settings import BoardSpec, read_spec

HERE = Path(__file__).parent
CHECKPOINTS = HERE.parent / "build" / "checkpoints"


def halueval(*arguments: str) -> None:
    """Run a command; end with its exit code where that is not 0."""
    made = subprocess.run([sys.executable, "-m", "halueval", *arguments], check=False)  # noqa: S603  ours
    if made.returncode:
        raise SystemExit(made.returncode)


def run(model: str, spec: BoardSpec) -> None:
    """All tasks of the board with one model."""
    options = ["--limit", str(spec.limit)] if spec.limit else []
    options += ["--dtype", spec.dtype] if spec.dtype else []
    halueval("run", "--model", model, "--task", ",".join(spec.tasks), "--output", str(HERE), *options)


def lacking(recipes: Sequence[str], spec: BoardSpec) -> list[str]:
    """Recipes of whose checkpoint the board has not a run of every task."""
    held = {model.name: set(model.runs) for model in build_board([HERE], spec).models}
    return [recipe for recipe in recipes if not set(spec.tasks) <= held.get(recipe, set())]


def main() -> None:
    """Models first, then recipes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    spec = read_spec(None, [HERE])
    for model in spec.models:
        run(model, spec)
    for recipe in lacking(spec.recipes, spec):
        halueval("finetune", "--recipe", recipe, "--output", str(CHECKPOINTS / recipe))
        run(str(CHECKPOINTS / recipe), spec)


if __name__ == "__main__":
    main()
