"""Arms that train against small changes of the input embeddings: R3F and FreeLB."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from halueval.finetune.arms.base import Arm, Settings

if TYPE_CHECKING:
    import torch


class R3FSettings(Settings):
    """Of R3F.

    Attributes:
        weight: λ, of the divergence beside the loss; the authors try 0.1 to 5.
        noise: uniform in ±scale, or normal with that standard deviation.
        scale: σ; the authors take 1e-5. In bfloat16 autocast, what lies below a 256th of an embedding is lost to
            rounding: the default is larger.
    """

    weight: float = Field(1.0, gt=0)
    noise: Literal["uniform", "normal"] = "uniform"
    scale: float = Field(1e-2, gt=0)


class R3F(Arm):
    """Asks the predictions to stay where they are under noise: R3F (Aghajanyan et al. 2021, equation 5).

    The loss gains λ·[KL(p‖q) + KL(q‖p)], p and q the predictions without and with noise, as a mean over target tokens.
    Costs a second pass.
    """

    name = "r3f"
    about = "predictions that stay the same under noise on the embeddings (Aghajanyan et al. 2021)"
    settings_type = R3FSettings
    changes_loss = True

    def loss(
        self, model: Any, inputs: dict[str, Any], outputs: Any, loss: torch.Tensor, *, num_items: torch.Tensor | None
    ) -> torch.Tensor:
        """The loss and λ times the symmetric divergence."""
        import torch

        from halueval.finetune.arms import targets

        width = targets.embedding_width(model)
        change = torch.empty(*inputs["input_ids"].shape, width, device=inputs["input_ids"].device)
        scale = self.settings.scale
        change = change.uniform_(-scale, scale) if self.settings.noise == "uniform" else change.normal_(0, scale)
        with targets.added_to_embeddings(model, change):
            noisy = model(**inputs).logits
        shifted = targets.predicts_next(model)
        p, _ = targets.target_logits(outputs.logits, inputs["labels"], shifted=shifted)
        q, _ = targets.target_logits(noisy, inputs["labels"], shifted=shifted)
        symmetric = targets.divergence(p, q) + targets.divergence(q, p)
        weight: float = self.settings.weight
        return loss + weight * targets.per_target(symmetric, len(p), num_items)


class FreeLBSettings(Settings):
    """Of FreeLB.

    Attributes:
        steps: K, ascents; each is a pass forward and back. The authors take 2 to 5.
        step_size: α, length of one ascent, over all embeddings of a sequence.
        radius: ε, largest length of the whole change of a sequence.
    """

    steps: int = Field(3, ge=1)
    step_size: float = Field(0.1, gt=0)
    radius: float = Field(0.3, gt=0)


class FreeLB(Arm):
    """Averages the loss over a climb to a nearby worst case: FreeLB (Zhu et al. 2020, algorithm 1).

    δ₀ is uniform in ±ε/√(L·d); each step takes a K-th of the gradient at X+δ for the weights, and moves δ by α along
    the gradient for the embeddings, back into the ball of radius ε. All K graphs are held until the backward pass: K
    times the activations. It takes the place of the loss without perturbation, so it is at work before other arms
    that change the loss.
    """

    name = "freelb"
    about = "loss averaged over an adversarial climb in the embeddings (Zhu et al. 2020)"
    settings_type = FreeLBSettings
    changes_loss = True

    def loss(
        self, model: Any, inputs: dict[str, Any], outputs: Any, loss: torch.Tensor, *, num_items: torch.Tensor | None
    ) -> torch.Tensor:
        """The mean of the K losses."""
        import torch

        from halueval.finetune.arms import targets

        mask = targets.sequence_mask(inputs)[:, :, None].float()
        delta = self._start(mask, targets.embedding_width(model))
        shifted = targets.predicts_next(model)
        total = torch.zeros((), device=mask.device)
        for step in range(self.settings.steps):
            delta.requires_grad_()
            with targets.added_to_embeddings(model, delta):
                logits = model(**inputs).logits
            predicted, wanted = targets.target_logits(logits, inputs["labels"], shifted=shifted)
            one = targets.per_target(targets.cross_entropy(predicted, wanted), len(wanted), num_items)
            total = total + one / self.settings.steps
            if step + 1 < self.settings.steps:
                (gradient,) = torch.autograd.grad(one, delta, retain_graph=True)
                delta = ascend(delta.detach(), gradient, self.settings.step_size, self.settings.radius)
        return total

    def _start(self, mask: torch.Tensor, width: int) -> torch.Tensor:
        import torch

        lengths = mask.sum(dim=(1, 2)).clamp(min=1)
        scale = self.settings.radius / (lengths.sqrt() * math.sqrt(width))
        drawn = torch.empty(*mask.shape[:2], width, device=mask.device).uniform_(-1, 1)
        start: torch.Tensor = drawn * scale[:, None, None] * mask
        return start


def ascend(delta: torch.Tensor, gradient: torch.Tensor, step_size: float, radius: float) -> torch.Tensor:
    """One step up: δ + α·g/‖g‖, brought back into the ball ‖δ‖ ≤ ε; norms are Frobenius norms of a sequence.

    Args:
        delta: shape (batch, length, width).
        gradient: of the loss for it, same shape.
        step_size: α.
        radius: ε.
    """
    moved = delta + step_size * gradient / _norm(gradient)
    return moved * (radius / _norm(moved)).clamp(max=1.0)


def _norm(values: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = values.flatten(1).norm(dim=1).clamp(min=1e-12)
    return lengths[:, None, None]
