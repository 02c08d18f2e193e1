"""Data sets through the `datasets` library: from the hub, its cache, or files beside the card.

Remote code is never run. Without a network the hub client would repeat every request for half a minute and
print each attempt; so one short question is asked first, and when it fails the cache alone is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from halueval.datafile import Row
from halueval.errors import SourceError
from halueval.source import UnreachableError, offline_reason

_BUILDERS = {"json", "csv", "parquet", "text"}
"""Data set names that stand for files given as `dataset_kwargs: {data_files: …}`."""

_PROBE_SECONDS = 10.0


def load_split(
    path: str,
    name: str | None,
    split: str | None,
    *,
    revision: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
    base: Path | None = None,
) -> tuple[list[Row], str | None]:
    """Load one split.

    Args:
        path: hub id, a directory relative to `base`, or a builder (`json`, `csv`, `parquet`, `text`).
        name: configuration of the data set.
        split: as `datasets.load_dataset` takes it.
        revision: branch, tag or commit.
        kwargs: a task's `dataset_kwargs`; relative `data_files` start from `base`.
        base: directory of the task's card.

    Returns:
        The rows, and the commit that they are of (None for files, or when only the cache was at hand).

    Raises:
        UnreachableError: offline or no network, and not in the cache.
        SourceError: not found, gated, without that split or configuration, or in need of remote code.
    """
    if split is None:
        raise SourceError(f"{path}: the task names no split; set test_split")
    options = dict(kwargs or {})
    if options.pop("trust_remote_code", False):
        raise SourceError(f"{path}: dataset_kwargs asks for remote code, which is never run; name files instead")
    local = _local_path(path, base)
    if local or path in _BUILDERS:
        if "data_files" in options:
            options["data_files"] = _anchored(options["data_files"], base or Path())
        return _load(local or path, name, split, None, options), None
    blocked = offline_reason()
    commit = None if blocked else _commit(path, revision)
    if commit is None:
        with _hub_offline():
            return _load(path, name, split, revision, options, blocked or "no network"), None
    return _load(path, name, split, commit, options), commit


def _local_path(path: str, base: Path | None) -> str | None:
    for candidate in ([base / path] if base else []) + [Path(path)]:
        if candidate.is_dir():
            return str(candidate)
    return None


def _anchored(files: Any, base: Path) -> Any:
    """Relative names in `data_files` start from the card."""
    if isinstance(files, str):
        return files if "://" in files else str(base / files)
    if isinstance(files, list):
        return [_anchored(item, base) for item in files]
    return {key: _anchored(item, base) for key, item in files.items()} if isinstance(files, dict) else files


def _commit(path: str, revision: str | None) -> str | None:
    """The commit that `revision` is now; None when the hub cannot be reached."""
    from huggingface_hub import HfApi, errors

    # The client moved from one HTTP library to another; the base of its own error is right for both.
    http_error: type[Exception] = errors.HfHubHTTPError.__mro__[1]
    try:
        return HfApi().dataset_info(path, revision=revision, timeout=_PROBE_SECONDS).sha
    except errors.GatedRepoError as error:
        raise SourceError(
            f"data set {path} is gated: accept its terms on its page, then `hf auth login` or set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(f"data set {path} is not on the hub, or is private: check the name") from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(f"data set {path} has no revision {revision!r}") from error
    except (http_error, OSError):
        return None
    except ValueError as error:
        raise SourceError(f"data set {path}: {_first_line(error)}") from error


@contextmanager
def _hub_offline() -> Iterator[None]:
    """Both libraries held to their caches. They read the environment once, at import, which is past."""
    import datasets.config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


@contextmanager
def _quiet_bars() -> Iterator[None]:
    """The library's own progress bars off: they would print over ours, and over plain lines in a log."""
    import datasets

    before = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            datasets.enable_progress_bars()


def _load(
    path: str,
    name: str | None,
    split: str,
    revision: str | None,
    options: Mapping[str, Any],
    blocked: str | None = None,
) -> list[Row]:
    import datasets

    try:
        with _quiet_bars():
            loaded = datasets.load_dataset(path, name, split=split, revision=revision, **options)
            rows: list[Row] = loaded.to_list()
    except (OSError, ValueError, RuntimeError, TypeError, datasets.exceptions.DatasetsError) as error:
        if blocked and isinstance(error, (ConnectionError, FileNotFoundError, ValueError)):
            raise UnreachableError(f"data set {path} is not in the cache ({blocked})") from error
        raise SourceError(f"data set {path}: {_first_line(error)}") from error
    return rows


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
