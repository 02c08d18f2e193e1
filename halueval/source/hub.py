"""Models from the Hugging Face hub: safetensors, tokenizer and JSON files only, never pickle or code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from halueval.errors import SourceError
from halueval.source.cache import offline_reason
from halueval.source.parse import Hub
from halueval.source.problems import UnreachableError
from halueval.source.watch import Progress, watched

Result = TypeVar("Result")

ALLOWED = [
    "*.safetensors",
    "*.json",
    "*.jinja",
    "tokenizer*",
    "*.model",
    "vocab.txt",
    "merges.txt",
]
"""Weights, configurations, chat templates and tokenizers (SentencePiece is `*.model`)."""

IGNORED = [
    *("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt", "*.msgpack", "*.h5", "*.py"),
    # The same weights once more in another layout: downloading them doubles the size for nothing.
    *("consolidated*", "original/*", "onnx/*", "openvino/*", "coreml/*"),
]

_REFUSED = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".msgpack", ".h5", ".py"}


def obtain(source: Hub, revision: str | None, *, progress: Progress | None, what: str) -> tuple[Path, str | None, bool]:
    """Return the path on the disk, the commit, and whether all of it was in the cache before.

    Raises:
        UnreachableError: not in the hub's cache, and offline or no network.
        SourceError: not found, gated, no safetensors, or a file that is never fetched; one line.
    """
    if source.file and Path(source.file).suffix.lower() in _REFUSED:
        raise SourceError(f"{source.file} is pickle or code, which is never fetched; name a safetensors or GGUF file")
    blocked = offline_reason()
    known = _cached(source, revision)
    if blocked:
        if known is None:
            raise UnreachableError(f"{blocked} is set and {source.repo_id} is not in the hub's cache")
        return known, _commit(known), True
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE) / f"models--{source.repo_id.replace('/', '--')}"
    with watched(repository, what, progress), _quiet_bars():
        path = _attempt(source, lambda: _fetch(source, revision, local_only=False))
    if not source.file:
        path = _require_weights(path, source, revision)
    return path, _commit(path), path == known


def _fetch(source: Hub, revision: str | None, *, local_only: bool) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download

    if source.file:
        found = hf_hub_download(source.repo_id, source.file, revision=revision, local_files_only=local_only)
    else:
        found = snapshot_download(
            source.repo_id,
            revision=revision,
            allow_patterns=ALLOWED,
            ignore_patterns=IGNORED,
            local_files_only=local_only,
        )
    return Path(found)


def _cached(source: Hub, revision: str | None) -> Path | None:
    """What the hub's cache has without the network, when the weights in it are whole."""
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        path = _fetch(source, revision, local_only=True)
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise SourceError(f"{source.repo_id}: {_first_line(error)}") from error
    if source.file:
        return path
    weights = _weights(path)
    if not weights:
        ggufs = sorted(path.glob("*.gguf"))
        return ggufs[0] if len(ggufs) == 1 else None
    return path if all(file.exists() for file in weights) else None


def _weights(snapshot: Path) -> list[Path]:
    """The safetensors files that the snapshot needs, whether they are there or not."""
    for index in sorted(snapshot.glob("*.safetensors.index.json")):
        try:
            shards = json.loads(index.read_bytes())["weight_map"].values()
            return [snapshot / name for name in sorted(set(shards))]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"{index} is damaged; delete it and pull again") from error
    return sorted(snapshot.glob("*.safetensors"))


def _require_weights(snapshot: Path, source: Hub, revision: str | None) -> Path:
    """The snapshot if it has safetensors; its one GGUF file if it has that; an error otherwise."""
    weights = _weights(snapshot)
    missing = [file.name for file in weights if not file.exists()]
    if missing:
        raise SourceError(f"{source.repo_id} is incomplete in the hub's cache: {missing[0]} is missing")
    if weights:
        return snapshot
    from huggingface_hub import HfApi

    names = _attempt(source, lambda: HfApi().list_repo_files(source.repo_id, revision=revision))
    ggufs = sorted(name for name in names if name.lower().endswith(".gguf"))
    if len(ggufs) == 1:
        only = Hub(source.repo_id, ggufs[0])
        return _attempt(source, lambda: _fetch(only, revision, local_only=False))
    if ggufs:
        raise SourceError(f"{source.repo_id} holds {len(ggufs)} GGUF files; name one: hub:{source.repo_id}#{ggufs[0]}")
    raise SourceError(
        f"{source.repo_id} holds no safetensors at this revision, and pickle weights are refused "
        "(they can run code); name a revision with safetensors, often refs/pr/N, or convert them"
    )


def _commit(path: Path) -> str | None:
    """The commit, which is the directory below `snapshots` in the hub's cache."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts[:-1] else None


@contextmanager
def _quiet_bars() -> Iterator[None]:
    """The hub's own progress bars off: they would print over ours, and over plain lines in a log."""
    from huggingface_hub import utils

    # mypy: the package re-exports these lazily, which hides them from the type checker.
    before: bool = utils.are_progress_bars_disabled()  # type: ignore[attr-defined]
    if before:
        yield
        return
    utils.disable_progress_bars()  # type: ignore[attr-defined]  # see above
    try:
        yield
    finally:
        utils.enable_progress_bars()  # type: ignore[attr-defined]  # see above


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _attempt(source: Hub, action: Callable[[], Result]) -> Result:
    """Run `action`, turning the hub client's many errors into one line each."""
    from huggingface_hub import errors

    # The client moved from one HTTP library to another; the base of its own error is right for both.
    http_error: type[Exception] = errors.HfHubHTTPError.__mro__[1]
    try:
        return action()
    except errors.GatedRepoError as error:
        raise SourceError(
            f"{source.repo_id} is gated: accept its terms on its page, then `hf auth login` or set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(
            f"{source.repo_id} is not on the hub, or is private: check the name, or `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(f"{source.repo_id} has no such revision: {_first_line(error)}") from error
    except errors.RemoteEntryNotFoundError as error:
        raise SourceError(f"{source.repo_id} has no file {source.file!r}") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise UnreachableError(
            f"the hub could not be reached (no network?) and {source.repo_id} is not in its cache"
        ) from error
    except errors.HfHubHTTPError as error:
        raise SourceError(f"{source.repo_id}: the hub answered: {_first_line(error)}") from error
    except http_error as error:
        raise UnreachableError(f"{source.repo_id}: the hub could not be reached: {_first_line(error)}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{source.repo_id}: {_first_line(error)}") from error
