"""Arms by depth on small models of each architecture."""

import pytest
import small_models
import torch
from tuning import values

from halueval.errors import ModelError
from halueval.finetune.arms.layers import (
    FreezeLower,
    FreezeSettings,
    GradualSettings,
    GradualUnfreezing,
    by_depth,
    tiers_due,
)
from halueval.finetune.library import recipe_from


def load(kind, tmp_path):
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
    )

    loaders = {
        "causal": AutoModelForCausalLM,
        "t5": AutoModelForSeq2SeqLM,
        "bart": AutoModelForSeq2SeqLM,
        "bert": AutoModelForSequenceClassification,
    }
    return loaders[kind].from_pretrained(getattr(small_models, f"save_{kind}")(tmp_path / kind))


@pytest.mark.parametrize(
    ("kind", "blocks", "lowest", "highest"),
    [
        ("causal", 2, {"model.embed_tokens.weight"}, {"model.norm.weight", "lm_head.weight"}),
        ("bert", 2, {"bert.embeddings.LayerNorm.weight"}, {"bert.pooler.dense.weight", "classifier.weight"}),
        ("t5", 4, {"shared.weight"}, {"encoder.final_layer_norm.weight", "decoder.final_layer_norm.weight"}),
        ("bart", 4, {"model.shared.weight", "model.decoder.embed_positions.weight"}, set()),
    ],
)
def test_parameters_are_told_apart_by_depth(tmp_path, kind, blocks, lowest, highest):
    model = load(kind, tmp_path)
    depths = by_depth(model)
    names = [{name for name, _ in part} for part in depths]
    assert len(depths) == blocks + 2
    assert lowest <= names[0]
    assert highest <= names[-1]
    assert sorted(name for part in names for name in part) == sorted(name for name, _ in model.named_parameters())
    assert all(part for part in names[1:-1])


def test_a_model_without_layers_is_refused():
    with pytest.raises(ModelError, match="Linear has no list of layers"):
        by_depth(torch.nn.Linear(2, 2))


def test_lower_half_is_frozen_with_the_embeddings(tmp_path):
    model = load("causal", tmp_path)
    FreezeLower(FreezeSettings(share=0.5)).prepare_model(model)
    frozen = {name.split(".layers.")[-1].split(".")[0] for name, p in model.named_parameters() if not p.requires_grad}
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert frozen == {"model", "0"}  # the embedding, the first of two blocks
    assert {"model.norm.weight", "lm_head.weight", "model.layers.1.mlp.up_proj.weight"} <= learning


def test_learning_rates_fall_by_2_6_a_tier_and_vectors_have_no_weight_decay(tmp_path):
    model = load("causal", tmp_path)
    arm = GradualUnfreezing(GradualSettings(groups=2, unfreeze_share=0.5))
    arm.prepare_model(model)
    recipe = recipe_from(values(learning_rate=0.01, weight_decay=0.1), None)
    groups = arm.parameter_groups(model, recipe)
    # head with the upper block, lower block, embeddings (a matrix alone)
    assert [group["lr"] for group in groups] == pytest.approx([0.01, 0.01, 0.01 / 2.6, 0.01 / 2.6, 0.01 / 6.76])
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0, 0.1, 0.0, 0.1]
    assert sum(len(group["params"]) for group in groups) == sum(1 for _ in model.parameters())


def test_tiers_are_unfrozen_from_above_in_equal_stretches(tmp_path):
    # Five tiers over half of sixteen steps: one more every two steps.
    assert [tiers_due(step, 16, 5, 0.5) for step in range(10)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert tiers_due(0, 16, 5, 0.0) == 5
    model = load("causal", tmp_path)
    arm = GradualUnfreezing(GradualSettings(groups=2, unfreeze_share=0.5))
    arm.prepare_model(model)
    arm.before_step(0, 8)
    assert not model.model.layers[0].mlp.up_proj.weight.requires_grad
    assert model.model.layers[1].mlp.up_proj.weight.requires_grad
    arm.before_step(2, 8)
    assert model.model.layers[0].mlp.up_proj.weight.requires_grad
    assert not model.model.embed_tokens.weight.requires_grad
    arm.before_step(4, 8)
    assert all(p.requires_grad for p in model.parameters())
