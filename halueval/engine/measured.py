"""Which way is faster on this machine: measured once, and remembered, so that every process on it decides alike.

Timings scatter, and the ways differ in the last bits of a score. A run that goes on after a kill must end in the bytes
of one that was not killed, so it must not measure anew.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from halueval.schema import canonical_json, sha256_text
from halueval.source.cache import cache_dir, read_json, write_atomic

CPU_FACTS = Path("/proc/cpuinfo")


def decided(question: str, measure: Callable[[], bool]) -> bool:
    """The answer that was first measured on this machine.

    It holds for one kind of processor, number of threads and version of torch, for a cache may be shared. Where the
    cache cannot be written, every process measures for itself.

    Args:
        question: what is asked, with everything that the answer depends on beside the machine.
        measure: finds the answer.
    """
    import torch

    machine = {
        "question": question,
        "processor": _processor(CPU_FACTS),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    path = cache_dir() / "measured" / f"{sha256_text(canonical_json(machine))[:16]}.json"
    known = read_json(path).get("answer")
    if isinstance(known, bool):
        return known
    answer = measure()
    known = read_json(path).get("answer")
    if isinstance(known, bool):  # another process was quicker
        return known
    try:
        write_atomic(path, json.dumps({**machine, "answer": answer}).encode())
    except OSError:
        return answer
    return answer


@lru_cache
def _processor(facts: Path) -> str:
    """The processor's name, as Linux tells it or else as Python does."""
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
