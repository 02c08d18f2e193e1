"""Whether both sides said the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.engine.context import Context, Side
from benchmarks.engine.data import model_directory
from benchmarks.engine.process import BenchError


def largest_difference(ours: Mapping[Any, float], theirs: Mapping[Any, float]) -> float:
    """Largest absolute difference over the same keys.

    Raises:
        BenchError: one side was asked what the other was not.
    """
    if set(ours) != set(theirs):
        raise BenchError(
            f"the sides were not asked the same: {len(set(ours) - set(theirs))} requests only ours, "
            f"{len(set(theirs) - set(ours))} only the peer's, of {len(ours)}"
        )
    return max(abs(ours[key] - theirs[key]) for key in ours)


def peer_likelihoods(side: Side) -> dict[tuple[str, str], float]:
    """What lm-evaluation-harness answered, by context and continuation."""
    return {(context, text): value for context, text, value in side.detail["answers"]["loglikelihood"]}


def judge_likelihoods(context: Context, ours: Mapping[Any, float], theirs: Mapping[Any, float]) -> dict[str, Any]:
    """Hold log-likelihoods to 1e-3 and say how far apart they were."""
    difference = largest_difference(ours, theirs)
    context.goal("largest log-likelihood difference", difference, "<=", 1e-3)
    return {"requests": len(ours), "largest_loglikelihood_difference": difference}


def first_difference(left: Sequence[int], right: Sequence[int]) -> int | None:
    """Where two token sequences part; None where they are equal."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return None if len(left) == len(right) else min(len(left), len(right))


TIE = 1e-3
"""Logits nearer than this are a tie in float32: rounding decides between them."""


def explain(prompt: str, ours: str, theirs: str) -> dict[str, Any]:
    """What the model's plain pass says at the token where two greedy answers part.

    Returns:
        Both answers, the two largest logits there and their distance; `tie` says whether it is below `TIE`.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_directory(), local_files_only=True)
    left, right = (tokenizer(prompt + answer, add_special_tokens=False)["input_ids"] for answer in (ours, theirs))
    position = first_difference(left, right)
    told: dict[str, Any] = {"prompt_end": prompt[-80:], "halueval": ours, "peer": theirs}
    if not position:
        return {**told, "gap": None, "tie": False}
    model = AutoModelForCausalLM.from_pretrained(model_directory(), dtype=torch.float32, local_files_only=True).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([left[:position]]), logits_to_keep=1).logits[0, -1]
    top = logits.topk(2)
    gap = float(top.values[0] - top.values[1])
    tokens = [tokenizer.decode([int(index)]) for index in top.indices]
    return {**told, "position": position, "top_tokens": tokens, "gap": gap, "tie": gap < TIE}


def judge_answers(context: Context, triples: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Count equal greedy answers and explain the rest.

    Args:
        context: of the workload.
        triples: prompt, our answer, the peer's.
    """
    different = [(p, a, b) for p, a, b in triples if a.strip() != b.strip()]
    if different:
        context.say(f"{len(different)} answers differ; looking at the logits …")
    explained = [explain(p, f" {a.strip()}", f" {b.strip()}") for p, a, b in different]
    ties = sum(item["tie"] for item in explained)
    context.equal("equal answers", len(triples) - len(different), len(triples), explained=ties)
    return {"answers": len(triples), "equal": len(triples) - len(different), "ties": ties, "different": explained}
