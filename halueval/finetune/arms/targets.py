"""What losses of arms are made of: logits of target tokens, divergences, and passes with changed embeddings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from halueval.errors import ModelError
from halueval.finetune.encode import NO_LOSS


def target_logits(logits: torch.Tensor, labels: torch.Tensor, *, shifted: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that predict a target, and the targets.

    Args:
        logits: shape (batch, length, vocabulary), or (batch, classes).
        labels: shape (batch, length) with -100 where there is no loss, or (batch,).
        shifted: whether the logits of a position predict the label of the next one, as in decoders.

    Returns:
        Shapes (n, vocabulary) in float32, and (n,).
    """
    if labels.ndim == 1:
        return logits.float(), labels
    if shifted:
        logits, labels = logits[:, :-1], labels[:, 1:]
    wanted = labels != NO_LOSS
    return logits[wanted].float(), labels[wanted]


def predicts_next(model: Any) -> bool:
    """Whether a model's logits of a position predict the label of the next one."""
    return not model.config.is_encoder_decoder


def per_target(total: torch.Tensor, count: int, num_items: torch.Tensor | None) -> torch.Tensor:
    """A sum over target tokens as a part of the loss: divided by those of the optimizer step, or of the batch."""
    return total / (max(count, 1) if num_items is None else num_items)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed over the targets, in nats; shapes (n, vocabulary) and (n,)."""
    return functional.cross_entropy(logits, targets, reduction="sum")


def divergence(p_logits: torch.Tensor, q_logits: torch.Tensor) -> torch.Tensor:
    """Σ KL(p ‖ q) in nats over rows, both of shape (n, vocabulary); gradients flow into both."""
    p, q = functional.log_softmax(p_logits.float(), dim=-1), functional.log_softmax(q_logits.float(), dim=-1)
    return functional.kl_div(q, p, reduction="sum", log_target=True)


def sequence_mask(inputs: dict[str, Any]) -> torch.Tensor:
    """1 at tokens and 0 at padding, shape (batch, length)."""
    mask: torch.Tensor | None = inputs.get("attention_mask")
    return torch.ones_like(inputs["input_ids"]) if mask is None else mask


@contextlib.contextmanager
def added_to_embeddings(model: Any, change: torch.Tensor) -> Iterator[None]:
    """Add a tensor of shape (batch, length, width) to the input embeddings of the next pass; see `input_embeddings`.

    Raises:
        ModelError: the pass looked up no input embeddings there, so that nothing was added.
    """
    pending = [change]

    def add(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output + pending.pop().to(output.dtype) if pending else output

    handle = input_embeddings(model).register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
    if pending:
        raise unseen(model)


def input_embeddings(model: Any) -> Any:
    """The module that looks up the embeddings of `input_ids`: of an encoder-decoder, the encoder's own.

    The encoder and the decoder have a module each, with one weight; what `get_input_embeddings` gives of the whole
    model is a third (T5) or the decoder's (BART).
    """
    owner = model.get_encoder() if model.config.is_encoder_decoder else model
    return owner.get_input_embeddings()


def unseen(model: Any) -> ModelError:
    """The error where a pass went by the module that its embeddings were to be changed in."""
    return ModelError(
        f"{type(model).__name__} does not look its input up in {type(input_embeddings(model)).__name__}, so that a "
        "mitigation cannot change its embeddings; leave neftune, r3f and freelb out"
    )


def embedding_width(model: Any) -> int:
    """Width of the input embeddings."""
    return int(input_embeddings(model).weight.shape[1])
