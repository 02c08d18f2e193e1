"""Progress in pairs, from progress in what is asked about them."""

from __future__ import annotations

from halueval.consistency.base import Advance


class Shares:
    """Turns progress in requests into progress in pairs.

    Args:
        advance: is told of pairs.
        requests: number of them in all.
        pairs: that they are about.
    """

    def __init__(self, advance: Advance, requests: int, pairs: int) -> None:
        self._advance, self._requests, self._pairs = advance, requests, pairs
        self._done = self._told = 0

    def __call__(self, requests: int) -> None:
        """So many more requests are done."""
        self._done = min(self._done + requests, self._requests)
        self._tell(self._pairs * self._done // max(self._requests, 1))

    def rest(self) -> None:
        """All is done."""
        self._tell(self._pairs)

    def _tell(self, pairs: int) -> None:
        if pairs > self._told:
            self._advance(pairs - self._told)
            self._told = pairs
