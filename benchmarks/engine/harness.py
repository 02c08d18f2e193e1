"""The peer lm-evaluation-harness: its task files, its fastest batch size, its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.engine.context import Context, Side
from benchmarks.engine.data import model_directory
from benchmarks.engine.process import Ended, run

DRIVER = Path(__file__).with_name("lm_eval_driver.py")

MULTIPLE_CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{prompt}}",
    "doc_to_choice": "choices",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
ROLLING = {
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{text}}",
    "metric_list": [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
}


class Harness:
    """Tasks of one workload as lm-evaluation-harness takes them.

    Args:
        context: of the workload.
        tasks: for each task its rows and the keys of its YAML beyond name and data.
    """

    def __init__(
        self, context: Context, tasks: Mapping[str, tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]]
    ) -> None:
        self.context = context
        self.names = [f"bench_{name}" for name in tasks]
        self.directory = context.folder / "lm-eval"
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, (rows, keys) in tasks.items():
            data = self.directory / f"{name}.jsonl"
            data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            card = {
                "task": f"bench_{name}",
                "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": str(data)}},
                "test_split": "test",
                "num_fewshot": 0,
                **keys,
            }
            (self.directory / f"{name}.yaml").write_text(yaml.safe_dump(card, allow_unicode=True), encoding="utf-8")
        self.batch_size = 1
        self.tried: dict[int, float] = {}

    def _drive(self, label: str, batch_sizes: Sequence[int], limit: int | None) -> tuple[Ended, dict[str, Any]]:
        spec, out = self.context.folder / f"{label}.spec.json", self.context.folder / f"{label}.out.json"
        wanted = {
            "model": str(model_directory()),
            "tasks_directory": str(self.directory),
            "tasks": self.names,
            "batch_sizes": list(batch_sizes),
            "limit": limit,
            "out": str(out),
        }
        spec.write_text(json.dumps(wanted), encoding="utf-8")
        command = [str(self.context.settings.peer_python), str(DRIVER), str(spec)]
        ended = run(command, folder=self.context.folder, label=label)
        return ended, json.loads(out.read_text(encoding="utf-8"))

    def choose_batch_size(self, candidates: Sequence[int], *, limit: int) -> None:
        """Try each size once on a few rows and keep the fastest: the peer runs as well as it can.

        `auto` is not tried: on a processor it looks for the largest size by passes over the model's whole
        context, which takes minutes and gigabytes.
        """
        self.context.say(f"lm-eval: batch sizes {', '.join(map(str, candidates))} on {limit} rows …")
        # The first run also warms up, so that the first candidate would pay for the rest; it is run twice.
        _, record = self._drive("lm-eval-batch-size", [candidates[0], *candidates], limit)
        self.tried = {item["batch_size"]: round(sum(item["seconds"].values()), 3) for item in record["runs"]}
        self.batch_size = min(self.tried, key=lambda size: self.tried[size])
        shown = ", ".join(f"{size}: {seconds:.1f} s" for size, seconds in self.tried.items())
        self.context.say(f"lm-eval: {shown}; takes {self.batch_size}")
        self.context.notes.append(
            f"lm-eval's batch size is {self.batch_size}, its fastest on the first {limit} rows ({shown})."
        )

    def side(self, number: int) -> Side:
        """One run over all rows."""
        ended, record = self._drive(f"lm-eval-{number}", [self.batch_size], None)
        (only,) = record["runs"]
        scoring = sum(only["seconds"].values())
        detail = {"versions": record["versions"], "threads": record["threads"], **only}
        return Side(ended.seconds, scoring, ended.peak_memory, detail)
