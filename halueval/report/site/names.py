"""File names for what users and strangers name: models, tasks, pairs.

A name never becomes a path as it is. A harmless one is its own slug; any other is reduced to lower-case ASCII and
carries a digest of the whole name, so that no two names meet on file systems that fold case, and a name keeps its
address when others come and go.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping

MAX_LENGTH = 60
_SAFE = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{MAX_LENGTH - 1}}}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|index)(\..*)?")


def slug(name: str) -> str:
    """A name for a file, a safe part of any path and of any address; the same for the same name, always."""
    # A directory `x.html` would stand where the page of `x` belongs.
    ends_well = not name.endswith((".", ".html", ".js"))
    if _SAFE.fullmatch(name) and ends_well and ".." not in name and not _RESERVED.fullmatch(name):
        return name
    plain = unicodedata.normalize("NFKD", name[: 4 * MAX_LENGTH]).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"{words or 'x'}-{_digest(name)[:10]}"


def slugs(names: Iterable[str]) -> Mapping[str, str]:
    """A slug for each name, no two alike.

    A harmless name that looks like another's slug (someone called a model `a-b-` and the digest of `a/b`) keeps it;
    the other's digest is then written out longer.
    """
    given = sorted(set(names), key=lambda name: (slug(name) != name, name))
    out: dict[str, str] = {}
    taken: set[str] = set()
    for name in given:
        mine, length = slug(name), 10
        while mine in taken:
            length += 10
            mine = f"{slug(name).rsplit('-', 1)[0]}-{_digest(name)[:length]}"
        taken.add(mine)
        out[name] = mine
    return out


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
