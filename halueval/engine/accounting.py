"""What the engine did: requests, tokens and passes, added up over batches and over restarts."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Accounting:
    """Counters of one run. `tokens_computed` counts real tokens fed, `tokens_padding` the rest."""

    requests: int = 0
    tokens_requested: int = 0
    tokens_computed: int = 0
    tokens_padding: int = 0
    forward_passes: int = 0
    prompts_truncated: int = 0

    def add(self, other: Accounting) -> None:
        """Add the counters of `other` to these."""
        for name, value in other.as_dict().items():
            setattr(self, name, getattr(self, name) + value)

    def as_dict(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self)
