"""How well rules for closed-book answers agree with people: exact match, token F1, containment, answer support.

    python benchmarks/answer_support.py DIRECTORY > benchmarks/answer_support.md

DIRECTORY holds `NQ301_human.tsv` and `NQ301_BEM.tsv` of github.com/ehsk/OpenQA-eval (Kamalloo et al. 2023): answers
of twelve systems to 301 questions of Natural Questions, judged by people. The gold answers stand in the second file;
rows are joined by normalised question and answer. Intervals are of 10,000 bootstraps that draw questions.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halueval.answers.support import Support, support
from halueval.scorers.token_f1 import token_f1
from halueval.text import normalize_answer, same_answer, tokens

REPLICATES = 10_000
FIGURES = ("accuracy", "balanced accuracy", "precision", "recall", "kappa")
Floats = np.ndarray


@dataclass(frozen=True)
class Judgement:
    """An answer, the gold answers of its question, what people said, and what the BEM model said."""

    question: str
    answer: str
    references: tuple[str, ...]
    accepted: bool
    bem: bool


def read(directory: Path) -> list[Judgement]:
    """Join the two files; a judgement without gold answers is left out."""

    def rows(name: str) -> list[dict[str, str]]:
        with (directory / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    def key(row: dict[str, str]) -> tuple[str, str]:
        return normalize_answer(row["Question"]), normalize_answer(row["Model answer"])

    gold = {key(row): row for row in rows("NQ301_BEM.tsv")}
    out = []
    for row in rows("NQ301_human.tsv"):
        if found := gold.get(key(row)):
            references = tuple(part.strip() for part in found["Gold answers"].split(" | "))
            accepted, bem = row["Acceptable?"] == "Yes", found["Acceptable?"] == "Yes"
            out.append(Judgement(key(row)[0], row["Model answer"], references, accepted, bem))
    return out


def exact(judgement: Judgement) -> bool:
    """A reference is equalled."""
    return any(same_answer(judgement.answer, reference) for reference in judgement.references)


def half_f1(judgement: Judgement) -> bool:
    """Token F1 with a reference is over one half."""
    return max(token_f1(judgement.answer, reference) for reference in judgement.references) > 0.5


def contains(judgement: Judgement) -> bool:
    """A normalised reference is a part of the normalised answer."""
    answer = normalize_answer(judgement.answer)
    return any(n in answer for n in map(normalize_answer, judgement.references) if n)


def decide(judgement: Judgement) -> Support:
    """The rule under test."""
    return support(judgement.answer, judgement.references)


OURS = "**answer support**"
RULES: dict[str, Callable[[Judgement], bool]] = {
    "exact match": exact,
    "token F1 > .5": half_f1,
    "plain containment": contains,
    OURS: lambda judgement: decide(judgement).supported,
    "BEM, as published": lambda judgement: judgement.bem,
}


def figures(counts: Floats) -> Floats:
    """Figures of confusion counts (both, rule only, people only, neither) of shape (b, 4): shape (b, 5)."""
    both, rule, people, neither = np.asarray(counts, float).T
    total = both + rule + people + neither
    right = (both + neither) / total
    chance = ((both + rule) * (both + people) + (people + neither) * (rule + neither)) / total**2
    recall, specificity = both / (both + people), neither / (rule + neither)
    return np.stack(
        [right, (recall + specificity) / 2, both / (both + rule), recall, (right - chance) / (1 - chance)], axis=1
    )


def confusion(judgements: Sequence[Judgement], verdicts: Sequence[bool]) -> Floats:
    """Confusion counts of each question: shape (questions, 4)."""
    index = {question: i for i, question in enumerate(dict.fromkeys(j.question for j in judgements))}
    out = np.zeros((len(index), 4))
    for judgement, verdict in zip(judgements, verdicts, strict=True):
        out[index[judgement.question], 2 * (not verdict) + (not judgement.accepted)] += 1
    return out


def measure(judgements: Sequence[Judgement], rule: Callable[[Judgement], bool]) -> tuple[Floats, Floats]:
    """Figures, shape (5,), and their replicates, shape (10,000, 5), of the same draws for every rule."""
    counts = confusion(judgements, [rule(judgement) for judgement in judgements])
    n = len(counts)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), REPLICATES)
    return figures(counts.sum(0, keepdims=True))[0], figures(weights @ counts)


def shown(values: Floats, replicates: Floats, sign: str = "") -> str:
    """Cells of a row: each figure in % with its 95 % interval."""
    low, high = np.percentile(replicates, [2.5, 97.5], axis=0)
    cells = [
        f"{100 * v:{sign}.1f} [{100 * a:{sign}.1f}, {100 * b:{sign}.1f}]"
        for v, a, b in zip(values, low, high, strict=True)
    ]
    return " | ".join(cells)


def missed(judgement: Judgement, rule: str) -> str:
    """Which kind of accepted answer the rules did not see, by form alone."""
    if rule != "none":
        return f"refused by a guard: {rule}"
    answer = set(tokens(judgement.answer))
    shared = [(set(tokens(reference)), len(set(tokens(reference)) & answer)) for reference in judgement.references]
    if any(answer and answer <= words for words, _ in shared):
        return "part of a reference (a surname, the city without the state)"
    if any(2 * n >= len(words) for words, n in shared if words):
        return "shares half of a reference's words or more"
    return "shares fewer words" if any(n for _, n in shared) else "shares no word with any reference"


def table(counter: Counter[str], head: str) -> list[str]:
    """A Markdown table of counts, largest first."""
    rows = [f"| {name} | {count} |" for name, count in sorted(counter.items(), key=lambda c: (-c[1], c[0]))]
    return [f"| {head} | answers |", "|---|---:|", *rows, ""]


def main(directory: Path) -> None:
    """Print the page."""
    judgements = read(directory)
    n, accepted = len(judgements), sum(j.accepted for j in judgements)
    print("# Answer support against people\n")
    print("Written by `python benchmarks/answer_support.py DIRECTORY`. Data: OpenQA-eval's NQ301 (Kamalloo et al.")
    print(f"2023), {n:,} answers of twelve systems to {len({j.question for j in judgements})} questions, {accepted}")
    print("accepted by people. Many answers that equal a reference were left out of it by its authors, so all figures")
    print("are of the harder answers: they say how the rules compare, not how often a task is graded right. In")
    print("brackets 95 % intervals, questions resampled. The rules were written on examples of their own and on")
    print("TriviaQA's lists of aliases. They were settled before they were run on this data; no decision was")
    print("changed after.\n")
    head = f"{' | '.join(FIGURES)} |\n|---|{'---:|' * len(FIGURES)}"
    measured = {name: measure(judgements, rule) for name, rule in RULES.items()}
    print(f"| rule, in % | {head}")
    for name, (values, replicates) in measured.items():
        print(f"| {name} | {shown(values, replicates)} |")
    ours, draws = measured[OURS]
    print(f"\n| answer support minus …, points | {head}")
    for name, (values, replicates) in measured.items():
        if name != OURS:
            print(f"| {name} | {shown(ours - values, draws - replicates, '+')} |")
    decided = [(judgement, decide(judgement)) for judgement in judgements]
    print("\nKappa is Cohen's, times 100. BEM is a neural judge; its verdicts are those of the data's authors.\n")
    print("## What decided\n")
    print("| rule | supported | of these accepted by people |\n|---|---:|---:|")
    for rule in dict.fromkeys(d.rule for _, d in decided if d.supported):
        of_rule = [judgement.accepted for judgement, d in decided if d.supported and d.rule == rule]
        print(f"| {rule} | {len(of_rule)} | {sum(of_rule)} |")
    print("\n## What people accept and the rules do not\n")
    kinds = Counter(missed(judgement, d.rule) for judgement, d in decided if judgement.accepted and not d.supported)
    print("\n".join(table(kinds, "kind, by form")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
