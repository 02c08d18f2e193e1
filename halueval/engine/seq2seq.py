"""Encoder-decoders: a source is encoded once for all its targets and all its draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from halueval.engine.accounting import Accounting
from halueval.engine.decoding import Stream, advance
from halueval.engine.encoding import Row
from halueval.engine.loglikelihood import TokenScores, only_positions, scores_of
from halueval.engine.rules import TokenRules
from halueval.engine.stopping import Decode
from halueval.engine.utilisation import ModelCost

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class Encoded:
    """Distinct sources of a batch, encoded in one padded pass.

    Attributes:
        hidden: shape (sources, width, size).
        mask: shape (sources, width), 1 where a source has a token.
        rows: for each source asked for, its row.
    """

    def __init__(
        self, model: PreTrainedModel, sources: Sequence[Sequence[int]], *, pad: int, accounting: Accounting
    ) -> None:
        import torch

        distinct = list(dict.fromkeys(map(tuple, sources)))
        place = {source: i for i, source in enumerate(distinct)}
        self.rows = [place[tuple(source)] for source in sources]
        width = max(map(len, distinct))
        ids = torch.full((len(distinct), width), pad, dtype=torch.long)
        mask = torch.zeros((len(distinct), width), dtype=torch.long)
        for i, source in enumerate(distinct):
            ids[i, : len(source)] = torch.tensor(source, dtype=torch.long)
            mask[i, : len(source)] = 1
        self.mask = mask.to(model.device)
        encoder: Any = model.get_encoder()
        with torch.inference_mode():
            self.hidden = encoder(
                input_ids=ids.to(model.device), attention_mask=self.mask, return_dict=True
            ).last_hidden_state
        real = sum(map(len, distinct))
        accounting.forward_passes += 1
        accounting.tokens_computed += real
        accounting.tokens_padding += ids.numel() - real
        accounting.flops += ModelCost.of_encoder(model).flops(real, sum(len(source) ** 2 for source in distinct), 0)

    def outputs(self, rows: torch.Tensor) -> dict[str, Any]:
        """Arguments of the model's `forward` for decoder rows on these sources."""
        from transformers.modeling_outputs import BaseModelOutput

        hidden = self.hidden.index_select(0, rows)
        return {
            "encoder_outputs": BaseModelOutput(last_hidden_state=hidden),
            "attention_mask": self.mask.index_select(0, rows),
        }


def score_targets(
    model: PreTrainedModel,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Row],
    *,
    pad: int,
    accounting: Accounting,
) -> list[TokenScores]:
    """Score target rows given sources: one pass of the encoder, one of the decoder.

    Args:
        model: encoder-decoder with a language-model head.
        sources: encoder ids of each target, special tokens included; equal ones are encoded once.
        targets: decoder rows, led by the decoder's start token.
        pad: id of the padding token.
        accounting: counters to add to.
    """
    import torch

    encoded = Encoded(model, sources, pad=pad, accounting=accounting)
    device = model.device
    width = max(len(target.ids) for target in targets) - 1
    ids = torch.full((len(targets), width), pad, dtype=torch.long)
    index: list[int] = []
    wanted: list[int] = []
    for i, target in enumerate(targets):
        fed = target.fed
        ids[i, : len(fed)] = torch.tensor(fed, dtype=torch.long)
        index.extend(range(i * width + len(fed) - target.num_scored, i * width + len(fed)))
        wanted.extend(target.ids[-target.num_scored :])
    where = torch.tensor(index, device=device)
    with torch.inference_mode(), only_positions(model, where) as fired:
        logits = model(
            **encoded.outputs(torch.tensor(encoded.rows, device=device)),
            decoder_input_ids=ids.to(device),
            use_cache=False,
            return_dict=True,
        ).logits
        scores = scores_of(logits, fired, where, range(len(index)), wanted, [t.num_scored for t in targets])
    real = sum(len(target.ids) - 1 for target in targets)
    accounting.forward_passes += 1
    accounting.tokens_computed += real
    accounting.tokens_padding += ids.numel() - real
    pairs = sum(len(target.fed) * (len(target.fed) + 1) // 2 for target in targets)
    accounting.flops += ModelCost.of_decoder(model).flops(real, pairs, len(index))
    return scores


def generate_targets(
    model: PreTrainedModel,
    sources: Sequence[Sequence[int]],
    streams: Sequence[Stream],
    *,
    start: int,
    pad: int,
    rules: TokenRules,
    decode: Decode,
    accounting: Accounting,
) -> None:
    """Generate an answer to each source; the streams are filled in place.

    Draws of one source that have chosen the same tokens are one row of the decoder, and fork where they part.
    Rows that end leave the batch. All rows are at the same step, since not every decoder can be told positions,
    so none enters later.

    Args:
        model: encoder-decoder.
        sources: encoder ids for each stream.
        streams: what is generated.
        start: id that the decoder starts from.
        pad: id of the padding token.
        rules: tokens that end an answer, and those that are forbidden or forced.
        decode: ids to text, special tokens left out.
        accounting: counters to add to.
    """
    import torch
    from transformers import DynamicCache, EncoderDecoderCache

    encoded = Encoded(model, sources, pad=pad, accounting=accounting)
    device = model.device
    groups: dict[int, list[Stream]] = {}
    for row, stream in zip(encoded.rows, streams, strict=True):
        groups.setdefault(row, []).append(stream)
    rows = torch.tensor(list(groups), device=device)
    states, tokens, step = list(groups.values()), [start] * len(groups), 0
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    cost = ModelCost.of_decoder(model)
    while states:
        with torch.inference_mode():
            logits = (
                model(
                    **encoded.outputs(rows),
                    decoder_input_ids=torch.tensor(tokens, device=device)[:, None],
                    past_key_values=cache,
                    use_cache=True,
                    return_dict=True,
                )
                .logits[:, -1]
                .float()
            )
            parted = advance(logits, states, rules, decode)
        accounting.forward_passes += 1
        accounting.tokens_computed += len(tokens)
        step += 1
        accounting.flops += cost.flops(len(tokens), step * len(tokens), len(tokens))
        ways = [(i, token, members) for i, part in enumerate(parted) for token, members in part.items()]
        kept = torch.tensor([i for i, _, _ in ways], dtype=torch.long, device=device)
        if ways and kept.tolist() != list(range(len(states))):
            cache.reorder_cache(kept)  # type: ignore[arg-type]  # a LongTensor, which torch types as Tensor
            rows = rows.index_select(0, kept)
        states, tokens = [members for _, _, members in ways], [token for _, token, _ in ways]
