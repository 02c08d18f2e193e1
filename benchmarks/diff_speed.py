"""Time and memory of `halueval diff` on two runs of 100,000 samples, 5 figures, 10,000 replicates.

    python benchmarks/diff_speed.py [SAMPLES]

Makes both runs with a scripted model (not timed), then compares them in a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from halueval.backends.base import ModelIdentity
from halueval.backends.fake import FakeBackend
from halueval.dataset import load_data
from halueval.job import ModelHandle, RunSettings, SilentObserver
from halueval.registry import Registry
from halueval.runner import prepare, run_task
from halueval.scorers.catalog import create_from_spec

FIGURES = ["exact_match", "token_f1", "hallucination_rate", "answer_rate", "bits_per_byte"]


def make_run(task_path: Path, output: Path, name: str, wrong_every: int) -> Path:
    """A finished run whose model gets every so manieth fact wrong."""

    def answer(prompt: str) -> str:
        number = int(prompt.rsplit("fact ", 1)[1].split("?")[0])
        return " nothing of the kind" if number % wrong_every == 0 else f" answer {number}"

    task = Registry().task(str(task_path))
    data = load_data(task, base=task_path.parent)
    scorers = [create_from_spec(metric, task=task) for metric in task.metric_list]
    identity = ModelIdentity(name, "c", "t", None, None, "causal", "float32", name=name)
    settings = RunSettings(output=output, n_resamples=100, max_tokens_per_batch=100_000)
    handle = ModelHandle(identity, lambda: FakeBackend(answer))
    run = run_task(prepare(task, data, scorers, identity, settings), handle, settings, SilentObserver())
    assert run is not None
    return run.path


def main(samples: int) -> None:
    """Make the runs, compare them three times, print the median."""
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        rows = (json.dumps({"n": i, "a": f"answer {i}", "relation": f"r{i % 20}"}) for i in range(samples))
        (here / "facts.jsonl").write_text("\n".join(rows), encoding="utf-8")
        card = {
            "task": "many",
            "output_type": "generate_until",
            "source": "facts.jsonl",
            "doc_to_text": "What is fact {{n}}?",
            "doc_to_target": "{{a}}",
            "metric_list": FIGURES,
            "primary_metric": "exact_match",
            "group_by": ["relation"],
        }
        (here / "many.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
        base = make_run(here / "many.yaml", here / "out", "base", 3)
        candidate = make_run(here / "many.yaml", here / "out", "candidate", 4)
        command = [
            sys.executable,
            "-m",
            "halueval",
            "diff",
            str(base),
            str(candidate),
            "--quiet",
            "--json",
            str(here / "d"),
        ]
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            subprocess.run(command, check=True)  # noqa: S603  the command is ours
            seconds.append(time.perf_counter() - started)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{samples:,} samples, {len(FIGURES)} figures: {sorted(seconds)[1]:.1f} s (median of 3), peak {peak:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
