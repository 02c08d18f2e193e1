"""What the study trains and asks, and how its pieces are made; every piece goes on where it was stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from halueval.cli.progress import make_observer
from halueval.cli.training_progress import make_training_progress
from halueval.finetune.progress import TrainingProgress
from halueval.job import Observer
from halueval.knowledge import ProbeOptions, probe_model
from halueval.known import LABELS_FILE
from halueval.probing.settings import ProbeSettings
from halueval.sweep.run import Sweep, SweepOptions, sweep
from halueval.sweep.spec import ArmSpec, Study

MODEL, TASK = "smollm2-135m-instruct", "facts_qa"


@dataclass(frozen=True, slots=True)
class Design:
    """Sizes of the study.

    Attributes:
        asked: first rows of the task, which are asked of every checkpoint and never trained.
        labelled: first rows that are probed; those behind `asked` are there to be trained.
        facts: trained each time.
        shares: of them that are Unknown, a training each.
        seeds: of the trainings.
        epochs: of each training.
        checkpoints: at which it is asked, the last at the end.
        num_prompts: of the probe.
        num_draws: of the probe, for each prompt.
    """

    asked: int = 200
    labelled: int = 560
    facts: int = 100
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 6
    checkpoints: int = 3
    num_prompts: int = 10
    num_draws: int = 16


SMOKE = Design(
    asked=8, labelled=60, facts=8, shares=(0.0, 1.0), seeds=(0, 1), epochs=1, checkpoints=1, num_prompts=2, num_draws=2
)
"""Small enough to see that all works; its figures mean nothing."""


def label(design: Design, output: Path) -> Path:
    """Probe the base; the file of its labels."""
    settings = ProbeSettings(
        output=output / "results",
        limit=design.labelled,
        num_prompts=design.num_prompts,
        num_draws=design.num_draws,
    )
    made = probe_model(MODEL, TASK, ProbeOptions(settings=settings), make_observer(quiet=False))
    return made.directory / LABELS_FILE


def train(design: Design, labels: Path, output: Path) -> dict[float, Sweep]:
    """All trainings and what their checkpoints answered, by the share of Unknown facts."""
    return {
        share: sweep(_study(design, share, labels), SweepOptions(output / f"unknown-{share:g}"), _Shown())
        for share in design.shares
    }


def _study(design: Design, share: float, labels: Path) -> Study:
    """One mix of facts with all seeds: arms of one study learn the same facts, so each mix is a study of its own."""
    name = f"unknown-{share:g}"
    return Study(
        name=name,
        model=MODEL,
        arms=[ArmSpec(name=name, recipe="new-knowledge")],
        set={
            "data.labels": str(labels.resolve()),
            "data.facts": design.facts,
            "data.unknown_share": share,
            "epochs": design.epochs,
        },
        seeds=list(design.seeds),
        checkpoints=design.checkpoints,
        tasks=[f"{TASK}:{design.asked}"],
        labels=labels.resolve(),
    )


class _Shown:
    """Progress on standard error."""

    def unit(self, name: str, number: int, total: int, remark: str) -> None:
        """A line."""
        click.echo(f"[{number}/{total}] {name}" + (f": {remark}" if remark else ""), err=True)

    def training(self) -> TrainingProgress:
        """A bar on a terminal, lines elsewhere."""
        return make_training_progress(quiet=False)

    def observer(self) -> Observer:
        """A bar on a terminal, lines elsewhere."""
        return make_observer(quiet=False)
