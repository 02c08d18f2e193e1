"""Every distinct prefix once: rows that begin alike share the tokens that they begin with.

Benchmarks repeat themselves: primers, instructions and documents stand before every choice. Rows are put
in the order of their tokens, so that those that share most stand together, and are packed as a tree into
one sequence: each token is computed once, attends to its ancestors only, and has its depth as position.
Scores are those of the rows run one by one, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget
from halueval.engine.encoding import Row
from halueval.engine.loglikelihood import TokenScores, only_positions, score_decoder_rows, scores_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

TREE_TOKENS = 1024
"""Most tokens of one tree: the mask is dense, so attention costs the square of it."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Rows packed as a tree of n nodes, parents before children.

    Attributes:
        tokens: token of each node.
        parents: index of each node's parent; -1 for a root.
        depths: number of ancestors of each node.
        paths: for each row, its nodes from the root to its last fed token.
    """

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    paths: list[list[int]]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading items that `a` and `b` share."""
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length


def plan_trees(rows: Sequence[Row], budget: Budget) -> list[list[int]]:
    """Which rows share a pass: neighbours in the order of their tokens, up to the budget of distinct tokens.

    A pure function of the rows and the budget. A row longer than `TREE_TOKENS` stands with those that share
    its prefix as long as `budget.tokens` allows: a long document before two short choices is the very case
    that sharing is for.

    Returns:
        Lists of indices into `rows`; every index exactly once.
    """
    order = sorted(range(len(rows)), key=lambda i: (rows[i].ids, rows[i].num_scored, i))
    batches: list[list[int]] = []
    current: list[int] = []
    distinct = scored = 0
    for i in order:
        fed = rows[i].ids[:-1]
        shared = common_prefix(fed, rows[current[-1]].ids[:-1]) if current else 0
        limit = min(max(TREE_TOKENS, len(fed) + TREE_TOKENS // 4), max(budget.tokens, len(fed)))
        full = current and (
            distinct + len(fed) - shared > limit
            or scored + rows[i].num_scored > budget.scored
            or (budget.batch_size is not None and len(current) >= budget.batch_size)
        )
        if full:
            batches.append(current)
            current, distinct, scored, shared = [], 0, 0, 0
        current.append(i)
        distinct += len(fed) - shared
        scored += rows[i].num_scored
    if current:
        batches.append(current)
    return batches


def build_tree(rows: Sequence[Row]) -> Tree:
    """Merge what the rows are fed (all but the last token of each) into one tree."""
    tokens: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    children: dict[tuple[int, int], int] = {}
    paths: list[list[int]] = []
    for row in rows:
        parent = -1
        path = []
        for depth, token in enumerate(row.ids[:-1]):
            node = children.get((parent, token))
            if node is None:
                node = len(tokens)
                children[parent, token] = node
                tokens.append(token)
                parents.append(parent)
                depths.append(depth)
            path.append(node)
            parent = node
        paths.append(path)
    return Tree(tokens, parents, depths, paths)


def ancestor_mask(tree: Tree) -> torch.Tensor:
    """Which nodes each node sees: its ancestors and itself; shape (n, n), bool."""
    import torch

    mask = torch.zeros((len(tree.tokens), len(tree.tokens)), dtype=torch.bool)
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            mask[node] = mask[parent]
        mask[node, node] = True
    return mask


def score_tree(model: PreTrainedModel, rows: Sequence[Row], *, accounting: Accounting) -> list[TokenScores]:
    """Score rows with a causal language model in one pass over their tree."""
    import torch

    tree = build_tree(rows)
    device = model.device
    mask = torch.zeros((1, 1, len(tree.tokens), len(tree.tokens)), dtype=model.dtype)
    mask.masked_fill_(~ancestor_mask(tree), torch.finfo(model.dtype).min)
    wanted: dict[int, int] = {}
    index: list[int] = []
    targets: list[int] = []
    for row, path in zip(rows, tree.paths, strict=True):
        for node, target in zip(path[-row.num_scored :], row.ids[-row.num_scored :], strict=True):
            index.append(wanted.setdefault(node, len(wanted)))
            targets.append(target)
    where = torch.tensor(list(wanted), device=device)
    with torch.inference_mode(), only_positions(model, where) as fired:
        logits = model(
            input_ids=torch.tensor([tree.tokens], device=device),
            attention_mask=mask.to(device),
            position_ids=torch.tensor([tree.depths], device=device),
            use_cache=False,
            return_dict=True,
        ).logits
        scores = scores_of(logits, fired, where, index, targets, [row.num_scored for row in rows])
    accounting.forward_passes += 1
    accounting.tokens_computed += len(tree.tokens)
    return scores


PROBE_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.3, "float16": 0.1}
"""Largest difference in nats of one token at which a probe counts as equal: rounding reaches a tenth of it."""


def sharing_problem(model: PreTrainedModel, window: int, probe: Sequence[Row]) -> str | None:
    """Why this model cannot be run on trees, or None when a probe gave the plain path's scores.

    A sliding window counts tokens of the packed sequence, not ancestors, and a probe shorter than the
    window would not show it; so such models are told by their configuration. Models that take no 4-D mask
    or no positions (ALiBi, recurrent ones) show in the probe.
    """
    config = model.config.get_text_config()
    sliding = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {"full_attention"} or (not kinds and isinstance(sliding, int) and sliding < window):
        return f"{model.config.model_type} has layers that see a window, or are recurrent"
    plain = [score_decoder_rows(model, [row], pad=0, accounting=Accounting())[0] for row in probe]
    try:
        shared = score_tree(model, probe, accounting=Accounting())
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        return f"{model.config.model_type} takes no mask of a tree ({type(error).__name__})"
    worst = max(
        abs(a - b)
        for one, other in zip(plain, shared, strict=True)
        for a, b in zip(one.logprobs, other.logprobs, strict=True)
    )
    if not worst <= PROBE_TOLERANCE[str(model.dtype).removeprefix("torch.")]:
        return f"{model.config.model_type} scored a probe differently by {worst:.2g} nats"
    return None
