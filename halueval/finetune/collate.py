"""Batches of features, and the order in which an epoch goes through them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from halueval.finetune.encode import NO_LOSS, Features


class Collator:
    """Pads features to the longest of the batch, on the right.

    Args:
        pad: id that fills inputs; it is masked, so that any id serves.
    """

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, features: Sequence[Features]) -> dict[str, torch.Tensor]:
        """Tensors of shape (batch, longest); a classifier's labels of shape (batch,)."""
        fill = {"labels": NO_LOSS, "attention_mask": 0, "token_type_ids": 0}
        batch: dict[str, torch.Tensor] = {}
        for key in features[0]:
            values: list[Any] = [feature[key] for feature in features]
            if isinstance(values[0], int):
                batch[key] = torch.tensor(values)
                continue
            width = max(len(value) for value in values)
            filler = fill.get(key, self.pad)
            batch[key] = torch.tensor([[*value, *[filler] * (width - len(value))] for value in values])
        if "attention_mask" not in batch:
            lengths = [len(feature["input_ids"]) for feature in features]
            width = max(lengths)
            batch["attention_mask"] = torch.tensor([[1] * n + [0] * (width - n) for n in lengths])
        return batch


class EpochOrder(Sampler[int]):
    """A fresh order for each epoch that depends on seed and epoch alone, so that a resumed training goes on in it.

    With `by_length`, examples of like length share a batch and batches come in random order: padding is what costs
    on a CPU.

    Args:
        lengths: tokens of each example.
        batch_size: examples an optimizer step.
        seed: of the orders.
        by_length: whether examples of like length share a batch.
    """

    WINDOW_BATCHES = 50  # examples are sorted by length within windows of so many batches, as transformers does

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int, by_length: bool) -> None:
        self.lengths, self.batch_size, self.seed, self.by_length = lengths, batch_size, seed, by_length
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = random.Random(f"{self.seed}:{self.epoch}")  # noqa: S311  (reproducible order, no secret)
        order = list(range(len(self.lengths)))
        draw.shuffle(order)
        if not self.by_length:
            return iter(order)
        window = self.batch_size * self.WINDOW_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(order), window):
            part = sorted(order[start : start + window], key=lambda i: self.lengths[i])
            batches += [part[i : i + self.batch_size] for i in range(0, len(part), self.batch_size)]
        # The short batch, if there is one, stays last: the number of steps is the same in every epoch.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        short = [i for batch in batches if len(batch) < self.batch_size for i in batch]
        draw.shuffle(full)
        return iter([i for batch in full for i in batch] + short)
