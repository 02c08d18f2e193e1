"""`include:` of a task: other YAML read as data and merged, key by key, below the including file.

An included file may stand beside the card or inside a wheel (`pypi:PACKAGE==VERSION#FILE`), so that a
published prompt is read from its own source instead of being copied. Merging is shallow: a key of the
including file replaces the included one whole, and a key set to null there removes it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halueval.cardfile import key_line, read_yaml
from halueval.config import SourceSpec
from halueval.errors import ConfigError
from halueval.source import Hub, Local, Progress, PyPI, fetch_first, parse

MAX_DEPTH = 8
"""Files on the longest chain of includes; beyond it the chain is taken for a mistake."""

_NAMING = ("task", "tag", "group")


@dataclass(slots=True)
class Merged:
    """A mapping with its includes resolved. `origins` names the file of each key that was included."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file stands: its path on the disk, and the source in a wheel that it was unpacked from."""

    path: Path
    wheel: SourceSpec | None = None

    @property
    def identity(self) -> str:
        return self.wheel.source if self.wheel else str(self.path.resolve())


def read_task(path: Path, *, progress: Progress | None = None) -> Merged:
    """Read a task's YAML with everything that it includes.

    Raises:
        ConfigError: a file that cannot be read, a malformed `include:`, a cycle, or a chain too long.
        SourceError: an included file that could not be had, or whose wheel has a wrong digest.
    """
    return _read(_Place(path), (), progress)


def _read(place: _Place, chain: tuple[str, ...], progress: Progress | None) -> Merged:
    own = read_yaml(place.path, lenient=bool(chain))
    entries = own.pop("include", None)
    merged = Merged()
    here = (*chain, place.identity)
    for entry in entries if isinstance(entries, list) else [entries]:
        if entry is None:
            continue
        where = f"{place.path}: {key_line(place.path, 'include')}include"
        target = _locate(_entry(entry, where), place, where, progress)
        if target.identity in here:
            raise ConfigError(f"{where}: {target.path.name} includes itself: " + " → ".join((*here, target.identity)))
        if len(here) >= MAX_DEPTH:
            raise ConfigError(f"{where}: more than {MAX_DEPTH} files include one another; shorten the chain")
        included = _read(target, here, progress)
        foreign = target.wheel is not None and place.wheel is None and "task" in own
        _lay_over(merged, included.values, included.origins, target.path, drop=_NAMING if foreign else ())
    values = own if not chain else _anchored(own, place)
    for key, value in values.items():
        merged.origins.pop(key, None)
        if value is None and key in merged.values:
            del merged.values[key]
        else:
            merged.values[key] = value
    return merged


def _lay_over(
    merged: Merged, values: Mapping[str, Any], origins: Mapping[str, Path], path: Path, drop: tuple[str, ...]
) -> None:
    """Add included keys. `drop`: a wheel's task name and tags list that wheel's tasks, not ours."""
    for key, value in values.items():
        if key not in drop:
            merged.values[key] = value
            merged.origins[key] = origins.get(key, path)


def _entry(entry: Any, where: str) -> SourceSpec:
    if isinstance(entry, str):
        return SourceSpec(source=entry)
    if isinstance(entry, dict) and isinstance(entry.get("source"), str) and set(entry) <= {"source", "sha256"}:
        digest = entry.get("sha256")
        # The pattern is checked here so that the line names the file, not a class of ours.
        if digest is None or (isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
            return SourceSpec(source=entry["source"], sha256=digest)
    raise ConfigError(f"{where}: write a path, pypi:PACKAGE==VERSION#FILE, or {{source: …, sha256: 64 hex digits}}")


def _locate(spec: SourceSpec, place: _Place, where: str, progress: Progress | None) -> _Place:
    """The included file on the disk, fetched when it stands in a wheel."""
    try:
        origin = parse(spec.source)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if isinstance(origin, Hub) or (isinstance(origin, PyPI) and origin.member.endswith("/")):
        raise ConfigError(
            f"{where}: {spec.source!r} is no single YAML file; write a path or pypi:PACKAGE==VERSION#FILE"
        )
    if isinstance(origin, Local) and place.wheel is not None:
        spec = _beside(place.wheel, origin.path, where)
    found = fetch_first([spec], what=place.path.stem, base=place.path.parent, progress=progress)
    return _Place(found.path, spec if spec.source.startswith("pypi:") else None)


def _beside(wheel: SourceSpec, relative: str, where: str) -> SourceSpec:
    """A relative include inside a wheel is another file of the same wheel."""
    head, _, member = wheel.source.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(member), relative))
    if target.startswith(("..", "/")):
        raise ConfigError(f"{where}: {relative!r} leaves the wheel")
    return SourceSpec(source=f"{head}#{target}", sha256=wheel.sha256)


def _anchored(values: dict[str, Any], place: _Place) -> dict[str, Any]:
    """The mapping with relative paths of its sources starting from its own file, not the including one."""
    out = dict(values)
    for key in ("source", "fewshot_source"):
        given = out.get(key)
        if given is None:
            continue
        entries = given if isinstance(given, list) else [given]
        out[key] = [_anchor(entry, place) for entry in entries]
    return out


def _anchor(entry: Any, place: _Place) -> Any:
    text = entry.get("source") if isinstance(entry, dict) else entry
    if not isinstance(text, str):
        return entry  # not a source; the schema says so
    origin = parse(text)
    if not isinstance(origin, Local) or Path(origin.path).expanduser().is_absolute():
        return entry
    if place.wheel is not None:
        beside = _beside(place.wheel, origin.path, str(place.path))
        full: dict[str, Any] = {"source": beside.source, "sha256": beside.sha256}
    else:
        beside_card = place.path.parent / origin.path
        # Not beside the included file: it may be meant from the working directory, so it stays as written.
        full = {"source": str(beside_card.absolute()) if beside_card.exists() else text}
    return {**entry, **full} if isinstance(entry, dict) else full
