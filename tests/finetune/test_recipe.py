import pytest
from tuning import values

from halueval.errors import ConfigError, UsageError
from halueval.finetune.library import load_recipe, parse_change, recipe_from, recipe_paths


@pytest.mark.parametrize("name", sorted(recipe_paths()))
def test_packaged_recipes_are_sound_and_stand_under_their_name(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.path is not None
    assert recipe.path.stem == name
    assert recipe.about


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": 3}, "unknown key 'epoch'; did you mean 'epochs'?"),
        ({"data.fact": 3}, "unknown key 'data.fact'; did you mean 'facts'?"),
        ({"method": "lora", "lora.rnk": 3}, "unknown key 'lora.rnk'; did you mean 'rank'?"),
        ({"learning_rate": -1}, "learning_rate: Input should be greater than 0 (found -1)"),
        ({"early_stopping.patience": 2}, "early_stopping needs development"),
        ({"data.known_classes": ["Unknown"]}, "Unknown facts are chosen by unknown_share"),
        ({"epochs.of": 2}, "epochs is 2, which has no keys of its own"),
    ],
)
def test_a_key_or_value_that_cannot_be_is_refused_with_what_would_be_right(changes, said):
    with pytest.raises(ConfigError, match=r".") as refused:
        recipe_from(values(), None, changes=changes)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'invented-facts'"):
        load_recipe("invented-fact")


def test_the_hash_is_of_what_decides_the_weights_and_of_nothing_else():
    plain = recipe_from(values(), None)
    for free in (
        {"seed": 5},
        {"checkpoint_every": 3},
        {"about": "x"},
        {"evaluate": []},
        {"data.labels": "there.jsonl"},
    ):
        assert recipe_from(values(), None, changes=free).hash == plain.hash, free
    for telling in ({"epochs": 3}, {"data.facts": 13}, {"method": "lora"}, {"mitigation": ["neftune"]}):
        assert recipe_from(values(), None, changes=telling).hash != plain.hash, telling


def test_a_change_of_the_command_line_is_read_as_yaml():
    assert parse_change("data.facts=100") == ("data.facts", 100)
    assert parse_change("data.relations=[a, b]") == ("data.relations", ["a", "b"])
    for wrong in ("epochs", "=3", "epochs=[1"):
        with pytest.raises(UsageError, match="--set"):
            parse_change(wrong)


def test_the_recipe_of_a_task_teaches_no_new_facts():
    data = load_recipe("task-answers").data
    assert data.known_classes
    assert "Unknown" not in data.known_classes


@pytest.mark.parametrize("name", ["invented-facts", "sentiment"])
def test_a_decoder_and_a_classifier_are_fine_tuned_without_a_hub(name):
    from halueval.registry import Registry

    recipe = load_recipe(name)
    registry = Registry()
    for card in (registry.model(recipe.model), registry.task(recipe.data.task)):
        sources = card.source if isinstance(card.source, list) else [card.source]
        first = getattr(sources[0], "source", sources[0])
        assert not str(first).startswith("hub:")
