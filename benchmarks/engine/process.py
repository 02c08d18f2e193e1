"""Run one side in a process of its own: wall time, and the largest memory it ever held."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_KIBIBYTE = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in, in bytes."""


class BenchError(Exception):
    """A workload could not be run; the message says why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended well.

    Attributes:
        seconds: from start to end.
        peak_memory: largest resident set, in bytes, of the process or one of its children.
        stdout: what it printed.
    """

    seconds: float
    peak_memory: int
    stdout: str


def run(command: Sequence[str], *, folder: Path, label: str, extra: Mapping[str, str] | None = None) -> Ended:
    """Run `command` from the root of the checkout; its output goes to files in `folder`.

    Both sides get the same environment: no network, and as many threads as they take by themselves.

    Raises:
        BenchError: it failed; the message ends with the last lines of its standard error.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "TOKENIZERS_PARALLELISM": "false",
        **(extra or {}),
    }
    out, err = folder / f"{label}.stdout", folder / f"{label}.stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stdout, stderr=stderr)  # noqa: S603
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = " | ".join(err.read_text(errors="replace").strip().splitlines()[-4:])
        tail = tail or "nothing on standard error"
        raise BenchError(f"{label} ended with {process.returncode}: {tail}")
    return Ended(seconds, usage.ru_maxrss * _KIBIBYTE, out.read_text(errors="replace"))
