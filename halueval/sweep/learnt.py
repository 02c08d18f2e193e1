"""The in-task score: how many of the facts that all arms are to learn a checkpoint gives back, asked as in training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from halueval.errors import DataError
from halueval.finetune.examples import Example
from halueval.store import write_atomically

if TYPE_CHECKING:
    from halueval.finetune.prepare import Prepared

LEARNT = "learnt"
"""Name of the task."""


@dataclass(frozen=True, slots=True)
class ScoredFacts:
    """What the in-task score is over.

    Attributes:
        facts: those that every arm is asked to learn, in the order of the first arm.
        of: facts of all arms together.
        left_out: how many of these an arm is not asked to learn; arms that learn all are not named.
    """

    facts: Sequence[Example]
    of: int
    left_out: Mapping[str, int]


def asked(arm: Prepared) -> list[Example]:
    """Facts that an arm is trained on as they are: not held back, dropped, or given another answer."""
    trained = {_key(example) for example in arm.training}
    return [fact for fact in arm.facts if _key(fact) in trained]


def shared_facts(arms: Mapping[str, Prepared]) -> ScoredFacts:
    """Facts that every arm is asked to learn.

    What one arm holds back to tell when to stop, drops, or answers by "I don't know", is left out for all: a score over
    facts that an arm is not to learn would be lower for it by design.

    Raises:
        DataError: there is none, or it has no question and answer.
    """
    by_arm = {name: {_key(fact): fact for fact in asked(arm)} for name, arm in arms.items()}
    every = {_key(fact) for arm in arms.values() for fact in arm.facts}
    first, *others = by_arm.values()
    shared = [fact for key, fact in first.items() if all(key in known for known in others)]
    if not shared:
        counts = ", ".join(f"{name} {len(known)}" for name, known in by_arm.items())
        raise DataError(f"no fact is learnt by all arms (they learn: {counts}), so that there is no score to match")
    bare = sum(not example.prompt or not example.completion.strip() for example in shared)
    if bare:
        raise DataError(
            f"{bare} of {len(shared)} training examples have no prompt or completion to score; a sweep needs questions "
            "and answers (data of kind new-knowledge, task, or a file with prompt and completion)"
        )
    left_out = {name: len(every) - len(known) for name, known in by_arm.items() if len(known) < len(every)}
    return ScoredFacts(shared, len(every), left_out)


def learnt_over(scored: int, of: int, left_out: Mapping[str, int]) -> str:
    """A sentence on which facts the score is over, where these are not all."""
    arms = ", ".join(f"{name} ({count})" for name, count in left_out.items())
    return f"learnt is over {scored} of {of} facts, those that every arm is asked to learn; left out by {arms}"


def _key(example: Example) -> tuple[str, str]:
    return example.prompt, example.completion


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
