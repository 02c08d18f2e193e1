"""The output directory of a fine-tuning: whose it is, whether it is done, and that nobody else works in it."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from halueval.errors import DataError, UsageError
from halueval.finetune.record import CHECKPOINTS, RECORD_FILE, TRAIN_FILE, FinetuneRecord, load_record
from halueval.finetune.weights import trained_sha256
from halueval.journal import writing_to
from halueval.store import write_atomically

IDENTITY_FILE = "identity.json"
LOCK_FILE = ".lock"


class Workspace:
    """An output directory, taken for one fine-tuning.

    Args:
        output: the directory; made where it is not there.
        identity: what makes a fine-tuning the same as one that was begun there.
        fresh: start over instead of going on.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any], *, fresh: bool) -> None:
        self.output, self.identity, self.fresh = output, dict(identity), fresh
        self.claimed = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[FinetuneRecord | None]:
        """Take the directory; yields the record where everything is done already.

        Raises:
            UsageError: it cannot be written, holds something else, or another process works in it.
        """
        import filelock

        made = not self.output.exists()
        with writing_to(self.output):
            if self.output.exists() and not self.output.is_dir():
                raise UsageError(f"--output {self.output}: is a file, not a directory")
            self.output.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.output / LOCK_FILE, timeout=0)
            try:
                lock.acquire()
            except filelock.Timeout as error:
                raise UsageError(f"--output {self.output}: another fine-tuning is at work there") from error
        try:
            yield self._claim()
        except BaseException:
            self._give_up(made)
            raise
        finally:
            lock.release()

    def _give_up(self, made: bool) -> None:
        """Leave no trace of a fine-tuning that came to no checkpoint."""
        if not self.claimed or any((self.output / CHECKPOINTS).glob("step-*")):
            return
        if made:
            shutil.rmtree(self.output, ignore_errors=True)
            return
        shutil.rmtree(self.output / CHECKPOINTS, ignore_errors=True)
        for name in (IDENTITY_FILE, TRAIN_FILE, LOCK_FILE):
            (self.output / name).unlink(missing_ok=True)

    def _claim(self) -> FinetuneRecord | None:
        begun = self._begun()
        if begun is not None and self.fresh:
            self._clear()
            begun = None
        if begun is None:
            others = sorted(path.name for path in self.output.iterdir() if path.name != LOCK_FILE)
            if others:
                raise UsageError(
                    f"--output {self.output}: holds {others[0]}, which no fine-tuning left there; choose an empty "
                    "directory"
                )
            self.claimed = True
            text = json.dumps(self.identity, indent=1, sort_keys=True)
            write_atomically(self.output / IDENTITY_FILE, [text.encode(), b"\n"])
            return None
        if begun != self.identity:
            other = ", ".join(_differing(begun, self.identity))
            raise UsageError(
                f"--output {self.output}: holds another fine-tuning (other {other}); choose another directory, or "
                "pass --fresh to replace it"
            )
        return self._finished()

    def _begun(self) -> dict[str, Any] | None:
        path = self.output / IDENTITY_FILE
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: cannot be read: {error}; pass --fresh to start over") from error
        return value if isinstance(value, dict) else {}

    def _finished(self) -> FinetuneRecord | None:
        """The record, if the weights are those that it names."""
        if not (self.output / RECORD_FILE).is_file():
            return None
        record = load_record(self.output)
        if trained_sha256(self.output) != record.weights_sha256:
            raise DataError(f"{self.output}: its weights are not those of {RECORD_FILE}; pass --fresh to train again")
        return record

    def _clear(self) -> None:
        with writing_to(self.output):
            for path in self.output.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK_FILE:
                    path.unlink()


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*before, *now} if before.get(key) != now.get(key)) or ["content"]
