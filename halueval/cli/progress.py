"""Progress on standard error: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from halueval.job import Observer

LINE_EVERY_SECONDS = 5.0


def make_observer(*, quiet: bool) -> Observer:
    """The observer that fits the place: silent, a bar, or lines."""
    from halueval.job import SilentObserver

    if quiet:
        return SilentObserver()
    return BarObserver() if sys.stderr.isatty() else LineObserver()


def make_bar(field: str) -> Progress:
    """A bar that goes away when it is done, with its count, the text of this field, and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{{task.fields[{field}]}}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


class BarObserver:
    """A bar with requests a second and time left."""

    def __init__(self) -> None:
        self.progress: Any = None
        self.job: Any = None

    def begin(self, title: str, total: int, done: int) -> None:
        """Draw the bar; what was answered before counts as done but not into the rate."""
        self.progress = make_bar("rate")
        self.job = self.progress.add_task(title, total=total, completed=done, rate="")
        self.progress.start()
        self.started, self.answered = time.monotonic(), 0

    def advance(self, requests: int) -> None:
        """Move the bar."""
        self.answered += requests
        rate = self.answered / max(time.monotonic() - self.started, 1e-9)
        self.progress.update(self.job, advance=requests, rate=f"{rate:.1f}/s")

    def end(self) -> None:
        """Take the bar away."""
        if self.progress is not None:
            self.progress.stop()


class LineObserver:
    """A line every few seconds, for logs of CI."""

    def begin(self, title: str, total: int, done: int) -> None:
        """Say what begins."""
        self.title, self.total, self.done, self.answered = title, total, done, 0
        self.started = self.told = time.monotonic()
        kept = f", {done} of them answered before" if done else ""
        self._say(f"{title}: {total} requests{kept}")

    def advance(self, requests: int) -> None:
        """Say so when enough time has passed."""
        self.answered += requests
        now = time.monotonic()
        if now - self.told < LINE_EVERY_SECONDS:
            return
        self.told = now
        rate = self.answered / (now - self.started)
        left = self.total - self.done - self.answered
        eta = f"{left / rate:.0f} s left" if rate else "no estimate yet"
        self._say(f"{self.title}: {self.done + self.answered}/{self.total}, {rate:.1f}/s, {eta}")

    def end(self) -> None:
        """Say how long it took."""
        took = time.monotonic() - self.started
        self._say(f"{self.title}: {self.answered} requests in {took:.1f} s")

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
