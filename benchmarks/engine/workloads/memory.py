"""Peak memory of 2,000 requests against padded batches with whole logits."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.engine import data, ours, parity, plain
from benchmarks.engine.context import Context, Side, Workload, alternate, paired
from benchmarks.engine.plain_loops import BATCH
from benchmarks.engine.workloads.truthfulqa import TASKS


def run(context: Context) -> dict[str, Any]:
    """As many TruthfulQA rows as make so many requests, on both sides in whole processes."""
    rows, source = data.truthfulqa_rows(context.settings.truthfulqa)
    limit = requests = 0
    for row in rows:
        if requests >= context.rows:
            break
        requests += sum(len(row[key]["choices"]) for key in ("mc1_targets", "mc2_targets"))
        limit += 1
    path = context.folder / "truthfulqa.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    pairs = [pair for task in TASKS for pair in data.choice_pairs(data.samples(task, limit=limit, data=path))]

    def peer(number: int) -> Side:
        return plain.side(context, "batches", pairs, f"plain-{number}")

    def our_side(number: int) -> Side:
        return ours.side(context, TASKS, number, "--data", str(path), "--limit", str(limit))

    done = alternate(context, {"plain path": peer, "halueval": our_side})
    result = paired(done, "plain path")
    sides = result["sides"]
    ratio = sides["plain path"]["peak_memory_bytes"] / sides["halueval"]["peak_memory_bytes"]
    context.goal("peak memory of the plain path ÷ ours", ratio, ">=", 1, unit="×")
    theirs = dict(zip(pairs, done["plain path"][-1].detail["answers"], strict=True))
    compared = parity.judge_likelihoods(context, ours.likelihoods(done["halueval"][-1], TASKS), theirs)
    context.notes.append(
        f"{len(pairs):,} requests; the plain path is one row of a batch of {BATCH} each, padded, with logits of "
        "every position. Whole processes, interpreter and weights included."
    )
    return {**result, "source": source, "parity": compared, "engine": done["halueval"][-1].detail["engine"]}


WORKLOAD = Workload("memory", "Peak memory of 2,000 requests", rows=2000, rounds=1, run=run)
