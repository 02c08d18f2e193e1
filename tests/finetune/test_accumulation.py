"""Accumulating the gradients of k batches of b examples is one batch of k·b."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from tuning import values, write_news, write_task

from halueval.finetune.arms.kl import KLToBase
from halueval.finetune.library import recipe_from
from halueval.finetune.train import finetune
from halueval.finetune.trainers import _HookedTrainer
from halueval.registry import Registry


class SeenError(Exception):
    pass


@pytest.fixture
def place(tmp_path):
    write_task(tmp_path / "tasks")
    write_news(tmp_path / "tasks")
    rows = [{"text": "A film " + "very " * i + "good", "label": ("negative", "positive")[i % 2]} for i in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SimpleNamespace(root=tmp_path, registry=Registry([tmp_path / "tasks"]))


def gradients(place, base, monkeypatch, name, **changes):
    """Of the first optimizer step, before it is taken."""
    found = {}

    def look(self, model, grad_norm=None):
        found.update({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        raise SeenError

    prepare = KLToBase.prepare_model

    def moved(self, model):
        # A base that is somewhere else, so that there is something to be pulled to.
        prepare(self, model)
        with torch.no_grad():
            for parameter in self.base.parameters():
                parameter.mul_(0.7)

    monkeypatch.setattr(_HookedTrainer, "_get_grad_norm", look)
    monkeypatch.setattr(KLToBase, "prepare_model", moved)
    recipe = recipe_from(values(precision="float32", epochs=1, evaluate=[], max_grad_norm=0, **changes), None)
    with pytest.raises(SeenError):
        finetune(recipe, str(base), place.root / name, registry=place.registry)
    monkeypatch.undo()
    return found


FACTS = {"kind": "task", "task": "little", "examples": 6}
GENERAL = {"name": "kl-to-base", "over": "general", "task": "news", "texts": 8, "batch": 2, "weight": 3.0}


@pytest.mark.parametrize(
    ("architecture", "mitigation"),
    [
        ("causal", []),
        ("causal", [{"name": "kl-to-base", "weight": 3.0}]),
        ("causal", [GENERAL]),
        ("seq2seq", []),
        ("seq2seq", [{"name": "kl-to-base", "weight": 3.0}]),
        ("classifier", []),
        ("classifier", [{"name": "kl-to-base", "weight": 3.0}]),
    ],
)
def test_accumulated_gradients_are_those_of_the_whole_batch(place, models, monkeypatch, architecture, mitigation):
    small = {"causal": "causal", "seq2seq": "t5", "classifier": "bert"}[architecture]
    base = shutil.copytree(models(small), place.root / "base")
    config = json.loads((base / "config.json").read_text())
    still = {key: 0.0 for key in config if "dropout" in key and isinstance(config[key], float)}
    (base / "config.json").write_text(json.dumps({**config, **still}))
    data = {"kind": "file", "path": str(place.root / "rows.jsonl")} if architecture == "classifier" else FACTS
    common = {"architecture": architecture, "data": data, "mitigation": mitigation}
    whole = gradients(place, base, monkeypatch, "whole", batch_size=6, **common)
    parts = gradients(place, base, monkeypatch, "parts", batch_size=2, gradient_accumulation=3, **common)
    assert whole.keys() == parts.keys()
    largest = max(gradient.abs().max().item() for gradient in whole.values())
    assert largest > 1e-3
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-3, atol=1e-4 * largest)
