"""Running the passes of a plan: roots into key-value caches, trees of rows on them, scores and prompts out.

Each token is computed once, attends to its ancestors only, and has its depth as position. Scores are those of the
rows run one by one, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halueval.engine.accounting import Accounting
from halueval.engine.attention import AttentionKinds, attending, pass_masks
from halueval.engine.batching import chunks
from halueval.engine.encoding import Row
from halueval.engine.loglikelihood import TokenScores, only_positions, token_logprobs
from halueval.engine.memory import is_out_of_memory, release, run_halving
from halueval.engine.packing import Packed, pack
from halueval.engine.trie import Root
from halueval.engine.utilisation import ModelCost
from halueval.schema import FailedResponse

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Scored = dict[tuple[int, int], tuple[float, bool]]
"""By depth and next token: its log-probability, and whether it was the likeliest."""


@dataclass(slots=True)
class Layer:
    """Keys and values of one layer for a prefix; shape (1, heads, length, size) each."""

    keys: torch.Tensor
    values: torch.Tensor


@dataclass(slots=True)
class Prefix:
    """What the passes on a root need of it: the cache of its whole length, and scores of its own part."""

    layers: list[Layer]
    scored: Scored


@dataclass(slots=True)
class Prefilled:
    """A prompt that has been computed.

    Attributes:
        layers: cache of the pass that it was computed in, and of the root before it.
        nodes: shape (length,), which places of that cache are the prompt's own.
        logits: shape (vocabulary,), float32, of what comes next.
    """

    layers: Sequence[Layer]
    nodes: torch.Tensor
    logits: torch.Tensor


Result = TokenScores | Prefilled | FailedResponse
SMALLEST_PIECE = 64
"""Tokens of a root below which its pieces are not halved again."""


class TreeRunner:
    """Runs passes with one causal model, and keeps the chain of roots that the last pass stood on.

    Args:
        model: a causal language model that takes 4-D masks.
        kinds: of its attention.
        whole: tokens of a root computed in one piece.

    Attributes:
        most: tokens of a pass that are known to fit after a larger one did not; None while all have.
    """

    def __init__(self, model: PreTrainedModel, kinds: AttentionKinds, *, whole: int) -> None:
        self.model, self.kinds, self.whole = model, kinds, whole
        self.cost = ModelCost.of(model)
        self.most: int | None = None
        self._chain: dict[Root, Prefix] = {}

    def forget(self) -> None:
        """Give the caches of roots back to the device."""
        self._chain.clear()

    def run(self, rows: Sequence[Row], root: Root | None, accounting: Accounting) -> list[Result]:
        """One pass; where memory runs out, its halves.

        Args:
            rows: in the order of their tokens; `num_scored` 0 marks a prompt to generate from.
            root: that all of them stand on.
            accounting: counters to add to.

        Returns:
            For each row its scores, or its cache and logits, or that it did not fit even alone.
        """
        depth = len(root.ids) if root else 0
        parts: Iterable[Sequence[Row]] = [rows]
        if self.most is not None:
            own = [len(row.ids) - depth for row in rows]
            parts = [[rows[i] for i in part] for part in chunks(own, self.most)]
        out: list[Result] = []
        for part in parts:
            results = run_halving(lambda some: self._remembering(some, root, accounting), part, self.model.device)
            out += results
        return out

    def _remembering(self, rows: Sequence[Row], root: Root | None, accounting: Accounting) -> list[Any]:
        """One pass; one that does not fit is remembered, so that no later one is tried at that size."""
        try:
            return self._run(rows, root, accounting)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                self.most = max(sum(len(row.ids) - (len(root.ids) if root else 0) for row in rows) // 2, 1)
            raise

    def _run(self, rows: Sequence[Row], root: Root | None, accounting: Accounting) -> list[TokenScores | Prefilled]:
        import torch

        chain = self._prefixes(root, accounting)
        packed = pack(rows, len(root.ids) if root else 0)
        base = chain[-1].layers if chain else []
        positions, places = _scored_nodes(rows, packed)
        keep = any(row.num_scored == 0 for row in rows)
        with torch.inference_mode():
            logits, layers = self._forward(packed, base, positions, accounting, keep=keep)
            asked = [(places[node], row.ids[packed.offset + i + 1]) for row, i, node in _own_targets(rows, packed)]
            found = iter(_lookup(logits, asked))
            known: Scored = {key: value for prefix in chain for key, value in prefix.scored.items()}
            results: list[TokenScores | Prefilled] = []
            for row, path in zip(rows, packed.paths, strict=True):
                if row.num_scored == 0:
                    results.append(_prefilled(logits[places[path[-1]]], layers, packed, path))
                    continue
                first = len(row.ids) - 1 - row.num_scored
                values = [known[at, row.ids[at + 1]] for at in range(first, packed.offset)]
                values += [next(found) for _ in range(max(first, packed.offset), len(row.ids) - 1)]
                results.append(TokenScores(tuple(value for value, _ in values), all(top for _, top in values)))
        return results

    def _prefixes(self, root: Root | None, accounting: Accounting) -> list[Prefix]:
        """The chain of roots up to `root`, computed where the last pass did not stand on them."""
        chain = root.chain() if root else []
        self._chain = {known: self._chain[known] for known in chain if known in self._chain}
        for i, part in enumerate(chain):
            if part not in self._chain:
                base = self._chain[part.parent].layers if part.parent else []
                self._chain[part] = self._compute(part, base, accounting)
                for above in chain[:i]:  # the longer cache begins with theirs: one copy is enough
                    self._chain[above].layers = _first(self._chain[part].layers, len(above.ids))
        return [self._chain[part] for part in chain]

    def _compute(self, root: Root, layers: list[Layer], accounting: Accounting) -> Prefix:
        """A root's own tokens on the cache of its parent, in pieces that are halved where memory runs out."""
        while self.whole > SMALLEST_PIECE:
            try:
                return self._pieces(root, layers, accounting)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            release(self.model.device)
            self.whole //= 2
        return self._pieces(root, layers, accounting)

    def _pieces(self, root: Root, layers: list[Layer], accounting: Accounting) -> Prefix:
        import torch

        scored: Scored = {}
        for start in range(root.start, len(root.ids), self.whole):
            end = min(start + self.whole, len(root.ids))
            packed = pack([Row((*root.ids[:end], 0), 0)], start)
            wanted = [(at, token) for at, token in root.wanted if start <= at < end]
            nodes = sorted({at - start for at, _ in wanted})
            with torch.inference_mode():
                logits, layers = self._forward(packed, layers, nodes, accounting, keep=True)
                places = {node: i for i, node in enumerate(nodes)}
                found = _lookup(logits, [(places[at - start], token) for at, token in wanted])
            scored.update(zip(wanted, found, strict=True))
        return Prefix(layers, scored)

    def _forward(
        self, packed: Packed, base: list[Layer], positions: Sequence[int], accounting: Accounting, *, keep: bool
    ) -> tuple[torch.Tensor, list[Layer]]:
        """Logits at `positions` of the pass, shape (len(positions), vocabulary), and the cache with the pass behind it.

        The cache is empty unless there was one before, or `keep` asks for it.
        """
        import torch

        device = self.model.device
        where = torch.tensor(positions, dtype=torch.long, device=device)
        cache = cache_of(base) if base or keep else None
        masks = pass_masks(self.model, self.kinds, packed)
        with only_positions(self.model, where) as fired, attending(self.model, self.kinds, packed, masks):
            logits = self.model(
                input_ids=torch.tensor([packed.tokens], device=device),
                attention_mask=masks,
                position_ids=torch.tensor([packed.depths], device=device),
                past_key_values=cache,
                use_cache=cache is not None,
                return_dict=True,
            ).logits
        accounting.forward_passes += 1
        accounting.tokens_computed += len(packed.tokens)
        accounting.flops += self.cost.flops(len(packed.tokens), packed.visible(), len(positions))
        flat = logits.reshape(-1, logits.shape[-1])
        if not fired:  # a model whose output embedding is not a module of its own gives logits everywhere
            flat = flat.index_select(0, where)
        return flat, layers_of(cache) if keep and cache is not None else []


