"""Progress of a fine-tuning on standard error: a bar with loss and time left on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from halueval.cli.progress import LINE_EVERY_SECONDS, make_bar

if TYPE_CHECKING:
    from halueval.finetune.progress import TrainingProgress


def make_training_progress(*, quiet: bool) -> TrainingProgress:
    """The progress that fits the place: silent, a bar, or lines."""
    from halueval.finetune.progress import SilentTraining

    if quiet:
        return SilentTraining()
    return TrainingBar() if sys.stderr.isatty() else TrainingLines()


class TrainingBar:
    """A bar with the loss and the time left."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.job: Any = None

    def begin(self, title: str, total: int, done: int) -> None:
        """Draw the bar."""
        self.bar = make_bar("loss")
        self.job = self.bar.add_task(title, total=total, completed=done, loss="")
        self.bar.start()

    def step(self, step: int, loss: float | None) -> None:
        """Move the bar."""
        self.bar.update(self.job, completed=step, loss="" if loss is None else f"loss {loss:.3f}")

    def note(self, text: str) -> None:
        """A line above the bar."""
        from rich.text import Text

        if self.bar is not None:
            self.bar.console.print(Text(text))

    def end(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()


class TrainingLines:
    """A line every few seconds, for logs of CI."""

    def begin(self, title: str, total: int, done: int) -> None:
        """Say what begins."""
        self.title, self.total, self.first, self.at = title, total, done, done
        self.started = self.told = time.monotonic()
        self._say(f"{title}: {total} steps" + (f", going on from step {done}" if done else ""))

    def step(self, step: int, loss: float | None) -> None:
        """Say so when enough time has passed."""
        self.at, now = step, time.monotonic()
        if now - self.told < LINE_EVERY_SECONDS:
            return
        self.told = now
        left = (self.total - step) * (now - self.started) / max(1, step - self.first)
        shown = "" if loss is None else f", loss {loss:.3f}"
        self._say(f"{self.title}: step {step}/{self.total}{shown}, {left:.0f} s left")

    def note(self, text: str) -> None:
        """A line of its own."""
        self._say(text)

    def end(self) -> None:
        """Say how long it took."""
        self._say(f"{self.title}: {self.at - self.first} steps in {time.monotonic() - self.started:.1f} s")

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
