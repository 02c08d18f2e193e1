"""The journal of verdicts: what a consistency scorer said of a run's responses, kept as it comes.

A judge or an NLI model may take longer than the model took to answer, and an endpoint is paid for. A line is written
for each group of pairs, so a run that was killed, or whose endpoint went away, goes on where it stopped.

Numbers of a model change in their last bits with the batch that they are computed in. So verdicts of a local model are
kept for the very list of pairs, in the groups in which the scorer itself works, and a group that is not known whole is
scored whole: a run that goes on equals one that was never interrupted. Verdicts of an endpoint, which sees one pair at
a time, are kept by the pair.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.consistency.keeping import decode_verdict, encode_verdict, pair_key, passes
from halueval.errors import IncompleteError
from halueval.journal import writing_to
from halueval.schema import canonical_json, sha256_text

VERSION = 1


class KeptVerdicts:
    """Verdicts of one scorer on the pairs of a run.

    Scorers by rule take no time worth it, and nothing is kept of them. Nothing is kept either of a failure that may be
    gone the next time (`halueval.consistency.keeping.passes`). Lines that cannot be read are as if they were not there.

    Args:
        scorer: whose verdicts they are.
        pairs: in order.
        directory: made when the first group is kept; None keeps nothing.
        fresh: forget what is there.

    Attributes:
        done: number of pairs that need not be scored again.

    Raises:
        ModelError, SourceError, UsageError: see `ConsistencyScorer.identity`.
        UsageError: with `fresh`, the file cannot be removed.
    """

    def __init__(
        self, scorer: ConsistencyScorer, pairs: Sequence[Pair], directory: Path | None, *, fresh: bool = False
    ) -> None:
        self._scorer, self._pairs = scorer, pairs
        self._known: dict[str, Verdict] = {}
        self._path: Path | None = None
        if directory is not None and scorer.cost != "rules" and not scorer.unusable():
            digests = [pair_key(pair) for pair in pairs]
            paid = scorer.cost == "endpoint"
            self._keys = digests if paid else [str(i) for i in range(len(pairs))]
            content = canonical_json([VERSION, scorer.identity(), [] if paid else digests])
            self._path = directory / f"{sha256_text(content)[:24]}.jsonl"
            if fresh:
                with writing_to(self._path):
                    self._path.unlink(missing_ok=True)
            self._known = _read(self._path)
        self.done = len(pairs) - sum(map(len, self._groups())) if self._path else 0

    def score(self, advance: Advance) -> list[Verdict]:
        """A verdict for each pair, in order; what is not known is scored and kept, group by group.

        Args:
            advance: is told how many more pairs are scored, `done` of them aside.

        Raises:
            ModelError: the scorer's model cannot be had or loaded; what was kept stays.
            IncompleteError: the disk is full; what was kept stays.
        """
        if self._path is None:
            return self._scorer.score(self._pairs, advance)
        for group in list(self._groups()):
            verdicts = self._scorer.score([self._pairs[i] for i in group], advance)
            made = {self._keys[i]: verdict for i, verdict in zip(group, verdicts, strict=True)}
            self._known |= made
            _append(self._path, {key: encode_verdict(v) for key, v in made.items() if not passes(v)})
        return [self._known[key] for key in self._keys]

    def _groups(self) -> Iterator[list[int]]:
        """Numbers of the pairs that must be scored, in groups that are scored together."""
        # What the scorer refuses does not enter its groups.
        refused = [i for i, pair in enumerate(self._pairs) if self._scorer.refused(pair)]
        asked = sorted(set(range(len(self._pairs))) - set(refused))
        size = self._scorer.group or max(len(asked), 1)
        if self._scorer.cost == "endpoint":
            first = {self._keys[i]: i for i in reversed(asked) if self._keys[i] not in self._known}
            asked = sorted(first.values())
        for group in (refused, *(asked[start : start + size] for start in range(0, len(asked), size))):
            if any(self._keys[i] not in self._known for i in group):
                yield group


def _read(path: Path) -> dict[str, Verdict]:
    known: dict[str, Verdict] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return known
    for line in lines:
        try:
            known |= {key: decode_verdict(value) for key, value in json.loads(line).items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # cut short by a kill
    return known


def _append(path: Path, made: Mapping[str, Any]) -> None:
    """One line, on disk before this returns; it begins with a line's end, since a kill may have cut the last one."""
    if not made:
        return
    line = b"\n" + json.dumps(made, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    with writing_to(path, error_type=IncompleteError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())