def cache_of(layers: Sequence[Layer]) -> Any:
    """A transformers cache that holds these keys and values, and grows beside them without changing them.

    Its layers remember everything, whatever the model's windows: these are in the masks.
    """
    from transformers import DynamicCache

    cache = DynamicCache()
    for i, layer in enumerate(layers):
        cache.update(layer.keys, layer.values, i)
    return cache


def layers_of(cache: Any) -> list[Layer]:
    """Keys and values of a transformers cache."""
    return [Layer(layer.keys, layer.values) for layer in cache.layers]


def _first(layers: Sequence[Layer], length: int) -> list[Layer]:
    """Views of the first tokens of a cache."""
    return [Layer(layer.keys[:, :, :length], layer.values[:, :, :length]) for layer in layers]


def _scored_nodes(rows: Sequence[Row], packed: Packed) -> tuple[list[int], dict[int, int]]:
    """Nodes whose logits are needed, and the place of each among them."""
    wanted = {node for _, _, node in _own_targets(rows, packed)}
    wanted.update(path[-1] for row, path in zip(rows, packed.paths, strict=True) if row.num_scored == 0)
    positions = sorted(wanted)
    return positions, {node: i for i, node in enumerate(positions)}


def _own_targets(rows: Sequence[Row], packed: Packed) -> Iterator[tuple[Row, int, int]]:
    """Row, place in the row's path, and number of each node of the pass that predicts a scored token."""
    for row, path in zip(rows, packed.paths, strict=True):
        first = max(len(row.ids) - 1 - row.num_scored - packed.offset, 0)
        if row.num_scored:
            yield from ((row, i, path[i]) for i in range(first, len(path)))


def _lookup(logits: torch.Tensor, asked: Sequence[tuple[int, int]]) -> list[tuple[float, bool]]:
    """Log-probability of tokens, given the row of `logits` that predicts each, and whether it is the likeliest."""
    import torch

    if not asked:
        return []
    index, targets = (torch.tensor(column, device=logits.device) for column in zip(*asked, strict=True))
    values, greedy = token_logprobs(logits, index, targets)
    return list(zip(values.tolist(), greedy.tolist(), strict=True))


def _prefilled(logits: torch.Tensor, layers: Sequence[Layer], packed: Packed, path: Sequence[int]) -> Prefilled:
    """A prompt of a pass; what is on its path is gathered when it is taken up, so that waiting costs nothing."""
    import torch

    nodes = torch.tensor([*range(packed.offset), *(packed.offset + node for node in path)], device=logits.device)
    return Prefilled(layers, nodes, logits.float())
