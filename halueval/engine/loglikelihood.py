"""Log-likelihoods of token rows: logits where they are needed, and the plain path of padded rows.

Logits are computed only where a token is scored: a hook on the output embedding picks those positions
out of the hidden states before the vocabulary product, so whatever the model does to its logits
afterwards (soft-capping in Gemma 2, scaling in Granite and Cohere) still happens. Log-softmax is taken in
float32 whatever the weights' dtype.

Rows are padded side by side here; `tree.py` packs rows that share prefixes, with the same hook.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halueval.engine.accounting import Accounting
from halueval.engine.encoding import Row
from halueval.schema import FailedResponse, LoglikelihoodResponse

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

LOGIT_BYTES = 2**23
"""Float32 logits normalised at once: few enough for a processor's cache, where they take a fifth of the time."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Natural-log probability of each scored token of a row, and whether each was the likeliest."""

    logprobs: tuple[float, ...]
    is_greedy: bool


@contextmanager
def only_positions(model: PreTrainedModel, index: torch.Tensor) -> Iterator[list[bool]]:
    """Make the output embedding see only the flat positions `index`; yields a flag set when it did."""
    head = model.get_output_embeddings()
    fired: list[bool] = []

    def pick(_module: object, args: tuple[Any, ...]) -> tuple[Any, ...]:
        fired.append(True)
        hidden = args[0]
        return (hidden.reshape(1, -1, hidden.shape[-1]).index_select(1, index), *args[1:])

    if head is None:
        yield fired
        return
    handle = head.register_forward_pre_hook(pick)
    try:
        yield fired
    finally:
        handle.remove()


NO_NUMBER = "the model gave no finite log-probability (are its weights whole, and does their dtype hold its numbers?)"


def response_of(parts: Sequence[TokenScores], num_truncated: int) -> LoglikelihoodResponse | FailedResponse:
    """The log-likelihood of a text from the scores of its windows; a failure where one is no finite number."""
    values = [value for part in parts for value in part.logprobs]
    total = math.fsum(values) if all(map(math.isfinite, values)) else math.nan
    if not math.isfinite(total):
        return FailedResponse(NO_NUMBER)
    greedy = all(part.is_greedy for part in parts)
    return LoglikelihoodResponse(total, len(values), greedy, num_truncated, tuple(values))


def token_logprobs(
    logits: torch.Tensor, index: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of `targets`, in float32, in slices of bounded memory.

    Args:
        logits: shape (n, vocabulary), any float dtype.
        index: shape (m,), ascending or not; the row of `logits` that predicts each target.
        targets: shape (m,), token ids.

    Returns:
        Log-probabilities of shape (m,), float32, and whether each target is the argmax, shape (m,).
    """
    import torch

    step = max(LOGIT_BYTES // (4 * logits.shape[-1]), 1)
    values = torch.empty(len(targets), dtype=torch.float32, device=logits.device)
    greedy = torch.empty(len(targets), dtype=torch.bool, device=logits.device)
    for start in range(0, logits.shape[0], step):
        piece = logits[start : start + step].float()
        here = ((index >= start) & (index < start + step)).nonzero()[:, 0]
        rows, target = index[here] - start, targets[here]
        # torch's CPU log_softmax is 8e-6 nats a token above the exact value, logsumexp is not; but it is what
        # every published figure was computed with, and a comparison must not differ by a choice of kernel.
        values[here] = piece.log_softmax(-1)[rows, target]
        greedy[here] = piece.argmax(-1)[rows] == target
    return values, greedy


def scores_of(
    logits: torch.Tensor,
    fired: list[bool],
    where: torch.Tensor,
    index: Sequence[int],
    targets: Sequence[int],
    sizes: Sequence[int],
) -> list[TokenScores]:
    """Scores of rows from the logits of one pass.

    Args:
        logits: as the model returned them.
        fired: not empty when the logits are those of the positions `where` only.
        where: flat positions that were asked for.
        index: for each scored token, which of `where` predicts it.
        targets: each scored token's id, row after row.
        sizes: number of scored tokens of each row.
    """
    import torch

    flat = logits.reshape(-1, logits.shape[-1])
    if not fired:  # a model whose output embedding is not a module of its own gives logits everywhere
        flat = flat.index_select(0, where)
    device = flat.device
    values, greedy = token_logprobs(flat, torch.tensor(index, device=device), torch.tensor(targets, device=device))
    value_list, greedy_list = values.tolist(), greedy.tolist()
    out, start = [], 0
    for size in sizes:
        end = start + size
        out.append(TokenScores(tuple(value_list[start:end]), all(greedy_list[start:end])))
        start = end
    return out


def score_decoder_rows(
    model: PreTrainedModel, rows: Sequence[Row], *, pad: int, accounting: Accounting
) -> list[TokenScores]:
    """Score rows with a causal language model in one pass, padded on the right.

    Tokens attend to the left only, so padding on the right changes nothing but the shape.
    """
    import torch

    width = max(len(row.ids) for row in rows) - 1
    inputs = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    index: list[int] = []
    targets: list[int] = []
    for i, row in enumerate(rows):
        fed = len(row.ids) - 1
        inputs[i, :fed] = torch.tensor(row.ids[:-1], dtype=torch.long)
        mask[i, :fed] = 1
        index.extend(range(i * width + fed - row.num_scored, i * width + fed))
        targets.extend(row.ids[-row.num_scored :])
    device = model.device
    where = torch.tensor(index, device=device)
    with torch.inference_mode(), only_positions(model, where) as fired:
        logits = model(
            input_ids=inputs.to(device), attention_mask=mask.to(device), use_cache=False, return_dict=True
        ).logits
        scores = scores_of(logits, fired, where, range(len(index)), targets, [row.num_scored for row in rows])
    real = sum(len(row.ids) - 1 for row in rows)
    accounting.forward_passes += 1
    accounting.tokens_computed += real
    accounting.tokens_padding += len(rows) * width - real
    return scores
