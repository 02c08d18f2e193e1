"""Where a model runs: device, precision and threads, checked and chosen without a second try by hand."""

from __future__ import annotations

import os
from pathlib import Path

from halueval.config import ModelSpec
from halueval.errors import UsageError

DTYPES = ("float32", "bfloat16", "float16")


def resolve_device(device: str) -> str:
    """`auto` to the best device there is; anything else checked.

    Raises:
        UsageError: not a device, or one that this machine does not have.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"--device {device!r} is not a device; use auto, cpu, cuda, cuda:0 … or mps") from error
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    if wanted.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: this machine has none; use auto or cpu")
    if wanted.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device {device!r} is not supported; use auto, cpu, cuda, cuda:0 … or mps")
    return device


def resolve_dtype(dtype: str, spec: ModelSpec, device: str) -> str:
    """`auto` to the half precision that the device multiplies faster than float32, else to float32.

    On a CPU that is bfloat16 where the processor has instructions for it (AVX-512-BF16, AMX): four times the rate of
    float32 on an AMD EPYC with the former. What it costs in accuracy: docs/engine.md.
    """
    wanted = dtype if dtype != "auto" else spec.dtype
    if wanted != "auto":
        if wanted not in DTYPES:
            raise UsageError(f"--dtype {wanted!r} is not one of auto, {', '.join(DTYPES)}")
        return wanted
    if device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device.startswith("mps"):
        return "float16"
    return "bfloat16" if _multiplies_bfloat16() else "float32"


def _multiplies_bfloat16() -> bool:
    """Whether the processor has bfloat16 instructions; torch has no public way to ask."""
    import torch

    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)


def use_all_cores() -> None:
    """Let torch have as many threads as this process may use cores.

    In a container torch counts the machine's cores and not the container's share, and threads that wait for each
    other are slower than one. A number that the user has set (`OMP_NUM_THREADS`) stays.
    """
    import torch

    if "OMP_NUM_THREADS" in os.environ or "MKL_NUM_THREADS" in os.environ:
        return
    torch.set_num_threads(max(1, min(torch.get_num_threads(), usable_cores(Path("/sys/fs/cgroup/cpu.max")))))


def usable_cores(quota: Path) -> int:
    """Cores that this process may use: its affinity, and a container's share of time.

    Args:
        quota: the control group's file, "MICROSECONDS PERIOD" or "max PERIOD"; it need not be there.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text(encoding="ascii").split()
        return cores if share == "max" else max(1, min(cores, round(int(share) / int(period))))
    except (OSError, ValueError):
        return cores
