"""Reads claims behind their sources with a small causal language model, and gives each token as a row of features.

A source is run once for all claims about it. Claims of a batch stand in rows of their own, so that a claim's features
do not depend on the others but for rounding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from halueval.consistency.base import Pair
from halueval.consistency.likelihood import prompt
from halueval.consistency.lookback.attention import Shares, recorded
from halueval.errors import ModelError
from halueval.registry import Registry
from halueval.schema import canonical_json, sha256_text
from halueval.text import joint

if TYPE_CHECKING:
    import torch

    from halueval.backends.loading import LocatedModel

LAYERS = (14, 20)
"""Whose output is read: the middle of the 30 layers, where a linear probe told most (docs/decisions/0006)."""
LEAST = 0.5
"""Nats that a token takes without the source, at least: else the share of them that the source saves says nothing."""
BATCH_BYTES = 256 * 2**20
"""Memory of the largest tensor of a pass, about: attention of a layer, or scores of the vocabulary."""
TOO_LONG = "claim longer than the model's window"
NO_MEMORY = "the claim's attention does not fit into the device's memory"


@dataclass(frozen=True, slots=True)
class Reading:
    """A claim as the model read it.

    Attributes:
        features: shape (tokens, features), float32, on the model's device.
        spans: where each token stands in the claim, white space before it included.
        truncated: tokens of the source that the model did not see.
    """

    features: torch.Tensor
    spans: tuple[tuple[int, int], ...]
    truncated: int


@dataclass(frozen=True, slots=True)
class _Claim:
    """Tokens of a claim, where they stand, and which pair it is of."""

    index: int
    tokens: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


class Reader:
    """A causal language model that is loaded when it is first needed.

    Args:
        model: card, directory or hub id.
        device: as `--device`.
        dtype: as `--dtype`.
        layers: whose output is read.
    """

    def __init__(self, model: str, device: str, dtype: str, layers: Sequence[int] = LAYERS) -> None:
        self.model, self._device, self._dtype, self._layers = model, device, dtype, tuple(layers)

    @cached_property
    def _located(self) -> LocatedModel:
        from halueval.backends.loading import locate

        return locate(Registry().model(self.model), adapter=None)

    @property
    def dtype(self) -> str:
        """Precision of the weights, resolved."""
        from halueval.backends.devices import resolve_device, resolve_dtype

        return resolve_dtype(self._dtype, self._located.spec, resolve_device(self._device))

    @property
    def digest(self) -> str:
        """Of weights, configuration, tokenizer and adapter together; nothing is loaded for it."""
        files = self._located.identity(self.dtype).digests(but="chat_template_sha256")
        return sha256_text(canonical_json(files))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from halueval.backends.devices import resolve_device
        from halueval.backends.loading import load
        from halueval.engine.products import pack_products

        if self._located.architecture != "causal":
            raise ModelError(f"model {self.model}: a {self._located.architecture}; lookback reads causal models")
        device = resolve_device(self._device)
        model, tokenizer = load(self._located, device=device, dtype=self.dtype, trust_remote_code=False)
        pack_products(model)
        return model, tokenizer

    def read(self, pairs: Sequence[Pair], advance: Callable[[int], None]) -> list[Reading | str]:
        """Each claim behind its source, or why it cannot be read.

        Args:
            pairs: with a source and a claim that hold something.
            advance: is told of claims as they are read.
        """
        out: list[Reading | str] = [TOO_LONG] * len(pairs)
        groups: dict[tuple[str, str, int], list[_Claim]] = defaultdict(list)
        for i, pair in enumerate(pairs):
            claim = self._claim(i, pair)
            cut = self._cut(prompt(pair.source, pair.language), claim)
            if cut is None:
                advance(1)
            else:
                groups[pair.source, pair.language, cut].append(claim)
        for (source, language, cut), claims in groups.items():
            for claim, reading in self._read_group(source, language, cut, claims):
                out[claim.index] = reading
                advance(1)
        return out

    def _claim(self, index: int, pair: Pair) -> _Claim:
        lead = joint(pair.language)
        found = self._loaded[1](
            lead + pair.claim.strip(), add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        begin = len(lead) - (len(pair.claim) - len(pair.claim.lstrip()))
        spans = tuple((first - begin, last - begin) for first, last in found["offset_mapping"])
        return _Claim(index, tuple(found["input_ids"]), spans)

    def _cut(self, text: str, claim: _Claim) -> int | None:
        """Tokens that a prompt loses at its beginning, so that the claim fits; None where it cannot."""
        window = int(self._loaded[0].config.max_position_embeddings)
        if len(claim.tokens) + 3 > window:  # a first token, one of the source, the last of the prompt
            return None
        return max(len(self._tokens(text)) + len(claim.tokens) - window, 0)

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self._loaded[1](text, add_special_tokens=False, verbose=False)["input_ids"]
        return found

    def _read_group(
        self, source: str, language: str, cut: int, claims: Sequence[_Claim]
    ) -> Iterator[tuple[_Claim, Reading | str]]:
        import torch

        given = self._tokens(prompt(source, language))[cut:]
        nothing = self._tokens(prompt("", language))
        with torch.inference_mode():
            behind, alone = self._prefix(given), self._prefix(nothing)
            for batch in self._batches(claims, len(given)):
                try:
                    plain = self._pass(nothing, alone, batch)[0][..., 0]
                    surprise, hidden, shares = self._pass(given, behind, batch)
                except torch.OutOfMemoryError:
                    yield from ((claim, NO_MEMORY) for claim in batch)
                    continue
                rows = torch.cat([hidden, shares, surprises(surprise, plain)], dim=-1)
                for row, claim in zip(rows, batch, strict=True):
                    yield claim, Reading(row[: len(claim.tokens)], claim.spans, cut)

    def _batches(self, claims: Sequence[_Claim], prefix: int) -> Iterator[list[_Claim]]:
        """Claims of like length, as many as `BATCH_BYTES` allows."""
        config = self._loaded[0].config
        waiting = sorted(claims, key=lambda claim: -len(claim.tokens))
        while waiting:
            tokens = len(waiting[0].tokens) + 1
            each = 4 * tokens * max(config.vocab_size, config.num_attention_heads * (prefix + tokens))
            size = max(BATCH_BYTES // each, 1)
            yield waiting[:size]
            waiting = waiting[size:]

    def _prefix(self, tokens: Sequence[int]) -> Any:
        """The cache of all tokens but the last, which each batch runs again for its first likelihood."""
        import torch

        model = self._loaded[0]
        ids = torch.tensor([tokens[:-1]], device=model.device)
        return model.base_model(ids, use_cache=True).past_key_values

    def _pass(
        self, before: Sequence[int], cache: Any, batch: Sequence[_Claim]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of each token, float32: (log-likelihood, entropy, largest log-likelihood), hidden states, shares of heads.

        Shapes (claims, tokens, 3), (claims, tokens, layers · size), (claims, tokens, layers · heads).
        """
        import torch

        model = self._loaded[0]
        width = max(len(claim.tokens) for claim in batch)
        ids = torch.zeros((len(batch), 1 + width), dtype=torch.long)
        mask = torch.zeros((len(batch), len(before) + width), dtype=torch.long)
        for row, claim in enumerate(batch):
            ids[row, : 1 + len(claim.tokens)] = torch.tensor([before[-1], *claim.tokens])
            mask[row, : len(before) + len(claim.tokens)] = 1
        ids, mask = ids.to(model.device), mask.to(model.device)
        past = deepcopy(cache)
        past.batch_repeat_interleave(len(batch))
        shares = Shares(len(before))
        with recorded(model):
            found = model(
                ids, attention_mask=mask, past_key_values=past, use_cache=True, output_hidden_states=True, shares=shares
            )
        scores = torch.log_softmax(found.logits[:, :-1].float(), dim=-1)
        surprise = torch.stack(
            [
                scores.gather(-1, ids[:, 1:, None])[..., 0],
                -(scores.exp() * scores).sum(-1),
                scores.amax(-1),
            ],
            dim=-1,
        )
        hidden = torch.cat([found.hidden_states[layer][:, 1:].float() for layer in self._layers], dim=-1)
        heads = torch.cat(shares.by_layer, dim=1)[..., 1:].transpose(1, 2)
        return surprise, hidden, heads


def surprises(surprise: torch.Tensor, alone: torch.Tensor) -> torch.Tensor:
    """Seven features of likelihoods.

    The log-likelihood given the source and without it, the entropy and the largest log-likelihood of what could stand
    there, what the source saves in nats and as a share, and how much likelier the likeliest token was.
    """
    import torch

    given, entropy, largest = surprise.unbind(-1)
    saved = given - alone
    share = (saved / (-alone).clamp_min(LEAST)).clamp(-2, 1)
    return torch.stack([given, alone, entropy, largest, saved, largest - given, share], dim=-1)
