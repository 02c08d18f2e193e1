"""Which requests share a forward pass.

Requests are sorted by length and packed under two budgets: padded tokens in the pass, and scored tokens
(each costs a row of the vocabulary in float32). The plan is a pure function of costs and budget, so a
run that was killed and started again forms the very same batches, and with them the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request costs: tokens through the network, and tokens whose logits are needed."""

    tokens: int
    scored: int


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one forward pass. `batch_size` None means: as many rows as the tokens allow."""

    tokens: int
    scored: int
    batch_size: int | None = None


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
    width = scored = 0
    for i in order:
        cost = costs[i]
        full = current and (
            (len(current) + 1) * max(width, cost.tokens) > budget.tokens
            or scored + cost.scored > budget.scored
            or (budget.batch_size is not None and len(current) >= budget.batch_size)
        )
        if full:
            batches.append(current)
            current, width, scored = [], 0, 0
        current.append(i)
        width = max(width, cost.tokens)
        scored += cost.scored
    if current:
        batches.append(current)
    return batches
