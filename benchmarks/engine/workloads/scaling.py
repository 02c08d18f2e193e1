"""Cost against work: TruthfulQA MC1 + MC2 with more and more rows, ours alone."""

from __future__ import annotations

import json
import math
from typing import Any

from benchmarks.engine import data, ours
from benchmarks.engine.context import Context, Workload, median
from benchmarks.engine.workloads.truthfulqa import TASKS

STEPS = (50, 100, 200, 400, 800)
LINEAR, FLAT = 1.05, 1.1


def run(context: Context) -> dict[str, Any]:
    """Seconds, distinct tokens and memory at each number of rows."""
    rows, source = data.truthfulqa_rows(context.settings.truthfulqa)
    path = context.folder / "truthfulqa.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    data.model_directory()
    for task in TASKS:  # brings here what the runs need, which have no network
        data.samples(task, limit=1, data=path)
    steps = sorted({max(1, round(step * context.rows / STEPS[-1])) for step in STEPS})
    taken: dict[int, list[Any]] = {step: [] for step in steps}
    for number in range(context.rounds):
        for step in steps:
            side = ours.side(context, TASKS, f"{step}-{number}", "--data", str(path), "--limit", str(step))
            taken[step].append(side)
            context.say(f"round {number + 1}/{context.rounds}: {step} rows {side.scoring:.1f} s")
    points = []
    for step, sides in taken.items():
        engine = sides[-1].detail["engine"]
        points.append(
            {
                "rows": step,
                "infer_seconds": median([side.detail["engine"]["seconds"]["infer"] for side in sides]),
                "scoring_seconds": median([side.scoring for side in sides]),
                "process_seconds": median([side.process for side in sides]),
                "requests": engine["requests"],
                "tokens_requested": engine["tokens_requested"],
                "tokens_computed": engine["tokens_computed"],
                "peak_memory_bytes": max(side.peak_memory for side in sides),
            }
        )
    first, last = points[0], points[-1]
    growth = None
    if last["rows"] > first["rows"]:
        growth = math.log(last["scoring_seconds"] / first["scoring_seconds"]) / math.log(last["rows"] / first["rows"])
    memory = last["peak_memory_bytes"] / first["peak_memory_bytes"]
    context.goal("exponent of seconds in rows (1 is linear)", growth, "<=", LINEAR)
    context.goal(f"peak memory at {last['rows']} rows ÷ at {first['rows']}", memory, "<=", FLAT, unit="×")
    context.notes.append(f"Data: {source}. Memory is the peak of the whole process, interpreter and weights included.")
    return {"points": points, "source": source}


WORKLOAD = Workload("scaling", "Cost against work", rows=800, rounds=1, run=run)
