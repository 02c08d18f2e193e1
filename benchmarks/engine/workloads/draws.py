"""The load of a probe for what a model knows: 17 answers to each of 10 prompts for a fact."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from benchmarks.engine import backend, data, parity, plain
from benchmarks.engine.context import Context, Side, Workload, alternate, paired

PROMPTS, SHOTS, DRAWS = 10, 4, 16
MAX_NEW_TOKENS, TEMPERATURE, TOP_K, SEED = 10, 0.5, 40, 0
FEWEST = 40
"""Facts that a relation needs to be drawn from."""


def prompts(facts: int) -> list[str]:
    """For each fact, prompts with different examples of its relation; facts go through the relations in turn."""
    draw = random.Random(SEED)  # noqa: S311  reproducible examples, no secret
    by_relation: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for sample in data.samples("facts_qa", limit=10_000, num_fewshot=0):
        by_relation[str(sample.doc["relation"])].append(dict(sample.doc))
    relations = [rows for _, rows in sorted(by_relation.items()) if len(rows) >= FEWEST]
    made = []
    for number in range(facts):
        rows = relations[number % len(relations)]
        fact = draw.choice(rows)
        others = [row for row in rows if row["question"] != fact["question"]]
        for _ in range(PROMPTS):
            examples = [f"Q: {row['question']}\nA: {row['answer']}" for row in draw.sample(others, SHOTS)]
            made.append("\n\n".join([*examples, f"Q: {fact['question']}\nA:"]))
    return made


def run(context: Context) -> dict[str, Any]:
    """Pair with a loop over `generate`; the greedy answers have to be equal."""
    asked = prompts(context.rows)
    requests = []
    for number, prompt in enumerate(asked):
        common = {"type": "generation", "context": prompt, "until": ["\n"], "max_new_tokens": MAX_NEW_TOKENS}
        requests.append(common)
        sampled = {**common, "temperature": TEMPERATURE, "top_k": TOP_K}
        requests += [{**sampled, "seed": number * DRAWS + i} for i in range(DRAWS)]
    options = {"draws": DRAWS, "max_new_tokens": MAX_NEW_TOKENS, "temperature": TEMPERATURE, "top_k": TOP_K}

    def peer(number: int) -> Side:
        return plain.side(context, "draws", asked, f"generate-{number}", **options)

    def ours(number: int) -> Side:
        return backend.side(context, requests, f"halueval-{number}")

    done = alternate(context, {"generate loop": peer, "halueval": ours})
    result = paired(done, "generate loop")
    context.goal("times as fast as the generate loop", result["ratios"]["scoring"], ">=", 5, unit="×")
    theirs = done["generate loop"][-1].detail["answers"]
    mine = done["halueval"][-1].detail["answers"]
    each = DRAWS + 1
    greedy = [(prompt, mine[i * each], theirs[i][0]) for i, prompt in enumerate(asked)]
    found = parity.judge_answers(context, greedy)
    # Draws differ by their random numbers, so only how often they agree with the greedy answer can be compared.
    agree = {
        "halueval": _agreement([mine[i * each : (i + 1) * each] for i in range(len(asked))]),
        "generate loop": _agreement(theirs),
    }
    context.notes.append(
        f"{context.rows} facts × {PROMPTS} prompts × {each} answers. Share of draws equal to the greedy answer: "
        f"{agree['halueval']:.3f} here, {agree['generate loop']:.3f} in the loop."
    )
    engine = done["halueval"][-1].detail["engine"]
    return {**result, "parity": {**found, "draws_equal_to_greedy": agree}, "engine": engine}


def _agreement(answers: list[list[str]]) -> float:
    """Share of the draws that say what the greedy answer, the first, says."""
    same = [draw.strip() == first.strip() for first, *others in answers for draw in others]
    return sum(same) / len(same)


WORKLOAD = Workload("draws", "17 draws × 10 prompts for 20 facts", rows=20, rounds=2, run=run)
