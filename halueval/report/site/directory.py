"""The directory of a site: written whole or not at all, and nothing in it that is not the site's is ever touched."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from halueval.errors import UsageError
from halueval.journal import writing_to

MANIFEST = "halueval-site.json"
"""Lists the files of the site, so that the next one knows which to replace."""


@contextmanager
def staged(directory: Path) -> Iterator[Path]:
    """A directory to write a site into, which takes the place of the former one when all is written.

    Args:
        directory: of the site; new, empty, or holding a site. Other files beside the site's stay.

    Raises:
        UsageError: the directory holds something else, or cannot be written.
    """
    former = _former(directory)
    with writing_to(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        yield staging
        with writing_to(directory):
            made = sorted(path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file())
            text = json.dumps({"schema_version": 1, "files": made}, indent=1, ensure_ascii=False)
            (staging / MANIFEST).write_text(text + "\n", encoding="utf-8")
            _move(staging, directory, former, [*made, MANIFEST])
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _former(directory: Path) -> list[str]:
    """Files of the site that the directory holds.

    Raises:
        UsageError: it holds something else.
    """
    if not directory.exists():
        return []
    if not directory.is_dir():
        raise UsageError(f"{directory}: is a file; a site needs a directory")
    try:
        files = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["files"]
        return [str(name) for name in files]
    except FileNotFoundError:
        if any(directory.iterdir()):
            raise UsageError(
                f"{directory}: holds files that are no halueval site (no {MANIFEST}); give a new or empty directory"
            ) from None
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{directory / MANIFEST}: cannot be read: {error}; remove the directory first") from error


def _move(staging: Path, directory: Path, former: list[str], made: list[str]) -> None:
    directory.mkdir(exist_ok=True)
    root = directory.resolve()
    emptied: set[Path] = set()
    for name in set(former) - set(made):
        # The manifest may have been written by anyone: only files below the site's own directory are removed.
        path = directory / name
        if ".." not in PurePosixPath(name).parts and path.parent.resolve().is_relative_to(root):
            path.unlink(missing_ok=True)
            emptied |= {parent for parent in path.parents if parent.is_relative_to(directory)} - {directory}
    for name in made:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / name, target)
    for parent in sorted(emptied, reverse=True):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
