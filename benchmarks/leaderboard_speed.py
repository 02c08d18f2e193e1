"""Time and memory of `halueval leaderboard` on 1,000 runs.

    python benchmarks/leaderboard_speed.py > benchmarks/leaderboard_speed.md
    python benchmarks/leaderboard_speed.py 50        a quick look

Makes 100 models with a run of ten tasks each (not timed). A run.json is the committed one of the embedded model with
other names and figures, so it is as long as real ones are; its samples are 100 lines of 1,500 characters.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from diff_speed import timed

RESULTS = Path(__file__).parent.parent / "results" / "smollm2-135m-instruct"
NUM_TASKS, NUM_SAMPLES, WIDTH = 10, 100, 1500
FORMATS = ("markdown", "json", "csv")


def templates() -> list[dict[str, Any]]:
    """Records of the embedded model, one a task, in the order of their names."""
    return [json.loads(path.read_bytes()) for path in sorted(RESULTS.glob("*/*/run.json"))]


def make_runs(root: Path, count: int) -> int:
    """Write about so many runs of ten tasks; returns how many bytes their run.json files have."""
    known, draw, written = templates(), random.Random(0), 0  # noqa: S311  figures that differ, not secrets
    line = json.dumps({"sample_id": "0", "prompt": "x" * WIDTH}).encode() + b"\n"
    samples = line * NUM_SAMPLES
    digest = hashlib.sha256(samples).hexdigest()
    for number in range(count):
        model, task = divmod(number, NUM_TASKS)
        record = json.loads(json.dumps(known[task % len(known)]))
        name = f"{record['task']['name']}-{task}"
        run_id = hashlib.sha256(f"{model} {name}".encode()).hexdigest()[:12]
        record["run_id"], record["samples_sha256"] = run_id, digest
        record["task"]["name"] = record["identity"]["task"] = name
        record["model"] |= {"name": f"model-{model:03}", "weights_sha256": f"{model:064x}"}
        record["model"]["base"] = f"model-{model // 3:03}" if model else None
        record["identity"]["limit"] = None
        record["n_samples"] |= {"original": NUM_SAMPLES, "effective": NUM_SAMPLES}
        for figure in record["metrics"].values():
            if figure["ci_low"] is not None:
                shift = draw.uniform(-0.02, 0.02)
                figure |= {key: figure[key] + shift for key in ("value", "ci_low", "ci_high")}
        directory = root / record["model"]["name"] / name / run_id
        directory.mkdir(parents=True)
        (directory / "samples.jsonl").write_bytes(samples)
        written += (directory / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return written


def main(count: int) -> None:
    """Time each format; print Markdown."""
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        size = make_runs(here / "results", count) / 2**20
        samples = sum(file.stat().st_size for file in here.glob("results/*/*/*/samples.jsonl")) / 2**20
        machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
        print("# Speed of `halueval leaderboard`\n")
        print(f"Written by `python benchmarks/leaderboard_speed.py`: {count:,} runs of {NUM_TASKS} tasks,")
        print(
            f"{size:.0f} MB of run.json, {samples:.0f} MB of samples: their lines are counted, `--verify` digests them."
        )
        print("Medians of three whole processes, files in the page cache; memory is the most that the process held.")
        print(f"{machine}, Python {platform.python_version()}.\n")
        print("| work | wall, s | processor, s | peak, MB |\n|---|---:|---:|---:|")
        command = [sys.executable, "-m", "halueval", "leaderboard", "--quiet", "--results", str(here / "results")]
        works = [[f"--{kind}", str(here / kind)] for kind in FORMATS]
        works.append([*(part for work in works for part in work), "--verify"])
        for work in works:
            options = " ".join(part for part in work if part.startswith("--"))
            wall, processor, peak = timed([*command, *work])
            print(f"| {count:,} runs, `{options}` | {wall:.1f} | {processor:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
