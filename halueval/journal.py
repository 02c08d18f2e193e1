"""The journal of responses: one line a batch, written before the next batch begins.

A line is whole or it is not there, so a run killed at any moment loses at most the batch that was under
way. The first line holds the budget by which batches were formed: a run that goes on forms the very same
batches, so its numbers equal those of a run that was never interrupted, to the last bit.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import filelock

from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget
from halueval.errors import HaluevalError, IncompleteError, UsageError
from halueval.schema import (
    ClassificationResponse,
    FailedResponse,
    GenerationResponse,
    LoglikelihoodResponse,
    Request,
    Response,
    canonical_json,
    sha256_text,
)

JOURNAL_VERSION = 2

RESPONSE_TYPES: Mapping[str, type[Any]] = {
    "loglikelihood": LoglikelihoodResponse,
    "generation": GenerationResponse,
    "classification": ClassificationResponse,
    "failed": FailedResponse,
}
TYPE_NAMES = {cls: name for name, cls in RESPONSE_TYPES.items()}


def request_key(request: Request) -> str:
    """Short digest of a request's content; equal requests are run once.

    `entropies` counts only where it is asked for, so that requests without it keep the keys that they had before.
    """
    content = asdict(request)
    if not content.get("entropies"):
        content.pop("entropies", None)
    return sha256_text(canonical_json([type(request).__name__, content]))[:24]


def encode_response(response: Response) -> dict[str, Any]:
    """A response as a JSON object that names its type; what it does not say is left out.

    So are the log-probabilities of single tokens: thousands of numbers that no figure of a run reads.
    """
    said = {name: value for name, value in asdict(response).items() if value is not None and name != "token_logprobs"}
    return {"type": TYPE_NAMES[type(response)], **said}


def decode_response(value: Mapping[str, Any]) -> Response:
    """The response of a journal's object."""
    fields = dict(value)
    response: Response = RESPONSE_TYPES[fields.pop("type")](**fields)
    return response


class Journal:
    """Responses of one model to the requests of one task; open it as a context manager.

    Only one process may hold a journal; a second one is told so.

    Attributes:
        responses: by request key, what has been answered so far.
        accounting: counters of all batches so far, those of earlier attempts included.
        seconds: time spent inferring so far, earlier attempts included.
        budget: budget by which batches are formed; None until `begin`.
        backend: what the backend said of itself (device, parameters, warnings), for a later scoring
            that does not load it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.responses: dict[str, Response] = {}
        self.accounting = Accounting()
        self.seconds = 0.0
        self.budget: Budget | None = None
        self.backend: dict[str, Any] = {}
        self._lock = filelock.FileLock(f"{path}.lock", timeout=0)
        self._file: IO[bytes] | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Journal:
        with writing_to(self.path):
            self._made = [parent for parent in self.path.parents if not parent.exists()]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except filelock.Timeout as error:
                raise UsageError(
                    f"{self.path.parent}: another process is at this very run; wait for it, or use another --output"
                ) from error
            try:
                self._read()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.release()
        Path(f"{self.path}.lock").unlink(missing_ok=True)
        if not self.path.exists():
            self._tidy()

    def _tidy(self) -> None:
        """Take away the directories that were made for a journal in which nothing was ever written."""
        for parent in self._made:
            try:
                parent.rmdir()
            except OSError:
                return  # something else has been put there

    def _read(self) -> None:
        """Take in whole lines; cut off what a killed process left half-written."""
        if not self.path.is_file():
            return
        good = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                entry = _parse(line)
                if entry is None or (number == 0) != ("budget" in entry):
                    break
                if number == 0:
                    if entry.get("journal_version") != JOURNAL_VERSION:
                        break
                    self.budget = Budget(**entry["budget"])
                    self.backend = entry["backend"]
                else:
                    self._take(entry)
                good += len(line)
        if good < self.path.stat().st_size:
            os.truncate(self.path, good)

    def _take(self, entry: Mapping[str, Any]) -> None:
        for key, value in entry["responses"].items():
            self.responses[key] = decode_response(value)
        self.accounting.add(Accounting(**entry["accounting"]))
        self.seconds += entry["seconds"]

    def clear(self) -> None:
        """Forget everything (`--fresh`)."""
        with writing_to(self.path):
            self.path.unlink(missing_ok=True)
        self.responses, self.accounting, self.seconds, self.budget = {}, Accounting(), 0.0, None
        self.backend = {}

    def begin(self, budget: Budget, backend: dict[str, Any]) -> Budget:
        """Note budget and backend in a fresh journal; a journal that has them keeps them."""
        if self.budget is None:
            self.budget, self.backend = budget, backend
            self._write({"journal_version": JOURNAL_VERSION, "budget": asdict(budget), "backend": backend})
        return self.budget

    def add(self, responses: Mapping[str, Response], accounting: Accounting, seconds: float) -> None:
        """Append one batch and see it on disk before returning.

        Raises:
            IncompleteError: the disk is full or the file cannot be written; what stood before stays.
        """
        entry = {
            "responses": {key: encode_response(response) for key, response in responses.items()},
            "accounting": accounting.as_dict(),
            "seconds": seconds,
        }
        self._write(entry)
        self.responses.update(responses)
        self.accounting.add(accounting)
        self.seconds += seconds

    def _write(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
        with writing_to(self.path, error_type=IncompleteError):
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            self._file.write(line)
            os.fsync(self._file.fileno())


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


@contextmanager
def writing_to(path: Path, *, error_type: type[HaluevalError] = UsageError) -> Iterator[None]:
    """Turn an operating-system error of writing into one clear line naming the path.

    A full disk is no bad input, but a reason to make room and go on: it is an IncompleteError always.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise IncompleteError(f"{path}: cannot be written: {error.strerror}; make room, and repeat") from error
        raise error_type(f"{path}: cannot be written: {error.strerror or error}") from error
