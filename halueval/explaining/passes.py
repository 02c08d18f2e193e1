"""The measures that need a model to run: the base's likelihood of texts, forgetting, and KL on general text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halueval.backends.base import Backend
from halueval.backends.devices import resolve_device
from halueval.backends.loading import LocatedModel
from halueval.datafile import read_rows
from halueval.dataset import load_data
from halueval.errors import DataError
from halueval.explaining.behaviour import KL_LABEL, MAX_TOKENS, kl_on_texts
from halueval.explaining.likelihood import ask, bits_table, forgetting_of
from halueval.explaining.record import Measure, missing
from halueval.job import Observer
from halueval.prompt import build_samples
from halueval.registry import Registry
from halueval.schema import Request, Response, RollingRequest

if TYPE_CHECKING:
    from halueval.backends.huggingface import HuggingFaceBackend

NEUTRAL_TASK = "xsum_documents"
NEUTRAL_CHARACTERS = 1000
"""Of each general text; more texts say more than longer ones."""


def neutral_texts(path: Path | None, count: int, registry: Registry) -> tuple[list[str], str]:
    """General text and where it comes from.

    Args:
        path: rows with `text` or `document`; None for the documents of `xsum_documents`.
        count: of the first texts.
        registry: where the task is looked up.

    Raises:
        DataError: a file that cannot be read, or a row without text.
        SourceError: the documents cannot be had.
    """
    if path is not None:
        texts = [_neutral(row, f"{path}: row {number}") for number, row in enumerate(read_rows(path)[:count], 1)]
        return [cut(text) for text in texts], f"{path}, {len(texts)} texts"
    task = registry.task(NEUTRAL_TASK)
    data = load_data(task, base=task.directory or Path())
    samples = build_samples(task, data, num_fewshot=0, seed=0, limit=count)
    return [cut(sample.target) for sample in samples], f"{NEUTRAL_TASK}, first {len(samples)} documents"


def _neutral(row: Mapping[str, Any], where: str) -> str:
    for column in ("text", "document"):
        value = row.get(column)
        if isinstance(value, str) and value.strip():
            return value
    raise DataError(f"{where}: needs a column text; the row has {', '.join(sorted(row)) or 'none'}")


def cut(text: str) -> str:
    """The first `NEUTRAL_CHARACTERS` of a text, to the last white space where there is one."""
    if len(text) <= NEUTRAL_CHARACTERS:
        return text
    short = text[:NEUTRAL_CHARACTERS]
    return short.rsplit(None, 1)[0] if any(c.isspace() for c in short.strip()) else short


def open_backend(located: LocatedModel, *, device: str, dtype: str) -> HuggingFaceBackend:
    """Load a model to be run.

    Raises:
        ModelError: it cannot be loaded.
        UsageError: no such device.
    """
    from halueval.backends.huggingface import HuggingFaceBackend

    return HuggingFaceBackend(located, device=resolve_device(device), dtype=dtype)


def answer_all(
    backend: Backend, requests: Sequence[Request], title: str, observer: Observer
) -> dict[Request, Response]:
    """Responses by request."""
    distinct = list(dict.fromkeys(requests))
    observer.begin(title, len(distinct), 0)
    try:
        return dict(zip(distinct, ask(backend, distinct, observer.advance), strict=True))
    finally:
        observer.end()


def behaviour(
    base: HuggingFaceBackend, candidate: HuggingFaceBackend, texts: Sequence[str], observer: Observer
) -> dict[str, Measure]:
    """Forgetting and KL on general text.

    Args:
        base: causal.
        candidate: causal.
        texts: general text.
        observer: is told of the progress.
    """
    requests: list[Request] = [RollingRequest(text) for text in texts]
    tables = []
    for backend, title in ((base, "base · general text"), (candidate, "candidate · general text")):
        answers = answer_all(backend, requests, title, observer)
        tables.append(bits_table(texts, [answers[request] for request in requests]))
    return {**forgetting_of(*tables), "kl": _kl(base, candidate, texts, observer)}


def _kl(base: HuggingFaceBackend, candidate: HuggingFaceBackend, texts: Sequence[str], observer: Observer) -> Measure:
    most = min(MAX_TOKENS, base.window, candidate.window)
    rows = [_rows(backend, texts, most) for backend in (base, candidate)]
    if rows[0] != rows[1]:
        return missing(KL_LABEL, "the tokenizers differ: the models predict different tokens", "nats/token")
    observer.begin("base and candidate · KL", len(texts), 0)
    try:
        return kl_on_texts(base.model, candidate.model, rows[0], observer.advance)
    finally:
        observer.end()


def _rows(backend: HuggingFaceBackend, texts: Sequence[str], most: int) -> list[list[int]]:
    before = backend.texts.prefix or [backend.texts.bare_prefix]
    return [[*before, *backend.texts.encode(text)][:most] for text in texts]


class Bar:
    """Turns "so many of so many done" into an observer's steps."""

    def __init__(self, observer: Observer) -> None:
        self.observer, self.done, self.begun = observer, 0, False

    def __call__(self, done: int, total: int) -> None:
        """So many of so many are done."""
        if not self.begun:
            self.observer.begin("weights", total, 0)
            self.begun = True
        if done > self.done:
            self.observer.advance(done - self.done)
            self.done = done

    def end(self) -> None:
        """All tensors are done."""
        if self.begun:
            self.observer.end()
