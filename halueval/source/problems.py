"""Two kinds of failure of a source that the caller treats differently from the rest."""

from __future__ import annotations

from halueval.errors import SourceError


class DigestError(SourceError):
    """The content is not what the card says. No other source is tried in its place."""


class UnreachableError(SourceError):
    """The source may well exist, but it could not be asked (offline, or no network)."""
