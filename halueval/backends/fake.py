"""A small scripted model for tests, public so that users can test their own tasks and scorers with it.

It answers from a table or a function, deterministically and instantly, and counts what it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from halueval.backends.base import Advance, Architecture, Batch, BatchResult, ignore
from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget, Cost, plan_batches
from halueval.schema import (
    ClassificationRequest,
    ClassificationResponse,
    GenerationRequest,
    GenerationResponse,
    LoglikelihoodRequest,
    LoglikelihoodResponse,
    Request,
    Response,
    RollingRequest,
    sha256_text,
)


def hashed_loglikelihood(context: str, text: str) -> float:
    """A log-likelihood in nats that depends on both texts, is negative, and is the same everywhere."""
    fraction = int(sha256_text(f"{context}\x00{text}")[:8], 16) / 2**32
    return -(0.5 + fraction) * (1 + len(text.split()))


class FakeBackend:
    """Backend that needs no model.

    Args:
        answers: prompt to generated text, or a function of the prompt; prompts not in the table get
            `default`.
        draws: function of the prompt and the request's seed that answers requests with a temperature; without it
            they are answered like the others.
        default: answer to everything else.
        loglikelihood: function of context and continuation; a hash of both unless given.
        labels: class names of a classification head.
        architecture: what kind of model to be.
        fail_after: raise KeyboardInterrupt after so many batches, as Ctrl-C would.
    """

    def __init__(
        self,
        answers: Mapping[str, str] | Callable[[str], str] | None = None,
        *,
        default: str = "I don't know.",
        draws: Callable[[str, int], str] | None = None,
        loglikelihood: Callable[[str, str], float] = hashed_loglikelihood,
        labels: Sequence[str] = ("LABEL_0", "LABEL_1"),
        architecture: Architecture = "causal",
        fail_after: int | None = None,
    ) -> None:
        self.answers = answers or {}
        self.default = default
        self.draws = draws
        self.loglikelihood = loglikelihood
        self.labels = tuple(labels)
        self.architecture: Architecture = architecture
        self.fail_after = fail_after
        self.device = "cpu"
        self.num_parameters: int | None = 0
        self.warnings: list[str] = []
        self.batches: list[list[Request]] = []

    def budget(self, *, tokens: int | None, batch_size: int | None) -> Budget:
        """A budget of 64 words a pass unless told otherwise."""
        return Budget(tokens=tokens or 64, scored=2**31, batch_size=batch_size)

    def plan(self, requests: Sequence[Request], budget: Budget) -> list[Batch]:
        """Longest first, one token a word."""
        costs = [Cost(self._words(request), 1) for request in requests]
        return [
            Batch(tuple(part), tuple(requests[i] for i in part), sum(costs[i].tokens for i in part))
            for part in plan_batches(costs, budget)
        ]

    def _words(self, request: Request) -> int:
        if isinstance(request, LoglikelihoodRequest):
            return len(f"{request.context}{request.continuation}".split())
        if isinstance(request, GenerationRequest):
            return len(request.context.split())
        return len(request.text.split())

    def run(self, batch: Batch, advance: Advance = ignore) -> BatchResult:
        """Answer one batch."""
        if self.fail_after is not None and len(self.batches) >= self.fail_after:
            raise KeyboardInterrupt
        self.batches.append(list(batch.requests))
        accounting = Accounting(len(batch.requests), batch.tokens, batch.tokens, 0, 1)
        answers = [self._answer(request) for request in batch.requests]
        advance(len(answers))
        return BatchResult(answers, accounting)

    def _answer(self, request: Request) -> Response:
        if isinstance(request, LoglikelihoodRequest):
            value = self.loglikelihood(request.context, request.continuation)
            return LoglikelihoodResponse(value, max(len(request.continuation.split()), 1))
        if isinstance(request, RollingRequest):
            return LoglikelihoodResponse(self.loglikelihood("", request.text), max(len(request.text.split()), 1))
        if isinstance(request, ClassificationRequest):
            value = 0.0 if len(request.text) % 2 else -5.0
            return ClassificationResponse({name: value - i for i, name in enumerate(self.labels)}, 1)
        answers = self.answers
        if request.temperature and self.draws:
            text = self.draws(request.context, request.seed)
        else:
            text = answers(request.context) if callable(answers) else answers.get(request.context, self.default)
        n = len(text.split())
        detail = (-0.1, 0.2, 0.3) if request.entropies and n else (None, None, None)
        return GenerationResponse(text, n, "stop", -0.1 * max(n, 1), 0, *detail)

    def matmul_rate(self) -> float | None:
        """It multiplies nothing."""
        return None

    def peak_memory_bytes(self) -> int:
        """Nothing to speak of."""
        return 0
