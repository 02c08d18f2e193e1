"""How large the study is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

MODEL = "smollm2-135m-instruct"
TASK = "facts_qa"
PROMPT = "Q: {question}\nA:"
COMPLETION = " {answer}\n"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is trained and evaluated.

    Attributes:
        model: the base.
        task: whose facts are learnt and asked.
        facts: first so many rows of the task; half of them can be trained on, half are held out.
        num_prompts: prompts of the probe for each fact.
        num_draws: answers drawn for each prompt of the probe.
        train: facts that a training learns.
        shares: of these, the share that the base does not know.
        seeds: of the draw of the facts and of the training.
        epochs: passes over the facts.
        evaluated: after which of them the model is asked.
        batch_size: facts a step.
        learning_rate: of AdamW, constant.
        n_resamples: bootstrap replicates.
        device: auto, cpu, cuda or mps.
    """

    model: str = MODEL
    task: str = TASK
    facts: int = 560
    num_prompts: int = 10
    num_draws: int = 16
    train: int = 72  # of 560 facts 152 are unknown, and half of these can be trained on
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 8
    evaluated: tuple[int, ...] = (1, 2, 3, 5, 8)
    batch_size: int = 16
    learning_rate: float = 1e-4
    n_resamples: int = 2000
    device: str = "auto"

    def described(self) -> dict[str, Any]:
        """As plain JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def smoke(settings: Settings) -> Settings:
    """The same in minutes: it shows that everything runs, and measures nothing."""
    return replace(
        settings,
        facts=60,
        num_prompts=2,
        num_draws=2,
        train=8,
        shares=(0.0, 1.0),
        seeds=(0, 1),
        epochs=2,
        evaluated=(1, 2),
        n_resamples=200,
    )
