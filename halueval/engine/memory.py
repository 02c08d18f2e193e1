"""How much fits on the device, and what to do when it did not.

The budget is a function of the model and of the device's size, never of what happens to be free at the
moment: batches, and with them the last bits of every score, must not depend on what else is running.
What is free is found out the honest way: on out-of-memory the batch is halved and the work goes on.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from halueval.engine.batching import Budget
from halueval.schema import FailedResponse

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("halueval")

Item = TypeVar("Item")
Result = TypeVar("Result")

OUT_OF_MEMORY = "out of memory with this request alone"

CONTROL_GROUPS = Path("/sys/fs/cgroup")

CPU_TOKENS = 4096
"""Padded tokens of a pass on a CPU: enough to keep the cores in matrix products, small enough for caches."""
CPU_TREE, CPU_WHOLE, CPU_SLOTS, CPU_SLOT_TOKENS = 192, 1024, 64, 2**15
"""Of a pass over a tree on a CPU. Measured on two cores with 135 million parameters: from 128 tokens on the rate of
matrix products is nearly flat, and attention to unrelated tokens costs more the larger the pass is."""
CPU_BATCH_WORK = 2**14 * 2**29
"""Tokens times bytes of weights of a batch on a CPU: half a minute's work, which is what a kill may cost."""
DEVICE_TREE, DEVICE_WHOLE, DEVICE_SLOTS = 2048, 4096, 256
"""The same on an accelerator, which needs larger passes to be busy."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on any device and in any of torch's ways to say it."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "cublas_status_alloc_failed" in text
    )


def release(device: torch.device) -> None:
    """Give cached blocks back to the device, so that the halved batch finds room."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def total_memory(device: torch.device) -> int:
    """Bytes of memory that the device has in all; on a CPU no more than the container is given."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), memory_limit(CONTROL_GROUPS))


def memory_limit(groups: Path) -> int:
    """Bytes that a control group lets this process use; beyond any machine where there is no limit.

    Args:
        groups: where the kernel shows control groups, of the second version or the first.
    """
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((groups / name).read_text(encoding="ascii"))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return 2**62


def cache_bytes_per_token(config: Any, element: int) -> int:
    """Bytes of keys and values that one token leaves in the cache.

    Args:
        config: of the decoder; heads that share keys (grouped queries) are counted once.
        element: bytes of a number.
    """
    heads = int(getattr(config, "num_attention_heads", 12) or 12)
    width = int(getattr(config, "hidden_size", 768) or 768)
    shared = int(getattr(config, "num_key_value_heads", 0) or heads)
    size = int(getattr(config, "head_dim", 0) or width // heads)
    return 2 * int(getattr(config, "num_hidden_layers", 12)) * shared * size * element


def default_budget(
    device: torch.device, *, parameter_bytes: int, cache_bytes_per_token: int, vocab_size: int
) -> Budget:
    """Token budget of one pass from the size of the device and the model.

    On an accelerator a third of what the weights leave goes to cache and activations (taken as three
    times the cache) or to the answers that grow side by side, a third to float32 logits, and a third stays in
    reserve.
    """
    free = max(total_memory(device) - parameter_bytes, 256 * 2**20)
    scored = max(int(free / 3 / (vocab_size * 4 * 2)), 64)
    fits = int(free / 3 / max(cache_bytes_per_token * 3, 1))
    held = max(int(free / 3 / max(cache_bytes_per_token, 1)), 512)
    if device.type == "cpu":
        return Budget(
            tokens=CPU_TOKENS,
            scored=min(scored, 2048),
            tree=CPU_TREE,
            whole=CPU_WHOLE,
            slots=CPU_SLOTS,
            slot_tokens=min(held, CPU_SLOT_TOKENS),
            batch_tokens=max(4 * CPU_TREE, int(CPU_BATCH_WORK / max(parameter_bytes, CPU_BATCH_WORK // 2**14))),
        )
    tokens = max(min(fits, 2**18), 512)
    return Budget(
        tokens=tokens,
        scored=min(scored, 2**15),
        tree=min(DEVICE_TREE, tokens),
        whole=min(DEVICE_WHOLE, tokens),
        slots=DEVICE_SLOTS,
        slot_tokens=held,
        batch_tokens=max(2**17, tokens),
    )


def run_halving(
    run: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    device: torch.device,
) -> list[Result | FailedResponse]:
    """Run a batch; on out-of-memory run its halves instead, down to single items.

    Returns:
        A result for each item, in order; `FailedResponse(OUT_OF_MEMORY)` for an item that did not fit
        even alone.
    """
    out_of_memory = False
    try:
        return list(run(items))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        out_of_memory = True
    # Outside the handler: the traceback would keep the failed pass's tensors alive.
    assert out_of_memory
    release(device)
    if len(items) == 1:
        logger.warning("one request does not fit into the memory of %s", device)
        return [FailedResponse(OUT_OF_MEMORY)]
    half = len(items) // 2
    logger.warning("out of memory on %s with %d requests; going on with %d", device, len(items), half)
    return run_halving(run, items[:half], device) + run_halving(run, items[half:], device)


def peak_memory_bytes(device: torch.device | None) -> int:
    """Largest memory used so far: allocated on the accelerator, resident set of the process on a CPU."""
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
