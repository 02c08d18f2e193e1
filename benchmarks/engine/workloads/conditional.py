"""Likelihood of summaries given their articles: long contexts that share nothing."""

from __future__ import annotations

from typing import Any

from benchmarks.engine import backend, data, parity, plain
from benchmarks.engine.context import Context, Side, Workload, alternate, paired, timings


def run(context: Context) -> dict[str, Any]:
    """Pair with one forward pass for each pair and compare log-likelihoods."""
    found, source = data.summary_pairs(context.settings.qags, context.rows)
    pairs = [(f"Article: {article}\nSummary in one sentence:", f" {summary.strip()}") for article, summary in found]
    requests = [{"type": "loglikelihood", "context": a, "continuation": b} for a, b in pairs]

    def peer(number: int) -> Side:
        return plain.side(context, "pairs", pairs, f"one-by-one-{number}")

    def ours(number: int) -> Side:
        return backend.side(context, requests, f"halueval-{number}")

    def automatic(number: int) -> Side:
        return backend.side(context, requests, f"halueval-auto-{number}", dtype="auto")

    done = alternate(context, {"one by one": peer, "halueval": ours, "--dtype auto": automatic})
    result = paired(done, "one by one")
    context.goal("times as fast as one by one", result["ratios"]["scoring"], ">=", 2, unit="×")
    default = timings(done["--dtype auto"])
    result["sides"]["halueval --dtype auto"] = default
    ratio = result["sides"]["one by one"]["scoring_median"] / default["scoring_median"]
    context.goal("times as fast as one by one in float32, with --dtype auto", ratio, ">=", 2, unit="×")
    mine, theirs = (dict(zip(pairs, done[s][-1].detail["answers"], strict=True)) for s in ("halueval", "one by one"))
    compared = parity.judge_likelihoods(context, mine, theirs)
    context.notes.append(f"Data: {len(pairs)} pairs, {source}.")
    return {**result, "source": source, "parity": compared, "engine": done["halueval"][-1].detail["engine"]}


WORKLOAD = Workload("conditional", "Conditional likelihood of 235 summaries", rows=235, rounds=2, run=run)
