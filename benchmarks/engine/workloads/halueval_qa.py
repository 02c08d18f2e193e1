"""HaluEval QA: is this answer hallucinated, Yes or No, for the right and the hallucinated one."""

from __future__ import annotations

from typing import Any

from benchmarks.engine import data, ours, parity
from benchmarks.engine.context import Context, Workload, alternate, paired
from benchmarks.engine.harness import MULTIPLE_CHOICE, Harness

TASK = "halueval_qa"


def run(context: Context) -> dict[str, Any]:
    """Pair with lm-eval and compare log-likelihoods."""
    samples = data.samples(TASK, limit=context.rows)
    harness = Harness(context, {TASK: (data.choice_rows(samples), MULTIPLE_CHOICE)})
    harness.choose_batch_size([1, 8, 16], limit=min(16, context.rows))

    def our_side(number: int) -> Any:
        return ours.side(context, [TASK], number, "--limit", str(context.rows))

    done = alternate(context, {"lm-eval": harness.side, "halueval": our_side})
    result = paired(done, "lm-eval")
    last = done["halueval"][-1]
    context.goal("scoring, times as fast as lm-eval", result["ratios"]["scoring"], ">=", 3, unit="×")
    found = parity.judge_likelihoods(
        context, ours.likelihoods(last, [TASK]), parity.peer_likelihoods(done["lm-eval"][-1])
    )
    context.notes.append(
        f"{context.rows} rows are {len(samples)} questions of two one-word choices; lm-eval itself runs the context "
        "of such choices once, so what is left to share is the knowledge before both answers."
    )
    return {**result, "parity": found, "engine": last.detail["engine"]}


WORKLOAD = Workload("halueval_qa", "HaluEval QA, both variants, knowledge given", rows=200, rounds=2, run=run)
