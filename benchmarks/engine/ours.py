"""Our side: `halueval run` in a process of its own, and what `run.json` and `samples.jsonl` then say."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.context import MODEL, Context, Side
from benchmarks.engine.process import BenchError, run

STAGES = ("load", "tokenise", "infer", "score")


def totals(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counters and seconds of all tasks of one command, added up.

    The model is loaded once a command and each task reports it, so the largest counts.
    """
    engines = [record["engine"] for record in records]
    counters: dict[str, Any] = {}
    for engine in engines:
        for name, value in engine.items():
            if name != "peak_memory_bytes" and isinstance(value, int):
                counters[name] = counters.get(name, 0) + value
    seconds = {stage: sum(engine["seconds"][stage] for engine in engines) for stage in STAGES}
    seconds["load"] = max(engine["seconds"]["load"] for engine in engines)
    counters["peak_memory_bytes"] = max(engine["peak_memory_bytes"] for engine in engines)
    return {**counters, "seconds": seconds}


def side(context: Context, tasks: Sequence[str], label: int | str, *options: str) -> Side:
    """Run tasks with `halueval run` into an empty directory.

    `scoring` is the engine's tokenising and inference, like the peer's; building samples is in the former.
    """
    output = context.folder / f"halueval-{label}"
    command = [sys.executable, "-m", "halueval", "run", "--model", MODEL, "--task", ",".join(tasks)]
    command += ["--output", str(output), "--fresh", "--quiet", "--json", "--dtype", "float32", "--device", "cpu"]
    ended = run([*command, *options], folder=context.folder, label=f"halueval-{label}")
    records = json.loads(ended.stdout)
    if len(records) != len(tasks):
        raise BenchError(f"{len(records)} of {len(tasks)} runs came back")
    engine = totals(records)
    detail = {"records": records, "engine": engine, "output": str(output)}
    scoring = engine["seconds"]["tokenise"] + engine["seconds"]["infer"]
    return Side(ended.seconds, scoring, ended.peak_memory, detail)


def rows_of(side_: Side, task: str) -> list[dict[str, Any]]:
    """The samples of one task of a run."""
    for record in side_.detail["records"]:
        if record["task"]["name"] == task:
            home = Path(side_.detail["output"]) / record["model"]["name"] / task / record["run_id"]
            text = (home / "samples.jsonl").read_text(encoding="utf-8")
            return [json.loads(line) for line in text.split("\n") if line]
    raise BenchError(f"no run of {task} among the results")


def likelihoods(side_: Side, tasks: Sequence[str]) -> dict[tuple[str, str], float]:
    """Log-likelihood of every (prompt, continuation) of multiple-choice tasks."""
    found = {}
    for task in tasks:
        for row in rows_of(side_, task):
            if row["loglikelihoods"] is None:
                raise BenchError(f"{task}: sample {row['sample_id']} has no log-likelihoods: {row.get('reasons')}")
            for choice, value in zip(row["choices"], row["loglikelihoods"], strict=True):
                found[row["prompt"], f" {choice}"] = value
    return found
