"""The least time that a processor needs for the distinct tokens of some requests.

    python -m benchmarks.engine.floor MODEL_DIRECTORY      measures the matmul rate, prints JSON

Counted here without any of the engine's code: a set of token prefixes, the sizes in `config.json`, and products of
the model's own shapes.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROWS = 256
REPEATS = 15


@dataclass(frozen=True, slots=True)
class Work:
    """What scoring some requests takes if nothing is done twice.

    Attributes:
        requested: tokens of all requests.
        distinct: prefixes that have to be fed: every token once in each distinct left context.
        scored: distinct prefixes whose next token is asked for, so that logits are needed.
        depths: sum over fed prefixes of their length: what attention looks at.
    """

    requested: int
    distinct: int
    scored: int
    depths: int


def count(pairs: Iterable[tuple[str, str]], directory: Path) -> Work:
    """Count the distinct prefixes of (context, continuation) pairs, each tokenised whole."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    known: dict[tuple[int, int], int] = {}
    scored: set[int] = set()
    requested = depths = 0
    for context, continuation in pairs:
        ids = tokenizer.encode(context + continuation, add_special_tokens=False).ids
        head = len(tokenizer.encode(context, add_special_tokens=False).ids)
        requested += len(ids)
        node = -1
        for depth, token in enumerate(ids[:-1]):
            key = (node, token)
            if key not in known:
                known[key] = len(known)
                depths += depth + 1
            node = known[key]
            if depth + 1 >= head:
                scored.add(node)
    return Work(requested, len(known), len(scored), depths)


def shapes(config: dict[str, Any]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """(inputs, outputs) of the matrices of one Llama layer, and of the head."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim") or width // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    layer = [(width, queries), (width, keys), (width, keys), (queries, width)]
    return [*layer, (width, inner), (width, inner), (inner, width)], (width, config["vocab_size"])


def flops(work: Work, config: dict[str, Any]) -> dict[str, float]:
    """Floating-point operations: two for each weight and token, the head where it is asked, and attention."""
    layer, head = shapes(config)
    layers = config["num_hidden_layers"]
    queries = layer[0][1]
    parts = {
        "layers": 2.0 * layers * sum(a * b for a, b in layer) * work.distinct,
        "head": 2.0 * head[0] * head[1] * work.scored,
        "attention": 4.0 * layers * queries * work.depths,
    }
    return {**parts, "total": sum(parts.values())}


def read_config(directory: Path) -> dict[str, Any]:
    """The model's `config.json`."""
    config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config


def matmul_rate(config: dict[str, Any]) -> dict[str, Any]:
    """FLOP/s of float32 products with the matrices of one layer; median of some repeats.

    Torch's own products and oneDNN's with packed weights are both measured, and the faster is the rate.
    """
    import torch

    layer, _ = shapes(config)
    # Weights of several layers in turn, so that they come from memory as they do in the model.
    weights = [torch.randn(b, a) for _ in range(8) for a, b in layer]
    packed = [torch.ops.mkldnn._reorder_linear_weight(weight, None) for weight in weights]
    inputs = {a: torch.randn(ROWS, a) for a, _ in layer}

    def onednn(values: Any, weight: Any) -> Any:
        return torch.ops.mkldnn._linear_pointwise(values, weight, None, "none", [], "")

    rates = {}
    for name, matrices, product in (("torch", weights, torch.nn.functional.linear), ("oneDNN", packed, onednn)):
        seconds = []
        with torch.inference_mode():
            for repeat in range(REPEATS + 3):
                started = time.perf_counter()
                for matrix in matrices:
                    product(inputs[matrix.shape[1]], matrix)
                if repeat >= 3:
                    seconds.append(time.perf_counter() - started)
        rates[name] = 2.0 * ROWS * sum(weight.numel() for weight in weights) / statistics.median(seconds)
    best = max(rates.values())
    return {"flops_per_second": best, "rates": rates, "rows": ROWS, "threads": torch.get_num_threads()}


def describe(work: Work, config: dict[str, Any], rate: float) -> dict[str, Any]:
    """Counts, operations and the floor in seconds."""
    operations = flops(work, config)
    return {**asdict(work), "flops": operations, "matmul_flops_per_second": rate, "seconds": operations["total"] / rate}


if __name__ == "__main__":
    print(json.dumps(matmul_rate(read_config(Path(sys.argv[1])))))
