"""The cache directory, atomic writes into it, and digests of files that are computed once."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from pathlib import Path

from halueval.errors import SourceError

_CHUNK = 1 << 20

_SETTLED_NS = 2_000_000_000
"""A file changed less than this long ago can change again without its time stamp moving (file systems
count in steps of up to 2 s), so its digest is not remembered yet."""

_TRUE = {"1", "on", "yes", "true"}


def cache_dir() -> Path:
    """`HALUEVAL_CACHE`, or `halueval` in the user's cache directory. It need not exist yet."""
    chosen = os.environ.get("HALUEVAL_CACHE")
    if chosen:
        return Path(chosen).expanduser().resolve()
    import platformdirs

    return Path(platformdirs.user_cache_dir("halueval"))


def offline_reason() -> str | None:
    """The variable that forbids the network, as `"NAME=VALUE"`, or None."""
    for name in ("HALUEVAL_OFFLINE", "HF_HUB_OFFLINE"):
        value = os.environ.get(name, "")
        if value.strip().lower() in _TRUE:
            return f"{name}={value}"
    return None


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name beside `path`, then move it there.

    Raises:
        OSError: the directory cannot be written or the disk is full; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, object]:
    """The mapping in `path`; empty where the file is missing, broken or something else."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _fingerprint(path: Path) -> dict[str, object]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino}


def hash_file(path: Path) -> str:
    """Hex SHA-256 of the file's bytes, always read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, remembered by its path, size, modification time and inode.

    The memory is one small JSON file for each path in the cache directory. A broken or missing one costs
    a second reading, nothing else; so does a cache directory that cannot be written.

    Raises:
        SourceError: the file cannot be read.
    """
    real = path.resolve()
    record = cache_dir() / "digests" / f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:32]}.json"
    try:
        before = _fingerprint(real)
        known = read_json(record)
        remembered = known.pop("sha256", None)
        if isinstance(remembered, str) and known == before:
            return remembered
        digest = hash_file(real)
        after = _fingerprint(real)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    settled = time.time_ns() - int(str(after["mtime_ns"])) > _SETTLED_NS
    if settled and before == after:
        try:
            write_atomic(record, json.dumps({**after, "sha256": digest}).encode())
        except OSError:
            # Only speed is lost: a read-only or full cache must not stop a run that has its files.
            return digest
    return digest
