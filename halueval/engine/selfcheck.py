"""Whether a decoder can be run as trees: a probe against the plain path, before anything is scored with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from halueval.engine.accounting import Accounting
from halueval.engine.attention import AttentionKinds, attention_kinds
from halueval.engine.blocks import can_take_blocks
from halueval.engine.causal import CausalBlocks, causal_blocks
from halueval.engine.decoding import Decoder, open_stream
from halueval.engine.encoding import Row, prompt_row
from halueval.engine.loglikelihood import TokenScores, score_decoder_rows
from halueval.engine.rules import TokenRules
from halueval.engine.tree import TreeRunner
from halueval.engine.trie import Limits, plan_passes
from halueval.schema import GenerationRequest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = {"float32": 1e-3, "bfloat16": 0.3, "float16": 0.1}
"""Largest difference in nats of one token at which a probe counts as equal: rounding reaches a tenth of it."""
LONGEST_PROBE = 512
"""Tokens of a probe at most. A sliding window longer than that is taken on trust (docs/engine.md says so)."""
STEPS = 3
PROBE_CHAINS = CausalBlocks(queries=3, least=1)
"""So small that the chains of a probe fall into several blocks; the size in use is held to torch's kernel by itself."""


def check_trees(model: PreTrainedModel, window: int, texts: Sequence[Sequence[int]]) -> AttentionKinds | str:
    """Run a probe as trees and plainly: scores on a root, and the first tokens of an answer.

    Args:
        model: a causal language model.
        window: most tokens that it will be fed.
        texts: token ids of some texts of two tokens or more, of which the first is repeated where a sliding
            window asks for a longer probe.

    Returns:
        How its attention is told what to see: by block masks where the device has them and they prove right, by
        dense masks otherwise; and how chains are cut into blocks of queries where that is faster and proves right. Or,
        where the scores differ or the model takes no such masks, the reason (ALiBi and recurrent models end here).
    """
    kinds = attention_kinds(model, window)
    if isinstance(kinds, str):
        return kinds
    rows = _probe([[*text, 0, 0] if len(text) < 2 else text for text in texts], kinds.window, window)
    if can_take_blocks(model):
        blocks = replace(kinds, blocks=True)
        problem = _difference(model, blocks, rows)
        if problem is None:
            return blocks
        kinds = replace(kinds, remark=f"dense masks in place of FlexAttention's block masks: {problem}")
    elif kinds.plain and (causal := causal_blocks(model)) is not None:
        problem = _difference(model, replace(kinds, causal=PROBE_CHAINS), rows)
        if problem is None:
            return replace(kinds, causal=causal)
        kinds = replace(kinds, remark=f"torch's own attention in place of blocks of queries: {problem}")
    problem = _difference(model, kinds, rows)
    return kinds if problem is None else problem


def _difference(model: PreTrainedModel, kinds: AttentionKinds, rows: Sequence[Row]) -> str | None:
    """What is wrong with running rows as trees; None if they score as they do alone."""
    name = model.config.model_type
    try:
        scored, generated = _as_trees(model, kinds, rows)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError, KeyError) as error:
        return f"{name} takes no mask of a tree ({type(error).__name__})"
    plain = [_alone(model, row) for row in (*rows, generated[0])]
    tree = [*scored, generated[1]]
    apart = [
        abs(a - b)
        for one, other in zip(plain, tree, strict=True)
        for a, b in zip(one.logprobs, other.logprobs, strict=True)
    ]
    if any(math.isnan(value) for value in apart):  # which `max` may pass over
        return f"{name} scored a probe as no number"
    if not max(apart) <= TOLERANCE[str(model.dtype).removeprefix("torch.")]:
        return f"{name} scored a probe differently by {max(apart):.2g} nats"
    return None


def _probe(texts: Sequence[Sequence[int]], sliding: int | None, window: int) -> list[Row]:
    """Rows that share some, much and nothing; the first two are longer than a sliding window."""
    length = min(max(2 * (sliding or 0), 16), LONGEST_PROBE, window - STEPS - 1)
    first = list(texts[0]) * (length // len(texts[0]) + 1)
    long, other = first[:length], texts[1]
    rows = [Row((*long, long[0], long[1]), 3), Row((*long, other[0]), 2), Row((*long[:-3], other[1], other[0]), 2)]
    return [*rows, Row((*other,), 1)]


def _as_trees(
    model: PreTrainedModel, kinds: AttentionKinds, rows: Sequence[Row]
) -> tuple[list[TokenScores], tuple[Row, TokenScores]]:
    """Scores of the rows, and a generated answer as a row with the scores that it was generated with."""
    prompt = prompt_row(rows[0].ids[:-2])
    everything = [*rows, prompt]
    # Passes this small force a root, so that every way of sharing is tried.
    passes = plan_passes(everything, Limits(tokens=8, whole=8, scored=64))
    runner = TreeRunner(model, kinds, whole=8)
    stream = open_stream(0, GenerationRequest("", (), STEPS))
    decoder = Decoder(runner, rules=TokenRules(), decode=lambda _: "", slots=2, tokens=10**9)
    scores = decoder.run(everything, passes, {len(rows): [stream]}, Accounting())
    answer = Row((*prompt.fed, *stream.ids), len(stream.ids))
    found = [scores[i] for i in range(len(rows))]
    assert all(isinstance(score, TokenScores) for score in found)
    return [s for s in found if isinstance(s, TokenScores)], (answer, TokenScores(tuple(stream.logprobs), True))


def _alone(model: PreTrainedModel, row: Row) -> TokenScores:
    return score_decoder_rows(model, [row], pad=0, accounting=Accounting())[0]
