"""Every distinct prefix once: which tokens rows share, and how the rest is cut into forward passes.

Benchmarks repeat themselves: primers, instructions and documents stand before every question and every choice.
Rows sorted by their tokens form a prefix tree without one being built: two neighbours share their common
prefix, a range of rows the smallest of these. The plan walks that tree depth first:

- a subtree whose distinct tokens fit into one pass is packed whole, beside its siblings while they fit;
- a stem above several passes is computed once, by itself, into a key-value cache (a `Root`), and the passes
  below attend to it; a stem too short to be worth a pass of its own is repeated in each of them.

The plan is a pure function of the rows and the limits. A root holds its own tokens only, never those of a pass,
so a run that was killed and goes on computes it again to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halueval.engine.encoding import Row

ROOT_OVERHEAD = 24
"""Tokens that a pass of its own costs in time beside its own tokens: a stem is worth a root if repeating it
in every pass below would cost more. Measured on two CPU cores: a pass of one token takes as long as 20 in a
fuller one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Size of one forward pass over a tree.

    Attributes:
        tokens: distinct tokens packed from several subtrees.
        whole: distinct tokens of one subtree that is mostly stem (a document before two answers), and of a
            piece of a long root. Attention within a pass costs the square of its tokens.
        scored: scored positions, each a row of the vocabulary in float32.
        rows: most rows; None for as many as fit.
    """

    tokens: int
    whole: int
    scored: int
    rows: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """A prefix that several passes stand on.

    Attributes:
        ids: all its tokens from the first on.
        parent: the root that its first tokens belong to.
        wanted: (depth, token) for each scored token that is predicted from within this root's own part: from
            the token at `depth`, of the row's next token.
    """

    ids: tuple[int, ...]
    parent: Root | None
    wanted: tuple[tuple[int, int], ...] = ()

    @property
    def start(self) -> int:
        """Depth at which its own tokens begin."""
        return len(self.parent.ids) if self.parent else 0

    def chain(self) -> list[Root]:
        """The roots that it stands on, outermost first, and itself."""
        out, root = [self], self.parent
        while root is not None:
            out.append(root)
            root = root.parent
        return out[::-1]


@dataclass(frozen=True, slots=True)
class Pass:
    """Rows (indices, in the order of their tokens) that are computed together on a root."""

    root: Root | None
    rows: tuple[int, ...]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading items that `a` and `b` share."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    low, high = 0, length  # the first difference lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class _Range:
    """Rows [start, stop) of the sorted order below a root of `depth` tokens."""

    start: int
    stop: int
    root: Root | None
    depth: int


class _Planner:
    """Rows in the order of what they are fed, with the prefix that each shares with the one before."""

    def __init__(self, rows: Sequence[Row], limits: Limits) -> None:
        self.rows, self.limits = rows, limits
        self.order = sorted(range(len(rows)), key=lambda i: (rows[i].fed, rows[i].ids[-1], rows[i].num_scored, i))
        self.fed = [rows[i].fed for i in self.order]
        self.shared = [0] * len(rows)
        for i in range(1, len(rows)):
            self.shared[i] = common_prefix(self.fed[i - 1], self.fed[i])

    def cost(self, start: int, stop: int, depth: int) -> int:
        """Distinct tokens of a range beyond `depth`."""
        return len(self.fed[start]) - depth + sum(len(self.fed[i]) - self.shared[i] for i in range(start + 1, stop))

    def scored(self, start: int, stop: int) -> int:
        """Positions whose logits a pass over the range needs, at most."""
        return sum(max(self.rows[i].num_scored, 1) for i in self.order[start:stop])

    def fits(self, start: int, stop: int, tokens: int, limit: int) -> bool:
        """Whether a range can be one pass."""
        rows = self.limits.rows
        return tokens <= limit and (
            stop - start == 1
            or (self.scored(start, stop) <= self.limits.scored and (rows is None or stop - start <= rows))
        )

    def stem(self, part: _Range) -> int:
        """Depth to which all rows of a range agree, short of the last token that any of them is fed."""
        agree = min((self.shared[i] for i in range(part.start + 1, part.stop)), default=len(self.fed[part.start]))
        # The shortest row comes to its end on the stem; its last token stays in the pass, which gives its logits.
        return max(min(agree, min(len(fed) for fed in self.fed[part.start : part.stop]) - 1), part.depth)

    def is_one_pass(self, part: _Range) -> bool:
        """Whether a range is computed whole."""
        tokens = self.cost(part.start, part.stop, part.depth)
        if part.stop - part.start == 1:
            # A text longer than that is computed as a root, which is cut into pieces: its mask and its logits would
            # otherwise grow with its length.
            return tokens <= max(self.limits.tokens, self.limits.whole)
        if self.fits(part.start, part.stop, tokens, self.limits.tokens):
            return True
        mostly_stem = 2 * (self.stem(part) - part.depth) >= tokens
        return mostly_stem and self.fits(part.start, part.stop, tokens, self.limits.whole)

    def split(self, part: _Range) -> Iterator[_Range]:
        """The subtrees of a range that is too large for one pass, on a root where that pays."""
        depth, root = self.stem(part), part.root
        if part.stop - part.start == 1:
            root = Root(self.fed[part.start][:depth], part.root, self.wanted(part, depth))
            yield _Range(part.start, part.stop, root, depth)
            return
        length = depth - part.depth
        tokens = self.cost(part.start, part.stop, part.depth)
        passes = max((tokens - length) // self.limits.tokens + 1, 2)
        if length > 0 and (length * (passes - 1) > ROOT_OVERHEAD or tokens - length < length):
            wanted = self.wanted(part, depth)
            root = Root(self.fed[part.start][:depth], part.root, wanted)
        else:
            depth = part.depth
        fork = min(self.shared[i] for i in range(part.start + 1, part.stop))
        edges = [i for i in range(part.start + 1, part.stop) if self.shared[i] == fork]
        for start, stop in zip([part.start, *edges], [*edges, part.stop], strict=True):
            yield _Range(start, stop, root, depth)

    def wanted(self, part: _Range, depth: int) -> tuple[tuple[int, int], ...]:
        """What rows of a range score from within the stem between the range's depth and `depth`."""
        found: set[tuple[int, int]] = set()
        for i in self.order[part.start : part.stop]:
            row = self.rows[i]
            first = max(len(row.ids) - 1 - row.num_scored, part.depth)
            found.update((at, row.ids[at + 1]) for at in range(first, depth))
        return tuple(sorted(found))

    def plan(self) -> Iterator[Pass]:
        """The passes, depth first."""
        todo = [_Range(0, len(self.order), None, 0)] if self.order else []
        open_part: _Range | None = None
        tokens = 0
        while todo:
            part = todo.pop()
            if not self.is_one_pass(part):
                # Identical token rows cannot be split by their tokens, only by their number.
                parts = list(self.split(part))
                todo.extend(reversed(parts))
                continue
            if open_part is not None:
                joined = tokens + self.cost(part.start, part.stop, max(part.depth, self._joint(open_part, part)))
                same = open_part.root is part.root and open_part.stop == part.start
                if same and self.fits(open_part.start, part.stop, joined, self.limits.tokens):
                    open_part, tokens = _Range(open_part.start, part.stop, part.root, part.depth), joined
                    continue
                yield self._pass(open_part)
            open_part, tokens = part, self.cost(part.start, part.stop, part.depth)
        if open_part is not None:
            yield self._pass(open_part)

    def _joint(self, before: _Range, after: _Range) -> int:
        return self.shared[after.start] if before.stop == after.start else 0

    def _pass(self, part: _Range) -> Pass:
        return Pass(part.root, tuple(self.order[part.start : part.stop]))


def plan_passes(rows: Sequence[Row], limits: Limits) -> list[Pass]:
    """Cut rows into passes in which every distinct prefix is computed once.

    Args:
        rows: what is scored; a row with `num_scored` 0 is a prompt to generate from.
        limits: of one pass; a single row longer than them stands on a root of its own.

    Returns:
        Passes in depth-first order, so that the roots needed at any moment are one chain. Every row is in
        exactly one pass.
    """
    return list(_Planner(rows, limits).plan())


def count_distinct(rows: Sequence[Row]) -> int:
    """Distinct prefixes among what the rows are fed: the least number of tokens that must be computed."""
    fed = sorted(row.fed for row in rows)
    return sum(len(b) - common_prefix(a, b) for a, b in zip([(), *fed], fed, strict=False))
