"""Who is told what a fine-tuning is doing."""

from __future__ import annotations

from typing import Protocol


class TrainingProgress(Protocol):
    """Told of every step; the command line draws a bar from it."""

    def begin(self, title: str, total: int, done: int) -> None:
        """`total` optimizer steps, of which `done` were done before."""

    def step(self, step: int, loss: float | None) -> None:
        """A step is done; `loss` in nats a target token."""

    def note(self, text: str) -> None:
        """Something worth a line: a checkpoint, an evaluation, an early stop."""

    def end(self) -> None:
        """Training is over, or was interrupted."""


class SilentTraining:
    """Says nothing."""

    def begin(self, title: str, total: int, done: int) -> None:
        """Nothing."""

    def step(self, step: int, loss: float | None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
