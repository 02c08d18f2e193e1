"""A classification task of many rows and a scripted model that is too sure of itself, for tests of calibration."""

from __future__ import annotations

import json
import math
import random

from runs import run_fake, write_task

from halueval.backends.fake import FakeBackend
from halueval.store import Run, read_samples, write_run

LABELS = ("negative", "neutral", "positive")
TEMPERATURE = 2.5


def rows(n: int, seed: int = 4) -> list[dict]:
    """Rows whose label is drawn from the very probabilities that `true_scores` gives its text."""
    drawn = random.Random(seed)
    made = []
    for i in range(n):
        text = f"review {i}"
        weights = [math.exp(score) for score in true_scores(text)]
        made.append({"text": text, "label": drawn.choices(range(3), weights)[0]})
    return made


def true_scores(text: str) -> list[float]:
    """Log-odds of the labels of a text."""
    drawn = random.Random(text)
    return [drawn.gauss(0, 1.2) for _ in LABELS]


def too_sure(context: str, choice: str) -> float:
    """Log-likelihoods that are right at `TEMPERATURE`, plus a taste for "positive" whatever is asked."""
    number, taste = LABELS.index(choice.strip()), 0.8 * TEMPERATURE * (choice.strip() == "positive")
    if "review" not in context:
        return taste - 9.0
    text = context.rsplit("Text: ", 1)[1].split("\n")[0]
    return true_scores(text)[number] * TEMPERATURE + taste - 9.0


def without_taste(context: str, choice: str) -> float:
    """`too_sure` without the taste."""
    return too_sure(context, choice) - 0.8 * TEMPERATURE * (choice.strip() == "positive")


def run_choices(
    tmp_path, *, n: int = 300, loglikelihood=too_sure, calibration: str = "none", baselines=(), **changes
) -> Run:
    """A finished run of the task."""
    fields = {
        "task": "moods",
        "kind": "classification",
        "output_type": "multiple_choice",
        "columns": ["text", "label"],
        "doc_to_text": "Text: {{text}}\nMood:",
        "doc_to_choice": list(LABELS),
        "doc_to_target": "label",
        "metric_list": ["accuracy"],
        "primary_metric": "accuracy",
        "generation_kwargs": None,
        "group_by": [],
        **changes,
    }
    task = write_task(tmp_path, rows=rows(n), **fields)
    backend = FakeBackend(loglikelihood=loglikelihood)
    run, _ = run_fake(task, tmp_path / "out", backend, calibration=calibration, baselines=baselines)
    return run


def rewritten(run: Run, directory, change) -> Run:
    """The run with its rows changed by `change`, which takes and gives a list."""
    old = [json.loads(json.dumps(row)) for row in read_samples(run.path, run.record)]
    record = {key: value for key, value in run.record.items() if key != "samples_sha256"}
    return Run(directory, write_run(directory, record, change(old)))
