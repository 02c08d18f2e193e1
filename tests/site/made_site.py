"""Result directories of several scripted models, with lineage, on tasks of three kinds and two languages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from runs import identity, run_fake

from halueval.backends.fake import FakeBackend, hashed_loglikelihood
from halueval.schema import sha256_text


@dataclass(frozen=True)
class Model:
    """A scripted model: shares of answers that are right and that decline, and where it comes from."""

    name: str
    knows: float
    declines: float = 0.1
    base: str | None = None
    size: int | None = 135_000_000
    tasks: tuple[str, ...] = ("facts", "claims", "news")


MODELS = (
    Model("alpha-135m", 0.62),
    Model("alpha-135m-tuned", 0.35, 0.02, base="alpha-135m"),
    Model("alpha-1.7b", 0.80, 0.08, size=1_700_000_000),
    Model("beta-7b", 0.82, 0.1, size=7_000_000_000, tasks=("facts", "claims")),
)

_COMMON = {"columns": ["n", "claim", "text", "region"], "source": "rows.jsonl", "metadata": {"version": 1}}
TASKS = {
    "facts": {
        "kind": "qa",
        "output_type": "generate_until",
        "doc_to_text": "Q: What is the name of fact {{n}}?\nA:",
        "doc_to_target": "name {{n}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
        "metric_list": ["exact_match", "token_f1"],
        "primary_metric": "exact_match",
        "group_by": ["region"],
    },
    "claims": {
        "kind": "classification",
        "output_type": "multiple_choice",
        "doc_to_text": "Claim: {{claim}}\nTrue or false?",
        "doc_to_choice": ["true", "false"],
        "doc_to_target": "{{ n | int % 2 }}",
        "metric_list": ["accuracy", "macro_f1"],
        "primary_metric": "accuracy",
        "group_by": ["region"],
    },
    "news": {
        "kind": "language_modeling",
        "language": "zh",
        "output_type": "loglikelihood_rolling",
        "doc_to_target": "{{text}}",
        "metric_list": ["bits_per_byte"],
        "primary_metric": "bits_per_byte",
    },
}


def chance(*parts) -> float:
    """A number in [0, 1) that depends on the parts, the same everywhere."""
    return int(sha256_text("\x00".join(map(str, parts)))[:8], 16) / 2**32


def write_tasks(directory: Path, n: int, names=TASKS) -> dict[str, Path]:
    """The cards of the tasks, all on the same `n` rows."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = (
        {"n": i, "claim": f"Thing {i} is a thing.", "text": f"第{i}条新闻。今天没有雨。", "region": f"region {i % 4}"}
        for i in range(n)
    )
    (directory / "rows.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    paths = {}
    for name in names:
        paths[name] = directory / f"{name}.yaml"
        card = {"task": name, **_COMMON, **TASKS[name]}
        paths[name].write_text(yaml.safe_dump(card, allow_unicode=True), encoding="utf-8")
    return paths


def backend(model: Model) -> FakeBackend:
    """A model that knows, declines and invents by the number in the prompt, as its base does but for the shares."""
    family = model.base or model.name

    def answer(prompt: str) -> str:
        number = prompt.rsplit("fact ", 1)[1].split("?")[0]
        if chance(model.name, "declines", number) < model.declines:
            return " I don't know."
        return f" name {number}" if chance(family, "knows", number) < model.knows else " Atlantis"

    def loglikelihood(context: str, continuation: str) -> float:
        if "Claim: Thing " not in context:
            return hashed_loglikelihood(context, continuation) * (1.6 - model.knows)
        number = int(context.rsplit("Claim: Thing ", 1)[1].split()[0])
        right = continuation.strip() == ("true", "false")[number % 2]
        sure = 2.5 * chance(family, "sure", number)
        return -0.1 - (0.0 if right == (chance(family, "claim", number) < model.knows) else sure)

    made = FakeBackend(answer, loglikelihood=loglikelihood)
    made.num_parameters = model.size
    return made


def write_results(root: Path, models=MODELS, n: int = 40) -> Path:
    """Finished runs of all models; returns the results directory."""
    paths = write_tasks(root / "tasks", n)
    for model in models:
        known = identity(name=model.name, base=model.base, weights_sha256=sha256_text(model.name), source=model.name)
        for task in model.tasks:
            run_fake(paths[task], root / "results", backend(model), model=known)
    return root / "results"
