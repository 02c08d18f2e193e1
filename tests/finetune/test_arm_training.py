"""Mitigations inside whole trainings of a tiny model."""

from types import SimpleNamespace

import pytest
from tuning import values, write_task

from halueval.finetune.library import recipe_from
from halueval.finetune.progress import SilentTraining
from halueval.finetune.train import finetune
from halueval.registry import Registry


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    import small_models

    root = tmp_path_factory.mktemp("arms")
    write_task(root / "tasks")
    (root / "tasks" / "news.jsonl").write_text("".join(f'{{"text": "News {i} of Rome."}}\n' for i in range(9)))
    (root / "tasks" / "news.yaml").write_text(
        "task: news\nkind: language_modeling\noutput_type: loglikelihood_rolling\nsource: news.jsonl\n"
        'columns: [text]\ndoc_to_text: ""\ndoc_to_target: "{{text}}"\nmetric_list: [bits_per_byte]\n'
        "primary_metric: bits_per_byte\n"
    )
    return SimpleNamespace(
        root=root, base=small_models.save_causal(root / "tiny"), registry=Registry([root / "tasks"]), made={}
    )


def train(place, name, progress=None, **changes):
    recipe = recipe_from(values(precision="float32", checkpoint_every=2, **changes), None)
    out = place.root / name
    return finetune(recipe, str(place.base), out, registry=place.registry, progress=progress or SilentTraining())


@pytest.fixture
def plain(place):
    if "plain" not in place.made:
        place.made["plain"] = train(place, "plain")
    return place.made["plain"]


@pytest.mark.parametrize(
    "mitigation",
    [
        {"name": "freelb", "steps": 2},
        {"name": "kl-to-base", "over": "general", "task": "news", "texts": 8, "batch": 2},
        {"name": "replay", "task": "news", "share": 0.25},
        {"name": "freeze-lower"},
        {"name": "paraphrase", "copies": 1},
    ],
    ids=lambda mitigation: mitigation["name"],
)
def test_every_mitigation_trains_and_ends_in_other_weights(place, plain, mitigation):
    made = train(place, mitigation["name"], mitigation=[mitigation])
    assert made.weights_sha256 != plain.weights_sha256
    extra = {"replay": 4, "paraphrase": 12}.get(mitigation["name"], 0)
    assert made.examples == plain.examples + extra
    assert made.loss is not None


def test_frozen_layers_keep_their_bytes_and_the_others_learn(place, plain):
    from safetensors.torch import load_file

    made = train(place, "frozen", mitigation=["freeze-lower"])
    base, after = load_file(place.base / "model.safetensors"), load_file(made.path / "model.safetensors")
    same = {name for name in base if base[name].equal(after[name])}
    assert {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"} <= same
    assert not any(".layers.1." in name for name in same)


def test_adapters_are_kept_near_the_base_by_switching_them_off(place):
    lora = {"method": "lora", "lora": {"rank": 2}, "learning_rate": 0.05}
    free = train(place, "free", **lora)
    held = train(place, "held", mitigation=[{"name": "kl-to-base", "weight": 50.0}], **lora)
    assert held.loss > free.loss
    assert held.weights_sha256 != free.weights_sha256


class Stopping(SilentTraining):
    def step(self, step, loss):
        if step == 3:
            raise KeyboardInterrupt


def test_stopped_with_noise_and_half_unfrozen_it_goes_on_to_the_same_weights(place):
    # Noise comes from random numbers, unfreezing from the step: both must be where they were.
    mitigation = ["neftune", {"name": "r3f", "scale": 0.1}, {"name": "ulmfit", "groups": 2, "unfreeze_share": 1.0}]
    whole = train(place, "whole", mitigation=mitigation)
    with pytest.raises(KeyboardInterrupt):
        train(place, "stopped", Stopping(), mitigation=mitigation)
    resumed = train(place, "stopped", mitigation=mitigation)
    assert resumed.steps == whole.steps == 6
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.document["losses"] == whole.document["losses"]
