"""TruthfulQA MC1 and MC2 in one command: many choices behind one primer."""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.engine import data, floor, ours, parity
from benchmarks.engine.context import Context, Workload, alternate, median, paired
from benchmarks.engine.harness import MULTIPLE_CHOICE, Harness
from benchmarks.engine.process import run as run_process

TASKS = ("truthfulqa_mc1", "truthfulqa_mc2")


def run(context: Context) -> dict[str, Any]:
    """Pair with lm-eval, compare log-likelihoods, hold the time against the processor's floor."""
    rows, source = data.truthfulqa_rows(context.settings.truthfulqa)
    path = data.write_rows(context.folder / "truthfulqa.json", [])
    path.write_text(json.dumps(rows), encoding="utf-8")
    samples = {task: data.samples(task, limit=context.rows, data=path) for task in TASKS}
    harness = Harness(context, {task: (data.choice_rows(found), MULTIPLE_CHOICE) for task, found in samples.items()})
    harness.choose_batch_size([1, 8, 16], limit=min(4, context.rows))
    rates: list[dict[str, float]] = []

    def our_side(number: int) -> Any:
        side = ours.side(context, TASKS, number, "--data", str(path), "--limit", str(context.rows))
        command = [sys.executable, "-m", "benchmarks.engine.floor", str(data.model_directory())]
        measured = json.loads(run_process(command, folder=context.folder, label="matmul").stdout)
        rates.append(measured["rates"])
        return side

    done = alternate(context, {"lm-eval": harness.side, "halueval": our_side})
    result = paired(done, "lm-eval")
    work = floor.count(
        (pair for found in samples.values() for pair in data.choice_pairs(found)), data.model_directory()
    )
    config = floor.read_config(data.model_directory())
    slow, fast = sorted(median([rate[name] for rate in rates]) for name in rates[0])
    least, easier = floor.describe(work, config, fast), floor.describe(work, config, slow)
    last = done["halueval"][-1]
    infer = median([side.detail["engine"]["seconds"]["infer"] for side in done["halueval"]])
    context.goal("scoring, times as fast as lm-eval", result["ratios"]["scoring"], ">=", 20, unit="×")
    context.goal("whole process, times as fast as lm-eval", result["ratios"]["process"], ">=", 12, unit="×")
    found = parity.judge_likelihoods(
        context, ours.likelihoods(last, TASKS), parity.peer_likelihoods(done["lm-eval"][-1])
    )
    context.goal("inference ÷ floor at the faster products' rate", infer / least["seconds"], "<=", 1.5, unit="×")
    context.goal("inference ÷ floor at the slower products' rate", infer / easier["seconds"], "<=", 1.5, unit="×")
    floor_with_tokenising = result["sides"]["halueval"]["scoring_median"] / least["seconds"]
    context.notes += [
        f"Data: {source}.",
        f"Floor: {work.distinct:,} distinct prefixes of {work.requested:,} tokens, {least['flops']['total']:.3g} FLOP "
        f"({least['flops']['layers']:.3g} layers, {least['flops']['head']:.3g} head, "
        f"{least['flops']['attention']:.3g} attention) at {least['matmul_flops_per_second'] / 1e9:.0f} GFLOP/s of "
        f"float32 products with {floor.ROWS} rows: {least['seconds']:.2f} s ({easier['seconds']:.2f} s at "
        f"{easier['matmul_flops_per_second'] / 1e9:.0f} GFLOP/s, the slower of torch's own and oneDNN's packed "
        f"products). Inference took {infer:.2f} s; with tokenising and planning it is {floor_with_tokenising:.2f}× the "
        "floor.",
    ]
    return {**result, "source": source, "parity": found, "floor": least, "engine": last.detail["engine"]}


WORKLOAD = Workload("truthfulqa", "TruthfulQA MC1 + MC2, float32", rows=200, rounds=2, run=run)
