"""Rolling perplexity of whole documents: nothing is shared, so only packing can help."""

from __future__ import annotations

from typing import Any

from benchmarks.engine import data, ours, parity
from benchmarks.engine.context import Context, Workload, alternate, paired
from benchmarks.engine.harness import ROLLING, Harness

TASK = "xsum_documents"
FIGURES = ("word_perplexity", "byte_perplexity", "bits_per_byte")


def run(context: Context) -> dict[str, Any]:
    """Pair with lm-eval and compare each document and the figures."""
    samples = data.samples(TASK, limit=context.rows)
    harness = Harness(context, {TASK: ([{"text": s.target} for s in samples], ROLLING)})
    harness.choose_batch_size([1, 2, 4], limit=min(12, context.rows))

    def our_side(number: int) -> Any:
        return ours.side(context, [TASK], number, "--limit", str(context.rows))

    done = alternate(context, {"lm-eval": harness.side, "halueval": our_side})
    result = paired(done, "lm-eval")
    last, peer = done["halueval"][-1], done["lm-eval"][-1]
    context.goal("scoring, times as fast as lm-eval", result["ratios"]["scoring"], ">=", 1.5, unit="×")
    mine = {row["target"]: -row["stats"]["bits_per_byte"][0] for row in ours.rows_of(last, TASK)}
    theirs = dict(peer.detail["answers"]["loglikelihood_rolling"])
    difference = parity.largest_difference(mine, theirs)
    (record,) = last.detail["records"]
    figures = {}
    for name in FIGURES:
        figures[name] = {
            "halueval": record["metrics"][name]["value"],
            "lm-eval": peer.detail["figures"][f"bench_{TASK}"][f"{name},none"],
        }
    same = sum(f"{pair['halueval']:.5g}" == f"{pair['lm-eval']:.5g}" for pair in figures.values())
    context.equal("figures equal to 5 digits", same, len(FIGURES))
    relative = max(abs(mine[text] - theirs[text]) / abs(theirs[text]) for text in mine)
    context.notes.append(
        f"Log-likelihoods of documents differ by at most {difference:.2g} nats, relative {relative:.1e}. "
        + "; ".join(f"{name} {pair['halueval']:.6g} and {pair['lm-eval']:.6g}" for name, pair in figures.items())
        + "."
    )
    found = {"documents": len(mine), "largest_loglikelihood_difference": difference, "figures": figures}
    return {**result, "parity": found, "engine": last.detail["engine"]}


WORKLOAD = Workload("rolling", "Rolling perplexity, XSum documents", rows=100, rounds=2, run=run)
