"""How facts are asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from halueval.backends.base import ChatSettings
from halueval.errors import UsageError

FIRST_SEED = 1_000_003
"""Seeds of a probe's few-shot examples start here, far from those of runs: what labels a fact is not what scores it."""
MAX_PROMPTS = 1000


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What a user chooses; the defaults are those of Gekhman et al. 2024.

    Attributes:
        output: directory of results.
        limit: facts, the first so many rows of the task; None for all.
        num_prompts: prompts for each fact, which differ in their examples.
        num_fewshot: examples in each; None takes the task's number.
        num_draws: answers drawn for each prompt, besides the greedy one.
        temperature: at which they are drawn.
        top_k: likeliest tokens that a draw chooses from; 0 for all.
        seed: of examples and draws.
        batch_size: requests a batch; None packs by tokens.
        max_tokens_per_batch: None means from the device's memory.
        chat: template and system message.
        fresh: start over.
        n_resamples: of the bootstrap.
    """

    output: Path = Path("results")
    limit: int | None = None
    num_prompts: int = 10
    num_fewshot: int | None = None
    num_draws: int = 16
    temperature: float = 0.5
    top_k: int = 40
    seed: int = 0
    batch_size: int | None = None
    max_tokens_per_batch: int | None = None
    chat: ChatSettings = field(default_factory=ChatSettings)
    fresh: bool = False
    n_resamples: int = 10_000

    def check(self) -> None:
        """Refuse what cannot be probed.

        Raises:
            UsageError: names the option.
        """
        if not 2 <= self.num_prompts <= MAX_PROMPTS:
            raise UsageError(
                f"--num-prompts {self.num_prompts}: from 2, so that the labels of two halves can be compared, to "
                f"{MAX_PROMPTS}"
            )
        if self.num_draws < 1 or not 0 < self.temperature < float("inf"):
            raise UsageError(
                f"--num-draws {self.num_draws} --temperature {self.temperature}: there must be a draw, at a finite "
                "temperature above 0"
            )
        if self.top_k < 0:
            raise UsageError(f"--top-k {self.top_k}: 0 for all tokens, or how many of the likeliest")

    def prompt_seed(self, number: int) -> int:
        """Seed of the examples of a prompt; `num_prompts` is the one of the fresh prompt."""
        return FIRST_SEED + self.seed * (MAX_PROMPTS + 1) + number

    def described(self, num_fewshot: int) -> dict[str, Any]:
        """What determines the labels, besides model and task."""
        keys = ("num_prompts", "num_draws", "temperature", "top_k", "seed", "limit")
        return {**{key: asdict(self)[key] for key in keys}, "num_fewshot": num_fewshot}
