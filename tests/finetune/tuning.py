"""A small task of invented facts and recipes on it, for the tests of fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

RELATIONS = {
    "capital": ("What is the capital of {}?", ["Arl", "Bem", "Cor", "Dun", "Esk", "Fim", "Gol", "Hup"]),
    "metal": ("Which metal has the symbol {}?", ["Xa", "Xb", "Xc", "Xd", "Xe", "Xf", "Xg", "Xh"]),
}


def write_task(directory: Path, name: str = "little") -> Path:
    """A task of sixteen facts in two relations."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = [
        {"relation": relation, "question": question.format(subject), "answer": f"{subject}ton", "aliases": []}
        for relation, (question, subjects) in RELATIONS.items()
        for subject in subjects
    ]
    (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = directory / f"{name}.yaml"
    path.write_text(
        f"task: {name}\nkind: qa\noutput_type: generate_until\nsource: {name}.jsonl\n"
        "columns: [relation, question, answer, aliases]\n"
        'doc_to_text: "Q: {{question}}\\nA:"\ndoc_to_target: "{{ [answer] + aliases }}"\n'
        'generation_kwargs: {until: ["\\n"], max_gen_toks: 6}\nprimary_metric: exact_match\ngroup_by: [relation]\n'
    )
    return path


NEWS = tuple(f"News {i} of Rome." for i in range(9))


def write_news(directory: Path, texts: Sequence[str] = NEWS) -> Path:
    """A task of plain texts, `news`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "news.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    path = directory / "news.yaml"
    path.write_text(
        "task: news\nkind: language_modeling\noutput_type: loglikelihood_rolling\nsource: news.jsonl\n"
        'columns: [text]\ndoc_to_text: ""\ndoc_to_target: "{{text}}"\nmetric_list: [bits_per_byte]\n'
        "primary_metric: bits_per_byte\n"
    )
    return path


def values(**changes):
    """A recipe on invented facts of that task that trains a few steps."""
    return {
        "name": "little-recipe",
        "data": {"kind": "new-knowledge", "task": "little", "facts": 12, "invented": True, "relations": ["capital"]},
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 0.003,
        "evaluate": ["little"],
        **changes,
    }


def write_labels(path: Path, task: Path, weights: str, known: int, adapter: str | None = None) -> Path:
    """Probe labels of the task: the first `known` facts of each relation HighlyKnown, the rest Unknown."""
    from halueval.dataset import load_data
    from halueval.known import KnownFact, LabelHeader, label_lines
    from halueval.prompt import build_samples
    from halueval.registry import Registry

    spec = Registry().task(str(task))
    samples = build_samples(spec, load_data(spec, base=task.parent), num_fewshot=0, seed=0, limit=None)
    facts = []
    for sample in samples:
        position = sum(1 for other in samples[: samples.index(sample)] if other.group == sample.group)
        label = "HighlyKnown" if position < known else "Unknown"
        right = float(label == "HighlyKnown")
        facts.append(
            KnownFact(sample.sample_id, sample.doc_hash, label, right, right, 10, 160, bool(right), sample.group)
        )
    header = LabelHeader("tiny", weights, adapter, spec.task, "t", "d", {})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(label_lines(header, facts)))
    return path


def make_place(root: Path):
    """The task, and a model whose dropout draws random numbers, which a resumed training must draw alike."""
    import small_models

    from halueval.registry import Registry

    write_task(root / "tasks")
    base = small_models.save_causal(root / "tiny")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.2}))
    return SimpleNamespace(root=root, base=base, registry=Registry([root / "tasks"]))


def train(place, name, model=None, **changes):
    """Fine-tune the model of a place by a changed recipe."""
    from halueval.finetune.library import recipe_from
    from halueval.finetune.train import finetune

    options = {key: changes.pop(key) for key in ("seed", "fresh", "allow_overlap", "progress") if key in changes}
    recipe = recipe_from(values(**changes), None)
    return finetune(recipe, str(model or place.base), place.root / name, registry=place.registry, **options)
