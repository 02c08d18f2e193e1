"""How much arithmetic a model needs, and how fast the device can do it.

Model FLOP utilisation = floating-point operations that the model needs ÷ seconds ÷ the rate at which the device
multiplies large matrices of the same dtype. (Chowdhery et al. 2022, "PaLM", appendix B, with the measured rate in
place of a data sheet's.)
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SIDE = 2048
"""Side of the matrices whose product is timed."""
REPEATS = 3


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Floating-point operations of a forward pass, a multiply and an add counted as two.

    Attributes:
        per_token: through the layers: twice the parameters that are not embeddings.
        per_pair: attention of one token to another, over all layers: 4 × width of the heads × layers.
        per_logits: one row of the vocabulary: twice the size of the output embedding.
    """

    per_token: int
    per_pair: int
    per_logits: int

    @classmethod
    def of(cls, model: Any) -> ModelCost:
        """From a model's parameters and configuration."""
        config = model.config.get_text_config()
        heads = int(getattr(config, "num_attention_heads", 0) or 0)
        width = int(getattr(config, "hidden_size", 0) or 0)
        size = int(getattr(config, "head_dim", 0) or (width // heads if heads else 0))
        output = model.get_output_embeddings()
        head = 0 if output is None else output.weight.numel()
        inputs = model.get_input_embeddings().weight
        tied = output is not None and output.weight is inputs
        body = sum(p.numel() for p in model.parameters()) - inputs.numel() - (0 if tied else head)
        layers = int(getattr(config, "num_hidden_layers", 0) or 0)
        return cls(2 * body, 4 * heads * size * layers, 2 * head)

    @classmethod
    def of_encoder(cls, model: Any) -> ModelCost:
        """Of the encoder of an encoder-decoder: of a source's token, and of its attention to another."""
        encoder = model.get_encoder()
        shared = model.get_input_embeddings().weight
        body = sum(p.numel() for p in encoder.parameters() if p is not shared)
        whole = cls.of(model)
        config = model.config.get_text_config()
        layers = int(getattr(config, "encoder_layers", 0) or getattr(config, "num_layers", 0) or 0)
        of_decoder = int(getattr(config, "num_hidden_layers", 0) or 0)
        return cls(2 * body, whole.per_pair // of_decoder * layers if of_decoder else 0, 0)

    @classmethod
    def of_decoder(cls, model: Any) -> ModelCost:
        """Of the decoder of an encoder-decoder, its output embedding included; attention to the source is left out."""
        whole, encoder = cls.of(model), cls.of_encoder(model)
        return cls(whole.per_token - encoder.per_token, whole.per_pair, whole.per_logits)

    def flops(self, tokens: int, pairs: int, logits: int) -> int:
        """Of a pass: tokens fed, pairs of a token and one that it attends to, positions with logits."""
        return self.per_token * tokens + self.per_pair * pairs + self.per_logits * logits


def matmul_rate(device: torch.device, dtype: torch.dtype, cache: Path | None = None, *, packed: bool = False) -> float:
    """Floating-point operations a second in a product of two large matrices, the best of three.

    Args:
        device: where the model is.
        dtype: of its weights.
        cache: file in which rates are remembered by device, dtype, threads and torch version; None measures anew.
        packed: the model multiplies with packed weights (`products`), so that is the rate to measure.
    """
    import torch

    from halueval.engine.products import PackedLinear

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}-{torch.get_num_threads()}"
    key = f"{name} {dtype} torch-{torch.__version__}{' packed' if packed else ''}"
    known = _read(cache)
    if key in known:
        return known[key]
    left, right = (torch.randn(SIDE, SIDE, device=device).to(dtype) for _ in range(2))
    layer = PackedLinear(right, None) if packed else None
    best = float("inf")
    for _ in range(REPEATS + 1):  # the first warms up: kernels are chosen and pages are touched
        started = time.perf_counter()
        product = left @ right if layer is None else layer(left)
        float(product[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - started)
    known[key] = 2 * SIDE**3 / best
    if cache is not None:
        # A statistic must not stop a run: where the cache cannot be written, it is measured again next time.
        with contextlib.suppress(OSError):
            cache.parent.mkdir(parents=True, exist_ok=True)
            cache.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return known[key]


def _read(cache: Path | None) -> dict[str, float]:
    """Remembered rates; a file that cannot be read is measured again and written anew."""
    if cache is None or not cache.is_file():
        return {}
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return {str(k): float(v) for k, v in known.items()} if isinstance(known, dict) else {}
