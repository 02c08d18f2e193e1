"""A small QA task of capitals and a scripted model for it, for tests of runs."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from halueval.api import scorers_for
from halueval.backends.base import ModelIdentity
from halueval.backends.fake import FakeBackend
from halueval.dataset import load_data
from halueval.job import ModelHandle, RunSettings, SilentObserver
from halueval.registry import Registry
from halueval.runner import prepare, run_task

CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Japan": "Tokyo",
    "Peru": "Lima",
    "Kenya": "Nairobi",
    "Norway": "Oslo",
    "Cuba": "Havana",
    "Chad": "N'Djamena",
    "Fiji": "Suva",
}

TASK = {
    "task": "capitals",
    "kind": "qa",
    "output_type": "generate_until",
    "source": "capitals.jsonl",
    "columns": ["country", "capital"],
    "doc_to_text": "Q: What is the capital of {{country}}?\nA:",
    "doc_to_target": "{{capital}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
    "metric_list": ["exact_match"],
    "primary_metric": "exact_match",
    "group_by": ["country"],
    "metadata": {"version": 1},
}

SUMMARY = {
    "task": "letters",
    "kind": "summarization",
    "columns": ["text", "short"],
    "doc_to_text": "{{text}}\nSummary:",
    "doc_to_target": "{{short}}",
    "doc_to_source": "{{text}}",
    "group_by": [],
    "metric_list": ["consistency", "rougeL"],
    "primary_metric": "consistency",
}
"""What makes `write_task`'s task one whose summaries are checked against their source."""


def write_task(directory: Path, *, rows=None, **changes) -> Path:
    """`capitals.yaml` and its data in `directory`; keys of the task may be replaced (None removes one)."""
    rows = [{"country": c, "capital": k} for c, k in CAPITALS.items()] if rows is None else rows
    (directory / "capitals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    spec = {k: v for k, v in {**TASK, **changes}.items() if v is not None}
    path = directory / f"{spec['task']}.yaml"
    path.write_text(yaml.safe_dump(spec, allow_unicode=True), encoding="utf-8")
    return path


def knows(*countries: str):
    """An answering function that knows some capitals, is silent on Fiji, and invents the rest."""

    def answer(prompt: str) -> str:
        country = prompt.rsplit("capital of ", 1)[1].split("?")[0]
        if country == "Fiji":
            return " I don't know."
        return f" {CAPITALS[country]}" if country in countries else " Atlantis"

    return answer


def identity(**changes) -> ModelIdentity:
    """Identity of the scripted model."""
    fields = {
        "weights_sha256": "w",
        "config_sha256": "c",
        "tokenizer_sha256": "t",
        "chat_template_sha256": None,
        "adapter_sha256": None,
        "architecture": "causal",
        "dtype": "float32",
        "name": "fake",
    }
    return ModelIdentity(**{**fields, **changes})


def prepared(task_path: Path, settings: RunSettings, model: ModelIdentity | None = None):
    """The task of a YAML made ready for a model."""
    task = Registry().task(str(task_path))
    data = load_data(task, base=task_path.parent)
    return prepare(task, data, scorers_for(task, "causal"), model or identity(), settings)


def run_fake(task_path: Path, output: Path, backend: FakeBackend | None = None, *, model=None, **options):
    """Run a task with the scripted model; returns the run and the handle."""
    settings = RunSettings(output=output, n_resamples=200, **options)
    handle = ModelHandle(model or identity(), lambda: backend or FakeBackend(knows("France", "Italy")))
    return run_task(prepared(task_path, settings, model), handle, settings, SilentObserver()), handle
