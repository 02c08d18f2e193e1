"""The in-task score: how many of the facts that were trained a checkpoint gives back, asked exactly as in training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from halueval.errors import DataError
from halueval.finetune.examples import Example
from halueval.store import write_atomically

LEARNT = "learnt"
"""Name of the task."""


def shared_facts(by_arm: Mapping[str, Sequence[Example]]) -> list[Example]:
    """Facts that every arm was given to learn, in the order of the first arm.

    An arm that holds some back to tell when to stop leaves them out for all: each is scored on the same facts.

    Raises:
        DataError: there is none, or it has no question and answer.
    """
    first, *others = by_arm.values()
    keys = [{(e.prompt, e.completion) for e in examples} for examples in others]
    shared = [e for e in first if all((e.prompt, e.completion) in known for known in keys)]
    if not shared:
        raise DataError(f"the arms {', '.join(by_arm)} have no training example in common")
    bare = sum(not example.prompt or not example.completion.strip() for example in shared)
    if bare:
        raise DataError(
            f"{bare} of {len(shared)} training examples have no prompt or completion to score; a sweep needs questions "
            "and answers (data of kind new-knowledge, task, or a file with prompt and completion)"
        )
    return shared


def write_learnt_task(directory: Path, facts: Sequence[Example], max_new_tokens: int) -> Path:
    """Write the task and its data, whole or not at all.

    The prompt is the one of training, without examples before it; an answer ends where a completion does.

    Returns:
        The task's YAML.
    """
    rows = [
        {
            "prompt": fact.prompt,
            "answer": fact.answer or fact.completion.strip(),
            "relation": fact.relation or "none",
            "known_class": fact.known_class or "not probed",
        }
        for fact in facts
    ]
    lines = [json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n" for row in rows]
    write_atomically(directory / f"{LEARNT}.jsonl", lines)
    ends = {fact.completion[len(fact.completion.rstrip()) :] for fact in facts}
    task = {
        "task": LEARNT,
        "about": "Accuracy on the facts that were trained, asked as in training.",
        "kind": "qa",
        "output_type": "generate_until",
        "source": f"{LEARNT}.jsonl",
        "columns": ["prompt", "answer", "relation", "known_class"],
        "doc_to_text": "{{ prompt }}",
        "doc_to_target": "{{ answer }}",
        "target_delimiter": " ",
        "num_fewshot": 0,
        "generation_kwargs": {"until": sorted(end for end in ends if end) or ["\n"], "max_gen_toks": max_new_tokens},
        "metric_list": ["exact_match"],
        "primary_metric": "exact_match",
        "group_by": ["relation", "known_class"],
        "metadata": {"version": 1.0},
    }
    path = directory / f"{LEARNT}.yaml"
    write_atomically(path, [yaml.safe_dump(task, sort_keys=False, allow_unicode=True).encode()])
    return path
