"""The arm with noisy embeddings: NEFTune."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from halueval.finetune.arms.base import Arm, Settings

if TYPE_CHECKING:
    import torch


class NoiseSettings(Settings):
    """`alpha` is the noise's magnitude; the authors try 5, 10 and 15."""

    alpha: float = Field(5.0, gt=0)


class Neftune(Arm):
    """Adds uniform noise to the input embeddings in training (Jain et al. 2023, algorithm 1).

    The noise of a sequence of L tokens and width d lies in ±α/√(L·d). transformers has this too, with the length that
    a batch is padded to in place of L; here L is the sequence's own.
    """

    name = "neftune"
    about = "uniform noise on the input embeddings (Jain et al. 2023)"
    settings_type = NoiseSettings

    def prepare_model(self, model: Any) -> None:
        """Let every pass in training see noise, until the model is dropped; of an encoder-decoder, its encoder.

        A pass that looks up no input embeddings raises ModelError.
        """
        from halueval.finetune.arms.targets import input_embeddings, sequence_mask, unseen

        masks: list[torch.Tensor] = []

        def note(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
            masks.clear()
            if model.training and kwargs.get("input_ids") is not None:
                masks.append(sequence_mask(kwargs))

        def add(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            return output + noise(masks.pop(), output, self.settings.alpha) if masks else output

        def require_seen(_module: Any, _inputs: Any, _output: Any) -> None:
            if masks:
                raise unseen(model)

        model.register_forward_pre_hook(note, with_kwargs=True)
        model.register_forward_hook(require_seen)
        input_embeddings(model).register_forward_hook(add)


def noise(mask: torch.Tensor, embeddings: torch.Tensor, alpha: float) -> torch.Tensor:
    """U(-1, 1)·α/√(L·d) at the tokens of each sequence, 0 at padding.

    Args:
        mask: shape (batch, length), 1 at tokens.
        embeddings: shape (batch, length, d); gives device and dtype.
        alpha: see `NoiseSettings`.
    """
    import torch

    lengths = mask.sum(dim=1).clamp(min=1).to(torch.float32)
    scale = alpha / (lengths.sqrt() * math.sqrt(embeddings.shape[-1]))
    drawn = torch.empty_like(embeddings, dtype=torch.float32).uniform_(-1, 1)
    return (drawn * scale[:, None, None] * mask[:, :, None]).to(embeddings.dtype)
