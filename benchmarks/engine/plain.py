"""The peers that are plain loops over transformers: see `plain_loops.py`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.context import Context, Side
from benchmarks.engine.data import model_directory
from benchmarks.engine.process import run

SCRIPT = Path(__file__).with_name("plain_loops.py")


def side(context: Context, work: str, rows: Sequence[Any], label: str, **options: Any) -> Side:
    """Run one of the loops over rows in a process of its own."""
    spec, out = context.folder / f"{label}.spec.json", context.folder / f"{label}.out.json"
    wanted = {"work": work, "rows": list(rows), "model": str(model_directory()), "options": options}
    spec.write_text(json.dumps(wanted), encoding="utf-8")
    command = [sys.executable, str(SCRIPT), str(spec), str(out)]
    ended = run(command, folder=context.folder, label=label)
    record = json.loads(out.read_text(encoding="utf-8"))
    return Side(ended.seconds, record["seconds"], ended.peak_memory, record)
