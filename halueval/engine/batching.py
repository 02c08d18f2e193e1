"""Which requests share a forward pass.

Requests are sorted by length and packed under two budgets: padded tokens in the pass, and scored tokens
(each costs a row of the vocabulary in float32). The plan is a pure function of costs and budget, so a
run that was killed and started again forms the very same batches, and with them the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request, or several that stay together, cost: tokens fed, tokens whose logits are needed, and rows."""

    tokens: int
    scored: int
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of what is run together.

    Attributes:
        tokens: padded tokens of a pass over rows side by side.
        scored: scored positions of a pass.
        batch_size: rows of a pass; None for as many as the tokens allow.
        tree: distinct tokens of a pass over a tree, packed from several subtrees.
        whole: distinct tokens of one subtree that is mostly stem.
        slots: answers that grow side by side.
        slot_tokens: tokens that these may hold together.
        batch_tokens: tokens of a batch, which is made of several passes and is the unit of the journal.
    """

    tokens: int
    scored: int
    batch_size: int | None = None
    tree: int = 384
    whole: int = 1024
    slots: int = 64
    slot_tokens: int = 65_536
    batch_tokens: int = 16_384

    def limited(self, tokens: int | None, batch_size: int | None) -> Budget:
        """The same with what a user has set in place of what was worked out."""
        out = self
        if tokens is not None:
            tree, whole = min(self.tree, tokens), min(self.whole, tokens)
            out = replace(out, tokens=tokens, tree=tree, whole=whole, batch_tokens=min(self.batch_tokens, 4 * tokens))
        if batch_size is not None:
            out = replace(out, batch_size=batch_size, tokens=2**62 if tokens is None else tokens)
        return out


def plan_batches(costs: Sequence[Cost], budget: Budget) -> list[list[int]]:
    """Pack requests into batches, longest first.

    The longest come first so that memory is short at once or never, and an estimate of the time left
    errs on the long side. A request above the budget stands alone. Ties keep the order of `costs`.

    Returns:
        Lists of indices into `costs`; every index exactly once.
    """
    order = sorted(range(len(costs)), key=lambda i: (-costs[i].tokens, -costs[i].scored, i))
    batches: list[list[int]] = []
    current: list[int] = []
    width = scored = rows = 0
    for i in order:
        cost = costs[i]
        full = current and (
            (len(current) + 1) * max(width, cost.tokens) > budget.tokens
            or scored + cost.scored > budget.scored
            or (budget.batch_size is not None and rows + cost.rows > budget.batch_size)
        )
        if full:
            batches.append(current)
            current, width, scored, rows = [], 0, 0, 0
        current.append(i)
        width = max(width, cost.tokens)
        scored += cost.scored
        rows += cost.rows
    if current:
        batches.append(current)
    return batches


def chunks(costs: Sequence[int], most: int) -> Iterator[list[int]]:
    """Neighbours whose costs add up to `most` at most; one that costs more stands alone."""
    part: list[int] = []
    total = 0
    for i, cost in enumerate(costs):
        if part and total + cost > most:
            yield part
            part, total = [], 0
        part.append(i)
        total += cost
    if part:
        yield part
