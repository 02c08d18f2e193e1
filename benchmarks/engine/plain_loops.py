"""The plain way with transformers alone; a script that imports nothing of halueval.

    python plain_loops.py SPEC.json OUT.json

Loops as they are commonly written: `generate` with `num_return_sequences` for each prompt, one forward pass for each
pair (with the logits of its continuation only, or of every position), and padded batches of whole logits.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BATCH = 8


@functools.cache
def line_ends(tokenizer: Any) -> list[int]:
    """Every token with a line break in it, and the end token: cheaper than stop strings, and the same answers."""
    breaks = [i for i in range(len(tokenizer)) if "\n" in tokenizer.decode([i])]
    return [*breaks, tokenizer.eos_token_id]


def draws(model: Any, tokenizer: Any, rows: Sequence[str], options: dict[str, Any]) -> list[Any]:
    """For each prompt one greedy answer and a batch of sampled ones, each up to the end of its line."""
    import torch
    from transformers import GenerationConfig

    torch.manual_seed(0)
    ends = line_ends(tokenizer)
    common = {"max_new_tokens": options["max_new_tokens"], "eos_token_id": ends, "pad_token_id": ends[-1]}
    greedy = GenerationConfig(do_sample=False, **common)
    sampled = GenerationConfig(
        do_sample=True,
        temperature=options["temperature"],
        top_k=options["top_k"],
        top_p=1.0,
        num_return_sequences=options["draws"],
        **common,
    )
    answers = []
    for prompt in rows:
        inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        size = inputs["input_ids"].shape[1]
        found = [model.generate(**inputs, generation_config=config)[:, size:] for config in (greedy, sampled)]
        texts = [t for part in found for t in tokenizer.batch_decode(part, skip_special_tokens=True)]
        answers.append([text.split("\n", 1)[0] for text in texts])
    return answers


def pairs(model: Any, tokenizer: Any, rows: Sequence[Sequence[str]], options: dict[str, Any]) -> list[float]:
    """Log-likelihood of each continuation, one forward pass a pair; only its positions reach the head."""
    import torch

    del options
    answers = []
    for context, continuation in rows:
        ids = tokenizer(context + continuation, add_special_tokens=False)["input_ids"]
        size = len(ids) - len(tokenizer(context, add_special_tokens=False)["input_ids"])
        logits = model(torch.tensor([ids[:-1]]), logits_to_keep=size, use_cache=False).logits[0]
        chosen = logits.log_softmax(-1).gather(1, torch.tensor(ids[-size:])[:, None])
        answers.append(float(chosen.sum()))
    return answers


def whole_pairs(model: Any, tokenizer: Any, rows: Sequence[Sequence[str]], options: dict[str, Any]) -> list[float]:
    """Log-likelihood of each continuation, one forward pass a pair, with logits of every position, all normalised.

    So the loop is mostly written, and so lm-evaluation-harness does it (`lm_eval/models/huggingface.py`,
    `_loglikelihood_tokens`).
    """
    import torch

    del options
    answers = []
    for context, continuation in rows:
        ids = tokenizer(context + continuation, add_special_tokens=False)["input_ids"]
        size = len(ids) - len(tokenizer(context, add_special_tokens=False)["input_ids"])
        scores = model(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)
        chosen = scores[-size:].gather(1, torch.tensor(ids[-size:])[:, None])
        answers.append(float(chosen.sum()))
    return answers


def batches(model: Any, tokenizer: Any, rows: Sequence[Sequence[str]], options: dict[str, Any]) -> list[float]:
    """Log-likelihoods in padded batches, longest first, with logits of every position."""
    import torch

    del options
    ids = [tokenizer(a + b, add_special_tokens=False)["input_ids"] for a, b in rows]
    sizes = [
        len(whole) - len(tokenizer(a, add_special_tokens=False)["input_ids"])
        for whole, (a, _) in zip(ids, rows, strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda i: -len(ids[i]))
    answers = [0.0] * len(rows)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        width = max(len(ids[i]) for i in batch)
        inputs = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros_like(inputs)
        for place, i in enumerate(batch):
            inputs[place, : len(ids[i])] = torch.tensor(ids[i])
            mask[place, : len(ids[i])] = 1
        scores = model(inputs, attention_mask=mask).logits.log_softmax(-1)
        for place, i in enumerate(batch):
            end = len(ids[i]) - 1
            part = scores[place, end - sizes[i] : end]
            answers[i] = float(part.gather(1, torch.tensor(ids[i][-sizes[i] :])[:, None]).sum())
    return answers


LOOPS = {"draws": draws, "pairs": pairs, "whole_pairs": whole_pairs, "batches": batches}


def main(source: Path, out: Path) -> None:
    """Run the loop that the specification names, timing all but the loading."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = json.loads(source.read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(spec["model"], local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(spec["model"], dtype=torch.float32, local_files_only=True).eval()
    if spec["work"] == "draws":
        line_ends(tokenizer)  # looked up before the clock starts
    started = time.perf_counter()
    with torch.inference_mode():
        answers = LOOPS[spec["work"]](model, tokenizer, spec["rows"], spec["options"])
    seconds = time.perf_counter() - started
    out.write_text(json.dumps({"seconds": seconds, "answers": answers}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
