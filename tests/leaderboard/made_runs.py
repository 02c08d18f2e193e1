"""Run directories as `halueval run` writes them, with figures that a test chooses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from halueval.schema import RUN_SCHEMA_VERSION


def metric(value, low=None, high=None, *, n=20, unscored=0, better=None):
    """A figure of `run.json`."""
    return {
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "n_scored": n,
        "n_unscored": unscored,
        "higher_is_better": better,
        "ci_method": "bootstrap",
        "ci_reason": None if low is not None else "nothing was scored",
        "unscored_reasons": {"abstained": unscored} if unscored else {},
    }


def write_run(
    root: Path,
    model: str = "alpha",
    task: str = "facts",
    *,
    rate=(0.4, 0.3, 0.5),
    kind: str = "qa",
    rows: int = 20,
    run_id: str | None = None,
    finished: str = "2026-01-01T00:00:00+00:00",
    directory: Path | None = None,
    weights: str | None = None,
    base: str | None = None,
    limit: int | None = None,
    dirty: bool = False,
    dtype: str = "float32",
    original: int = 100,
    more_metrics=None,
    **identity,
) -> Path:
    """Write a run; returns its directory."""
    run_id = (
        run_id or hashlib.sha256(f"{model}{task}{weights}{finished}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    )
    directory = directory or root / model / task / run_id
    directory.mkdir(parents=True)
    samples = b"".join(json.dumps({"sample_id": str(i)}).encode() + b"\n" for i in range(rows))
    (directory / "samples.jsonl").write_bytes(samples)
    accuracy = tuple(1 - end for end in (rate[0], rate[2], rate[1]))
    metrics = {
        "exact_match": metric(*accuracy, better=True),
        "hallucination_rate": metric(*rate, better=False),
        "answer_rate": metric(1.0, 0.84, 1.0),
        **(more_metrics or {}),
    }
    if kind == "language_modeling":
        metrics = {"bits_per_byte": metric(*rate, better=False)}
    record = {
        "schema_version": RUN_SCHEMA_VERSION,
        "run_id": run_id,
        "identity": {
            "task_hash": "t",
            "data_sha256": "d",
            "num_fewshot": 4,
            "seed": 0,
            "limit": limit,
            "system_instruction_sha256": None,
            **identity,
        },
        "model": {
            "name": model,
            "weights_sha256": weights or f"w-{model}",
            "adapter_sha256": None,
            "dtype": dtype,
            "source": f"hub:{model}",
            "base": base,
            "num_parameters": 135_000_000,
        },
        "task": {
            "name": task,
            "kind": kind,
            "language": "en",
            "primary_metric": "bits_per_byte" if kind == "language_modeling" else "exact_match",
            "hash": "t",
            "num_fewshot": 4,
            "data": {"source": "facts.jsonl", "split": None, "revision": None},
        },
        "n_samples": {"original": original, "effective": rows, "scored": rows, "unscored": 0},
        "metrics": metrics,
        "states": {},
        "environment": {"git": {"commit": "c", "dirty": dirty}},
        "finished_at": finished,
        "samples_sha256": hashlib.sha256(samples).hexdigest(),
    }
    (directory / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return directory
