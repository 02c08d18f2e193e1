"""The backend protocol: what the runner needs of a model, and nothing of how it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, runtime_checkable

from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget
from halueval.schema import Request, Response

Architecture = Literal["causal", "seq2seq", "classifier"]


DESCRIPTION = ("name", "source", "base", "lineage")
"""What of a `ModelIdentity` tells where a model comes from, and not what it is."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What makes a model the model it is: digests of content, never paths.

    Everything here goes into a run's identity, except `DESCRIPTION`.
    """

    weights_sha256: str
    config_sha256: str
    tokenizer_sha256: str
    chat_template_sha256: str | None
    adapter_sha256: str | None
    architecture: Architecture
    dtype: str
    name: str = ""
    source: str = ""
    base: str | None = None
    lineage: Mapping[str, Any] | None = None

    def digests(self, *, but: str = "") -> dict[str, str]:
        """Those of files that the model has, by the names above, without one that does not matter to who asks."""
        named = {each.name: getattr(self, each.name) for each in fields(self) if each.name != but}
        return {name: value for name, value in named.items() if name.endswith("_sha256") and value is not None}


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Whether prompts are wrapped in the model's chat template, and with which system message."""

    apply: bool = False
    system_instruction: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that are run together.

    Attributes:
        indices: which requests of those planned.
        requests: these requests, of one type or of several.
        tokens: what they would cost one by one: prompts, continuations, and the longest answers.
        work: what the backend worked out for them while planning.
    """

    indices: tuple[int, ...]
    requests: tuple[Request, ...]
    tokens: int = 0
    work: Any = None


Advance = Callable[[int], None]
"""Is told that so many more requests of a batch have been answered."""


def ignore(_: int) -> None:
    """Takes no notice of progress."""


@dataclass(slots=True)
class BatchResult:
    """Responses of one batch, in the order of its requests, and what it cost."""

    responses: list[Response]
    accounting: Accounting = field(default_factory=Accounting)


@runtime_checkable
class Backend(Protocol):
    """A loaded model.

    A request that cannot be run yields a `FailedResponse`; an exception means that the whole run cannot go on.
    """

    architecture: Architecture
    device: str
    num_parameters: int | None
    warnings: list[str]

    def budget(self, *, tokens: int | None, batch_size: int | None) -> Budget:
        """Limits of one forward pass; None means automatic."""

    def plan(self, requests: Sequence[Request], budget: Budget) -> list[Batch]:
        """Which requests share a batch, of whatever types they are: every index in exactly one batch.

        A pure function of its arguments, so that a run that goes on forms the batches of its first attempt.
        """

    def run(self, batch: Batch, advance: Advance = ignore) -> BatchResult:
        """Run one batch of a plan.

        `advance` is told of progress within it; all that it was told of never exceeds the batch's requests.
        """

    def matmul_rate(self) -> float | None:
        """Floating-point operations a second that the device reaches in a large matrix product; None if unknown."""

    def peak_memory_bytes(self) -> int:
        """Largest memory used so far."""
