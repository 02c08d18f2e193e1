"""Checkpoints on disk: whole or not there, the newest with what resuming needs, older ones with weights alone."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halueval.errors import IncompleteError
from halueval.finetune.record import CHECKPOINTS, write_card
from halueval.finetune.weights import sync

STATE_FILES = ("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth")
LOG_FILE = "trainer_state.json"
_NAME = re.compile(r"step-(\d+)")


@dataclass(slots=True)
class CheckpointStore:
    """Writes, finds and drops the checkpoints of one fine-tuning.

    Attributes:
        output: directory of the fine-tuning.
        keep: how many of the newest to keep; None keeps all.
        card: model card of a step.
        weights_bytes: size of the weights on disk, roughly.
        state_bytes: size of what resuming needs, roughly.
        settled: whether the newest is known to be good, so that older ones were dropped; see `settle`.
    """

    output: Path
    keep: int | None
    card: Callable[[int], Mapping[str, Any]]
    weights_bytes: int = 0
    state_bytes: int = 0
    settled: bool = False

    @property
    def root(self) -> Path:
        """Directory of the checkpoints."""
        return self.output / CHECKPOINTS

    def steps(self) -> list[int]:
        """Steps that there are whole checkpoints of, in order."""
        if not self.root.is_dir():
            return []
        found = [match for path in self.root.iterdir() if (match := _NAME.fullmatch(path.name))]
        return sorted(int(match[1]) for match in found)

    def path(self, step: int) -> Path:
        """Directory of a step."""
        return self.root / f"step-{step}"

    def resumable(self) -> int | None:
        """The last step that training can go on from."""
        able = [s for s in self.steps() if all((self.path(s) / n).is_file() for n in (LOG_FILE, *STATE_FILES[:2]))]
        return able[-1] if able else None

    def require_space(self, step: int) -> None:
        """Stop before a disk is full.

        Raises:
            IncompleteError: says how much is needed and free, and what would help.
        """
        needed = self.weights_bytes + self.state_bytes
        free = shutil.disk_usage(self.output).free
        if free < needed:
            raise self._no_space(step, f"it needs {_size(needed)}, and {_size(free)} are free")

    def require_final_space(self) -> None:
        """Refuse to train towards weights that could not be written.

        Raises:
            IncompleteError: says how much is needed and free.
        """
        free = shutil.disk_usage(self.output).free
        if free < self.weights_bytes:
            raise IncompleteError(
                f"{self.output}: no space for the weights: they need {_size(self.weights_bytes)}, and {_size(free)} "
                "are free; make room, or choose another --output"
            )

    def _no_space(self, step: int, why: str) -> IncompleteError:
        kept = self.resumable()
        onward = "starts over" if kept is None else f"goes on from step {kept}"
        return IncompleteError(
            f"{self.path(step)}: no space for the checkpoint: {why}; make room (keep_checkpoints: 1 keeps the newest "
            f"alone), and the same command {onward}"
        )

    def no_final(self, why: str) -> IncompleteError:
        """The error where what stands at the top of the output directory cannot be written."""
        kept = self.resumable()
        onward = "starts over" if kept is None else f"goes on from step {kept}"
        return IncompleteError(
            f"{self.output}: the weights cannot be written: {why}; make room, and the same command {onward}"
        )

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Write a checkpoint under another name, see it on disk, rename it; older ones stay until `settle`.

        Args:
            step: steps done.
            write: writes weights and state into a directory.

        Raises:
            IncompleteError: it could not be written; older checkpoints are as they were.
        """
        self.require_space(step)
        partial = self.root / f".step-{step}.partial"
        try:
            with told_in_one_line(lambda why: self._no_space(step, why)):
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
                write(partial)
                write_card(partial, self.card(step))
                sync(partial)
                shutil.rmtree(self.path(step), ignore_errors=True)
                os.replace(partial, self.path(step))
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self.settled = False

    def settle(self, best: int | None) -> None:
        """Drop what is not needed beside the newest checkpoint, now that a loss has shown its weights to be good.

        Args:
            best: step that is kept however old it is.
        """
        steps = self.steps()
        if self.settled or not steps:
            return
        kept = set(steps) if self.keep is None else {*steps[-self.keep :], best}
        for step in steps:
            if step not in kept:
                shutil.rmtree(self.path(step), ignore_errors=True)
            elif step != steps[-1]:
                for name in STATE_FILES:
                    (self.path(step) / name).unlink(missing_ok=True)
        self.settled = True

    def discard(self, step: int) -> None:
        """Drop the checkpoint of a step, if there is one, whose weights have turned out to be broken."""
        shutil.rmtree(self.path(step), ignore_errors=True)

    def finish(self, best: int | None) -> None:
        """Drop what only resuming needs, and what was left of a killed process."""
        self.settle(best)
        for path in self.root.glob(".step-*.partial") if self.root.is_dir() else []:
            shutil.rmtree(path, ignore_errors=True)
        for step in self.steps():
            for name in STATE_FILES:
                (self.path(step) / name).unlink(missing_ok=True)


@contextmanager
def told_in_one_line(error: Callable[[str], IncompleteError]) -> Iterator[None]:
    """Turn what torch, safetensors and the system raise where a file cannot be written into an error of ours.

    Args:
        error: makes it from the reason.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as failed:
        # torch and safetensors have errors of their own for a disk that is full.
        reason = str(failed).strip().splitlines()[0] if str(failed).strip() else type(failed).__name__
        raise error(reason) from failed


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count //= 1000
    return f"{count:,} GB"
