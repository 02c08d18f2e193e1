"""How much has arrived: a thread that measures a directory while something else fills it.

Neither pip nor the hub's client tells its progress in a form that is stable between versions; the size
of what they have written is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Progress = Callable[[str, int, int | None], None]
"""Called as `progress(what, bytes_so_far, total_bytes_or_None)`, a few times a second, from a thread."""

INTERVAL = 0.2
"""Seconds between two measurements."""


def directory_size(directory: Path) -> int:
    """Bytes in the files below `directory`; files that vanish meanwhile count as 0.

    The hub's cache holds links from snapshots to blobs: each file counts once, whichever is asked for.
    """
    seen: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                stat = os.stat(os.path.join(parent, name))
                seen[stat.st_dev, stat.st_ino] = stat.st_size
            except OSError:
                # Temporary files of the download come and go; the next measurement is 0.2 s away.
                continue
    return sum(seen.values())


@contextmanager
def watched(directory: Path, what: str, progress: Progress | None) -> Iterator[None]:
    """Report the growth of `directory` to `progress` while the body runs."""
    if progress is None:
        yield
        return
    report = progress
    start = directory_size(directory)
    done = threading.Event()

    def measure() -> None:
        while not done.wait(INTERVAL):
            report(what, max(0, directory_size(directory) - start), None)

    report(what, 0, None)
    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
