"""Mitigations inside whole trainings of a tiny model."""

from types import SimpleNamespace

import pytest
from tuning import values, write_news, write_task

from halueval.finetune.library import recipe_from
from halueval.finetune.progress import SilentTraining
from halueval.finetune.train import finetune
from halueval.registry import Registry


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    import small_models

    root = tmp_path_factory.mktemp("arms")
    write_task(root / "tasks")
    write_news(root / "tasks")
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


@pytest.mark.parametrize(
    "mitigation",
    [
        ["neftune", {"name": "kl-to-base", "weight": 2.0}],
        [{"name": "ulmfit", "groups": 2, "unfreeze_share": 0.5}, "freeze-lower"],
        ["r3f", {"name": "freelb", "steps": 2}],
        [{"name": "replay", "task": "news", "share": 0.25}, {"name": "paraphrase", "copies": 1}],
    ],
    ids=lambda mitigation: "-".join(arm if isinstance(arm, str) else arm["name"] for arm in mitigation),
)
def test_the_order_in_which_a_recipe_names_mitigations_does_not_matter(place, mitigation):
    name = "-".join(arm if isinstance(arm, str) else arm["name"] for arm in mitigation)
    one, other = train(place, name, mitigation=mitigation), train(place, f"{name}-2", mitigation=mitigation[::-1])
    assert one.weights_sha256 == other.weights_sha256
    if "freeze-lower" in mitigation:
        from safetensors.torch import load_file

        base, after = load_file(place.base / "model.safetensors"), load_file(one.path / "model.safetensors")
        for frozen in ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"):
            assert base[frozen].equal(after[frozen])


def test_the_base_that_predictions_are_kept_near_sees_no_noise(place):
    import torch
    from transformers import AutoModelForCausalLM

    from halueval.finetune.arms.catalog import build_arms

    arms = build_arms(recipe_from(values(mitigation=["neftune", "kl-to-base"], precision="float32"), None))
    model = AutoModelForCausalLM.from_pretrained(place.base).train()
    for arm in arms:
        arm.prepare_model(model)
    keep = next(arm for arm in arms if arm.name == "kl-to-base")
    inputs = {"input_ids": torch.tensor([[5, 6, 7]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    plain = AutoModelForCausalLM.from_pretrained(place.base).eval()
    assert torch.equal(keep._base_logits(model, inputs), plain(**inputs).logits)
    assert not torch.equal(model(**inputs).logits, plain(**inputs).logits)


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
