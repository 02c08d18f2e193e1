"""What the engine did: requests, tokens and passes, added up over batches and over restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Accounting:
    """Counters of one run.

    Attributes:
        requests: answered.
        tokens_requested: what these would cost one by one: prompts, continuations, the longest answers.
        tokens_computed: real tokens fed, each distinct prefix once where the model shares them.
        tokens_padding: fed beside them.
        forward_passes: of the model.
        prompts_truncated: requests of which tokens were cut off.
        flops: floating-point operations that the model needs for the tokens computed (see `utilisation`).
    """

    requests: int = 0
    tokens_requested: int = 0
    tokens_computed: int = 0
    tokens_padding: int = 0
    forward_passes: int = 0
    prompts_truncated: int = 0
    flops: int = 0

    def add(self, other: Accounting) -> None:
        """Add the counters of `other` to these."""
        for name, value in other.as_dict().items():
            setattr(self, name, getattr(self, name) + value)

    def shares(self, weights: Sequence[int]) -> list[Accounting]:
        """These counters divided in proportion to `weights`, whole numbers that add up to them again.

        Raises:
            ValueError: weights that add up to nothing.
        """
        total = sum(weights)
        if total <= 0:
            raise ValueError(f"weights {list(weights)}; they must add up to something")
        out = [Accounting() for _ in weights]
        for name, value in self.as_dict().items():
            done = given = 0
            for part, weight in zip(out, weights, strict=True):
                done += weight
                share = value * done // total - given
                given += share
                setattr(part, name, share)
        return out

    def as_dict(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self)
