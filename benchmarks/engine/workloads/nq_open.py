"""NQ-open with five examples, greedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from benchmarks.engine import data, ours, parity
from benchmarks.engine.context import Context, Workload, alternate, paired
from benchmarks.engine.harness import Harness
from halueval.registry import packaged_directory

TASK, SHOTS = "nq_open", 5


def same_examples(context: Context) -> str:
    """The task with one set of five examples for all questions, which is how a fixed prompt is given."""
    path = context.folder / "nq_open_same_examples.yaml"
    card = yaml.safe_load((packaged_directory("tasks") / f"{TASK}.yaml").read_text(encoding="utf-8"))
    card |= {"task": path.stem, "fewshot_config": {"sampler": "first_n"}, "num_fewshot": SHOTS}
    path.write_text(yaml.safe_dump(card, allow_unicode=True), encoding="utf-8")
    return str(path)


def run(context: Context) -> dict[str, Any]:
    """Pair with lm-eval, with examples of its own for each question."""
    return compare(context, TASK, TASK)


def run_same(context: Context) -> dict[str, Any]:
    """Pair with lm-eval, with the same examples for all questions."""
    path = same_examples(context)
    return compare(context, path, Path(path).stem)


def compare(context: Context, task: str, name: str) -> dict[str, Any]:
    """Pair with lm-eval and compare the answers."""
    samples = data.samples(task, limit=context.rows, num_fewshot=SHOTS)
    keys = {
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{target}}",
        "generation_kwargs": {"until": ["\n", ".", ","], "max_gen_toks": 32, "do_sample": False},
        "metric_list": [{"metric": "exact_match"}],
    }
    rows = [{"prompt": s.prompt, "target": s.target} for s in samples]
    harness = Harness(context, {name: (rows, keys)})
    harness.choose_batch_size([1, 8, 16], limit=min(16, context.rows))

    def our_side(number: int) -> Any:
        return ours.side(context, [task], number, "--num-fewshot", str(SHOTS), "--limit", str(context.rows))

    done = alternate(context, {"lm-eval": harness.side, "halueval": our_side})
    result = paired(done, "lm-eval")
    last = done["halueval"][-1]
    context.goal("scoring, times as fast as lm-eval", result["ratios"]["scoring"], ">=", 4, unit="×")
    theirs = dict(done["lm-eval"][-1].detail["answers"]["generate_until"])
    triples = [(row["prompt"], row["response"], theirs[row["prompt"]]) for row in ours.rows_of(last, name)]
    found = parity.judge_answers(context, triples)
    asked = last.detail["engine"]["requests"]
    if asked > len(samples):
        context.notes.append(
            f"`halueval run` made {asked} requests: it also scores the reference answer of each question, which "
            "lm-eval does not and which is in our time."
        )
    return {**result, "parity": found, "engine": last.detail["engine"]}


WORKLOAD = Workload("nq_open", "NQ-open, 5-shot, greedy, other examples for each question", rows=100, rounds=2, run=run)
SAME = Workload("nq_open_same", "NQ-open, 5-shot, greedy, the same examples for all", rows=100, rounds=2, run=run_same)
