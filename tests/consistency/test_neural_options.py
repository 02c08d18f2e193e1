from typing import get_args

import pytest

from halueval.consistency.base import NO_CLAIM, NO_SOURCE, Pair
from halueval.consistency.catalog import SCORERS, create, option_names, scorer_class
from halueval.consistency.options import option_types
from halueval.errors import HaluevalError, ModelError, UsageError

NEURAL = ("nli", "summac_zs", "summac_conv", "alignscore", "minicheck", "hhem", "judge")


@pytest.mark.parametrize("name", NEURAL)
def test_every_scorer_says_what_it_is_and_takes_the_common_options(name):
    found = scorer_class(name)
    assert found.name == name
    assert found.cost == "model"
    assert found.summary
    assert "\n" not in found.summary
    assert {"model", "device", "dtype", "batch_size"} <= set(option_names(found))
    with pytest.raises(ModelError, match=name):
        create(name, {"device": "cpu", "batch_size": 2}).identity()


def test_options_handed_on_are_named_once_and_a_wrong_one_is_refused():
    assert option_names(scorer_class("summac_conv")) == [
        *("model", "weights", "device", "dtype", "batch_size", "labels", "max_length")
    ]
    assert option_names(scorer_class("number_precision")) == ["spacy_model"]
    with pytest.raises(UsageError, match="did you mean 'weights'"):
        create("summac_conv", {"weight": "x"})


@pytest.mark.parametrize("name", SCORERS)
def test_every_number_has_a_smallest_value_and_every_precision_its_names(name):
    types = option_types(scorer_class(name))
    numbers = {option for option, hint in types.items() if {int, float} & {hint, *get_args(hint)}}
    for option in numbers - {"threshold"}:  # which is in the unit of a score
        with pytest.raises(UsageError, match=f"option {option} is -1; it must be a"):
            create(name, {option: -1})
    for option in {"device", "dtype"} & set(types):
        with pytest.raises(UsageError, match=f"option {option} is 'float17'; it must be"):
            create(name, {option: "float17"})
        assert create(name, {option: "auto"})


@pytest.mark.parametrize("name", NEURAL)
def test_a_model_is_asked_for_only_when_a_pair_needs_it(name):
    scorer = create(name)
    verdicts = scorer.score([Pair("", "Claim."), Pair("Source.", "\n")])
    assert [(v.value, v.reason) for v in verdicts] == [(None, NO_SOURCE), (None, NO_CLAIM)]
    with pytest.raises(ModelError, match=name) as caught:
        scorer.score([Pair("A source of words.", "A claim of words.")])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NEURAL)
def test_a_model_that_is_not_there_is_one_line(name, tmp_path):
    (tmp_path / "conv.json").write_text('{"weight": [1, 2], "bias": 0}')
    options = {"weights": str(tmp_path / "conv.json")} if name == "summac_conv" else {}
    scorer = create(name, {"model": str(tmp_path / "nowhere"), **options})
    with pytest.raises(HaluevalError, match="nowhere") as caught:
        scorer.score([Pair("A source of words.", "A claim of words.")])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["minicheck", "hhem", "lite", "lite_lm", "lookback", "entailment_probe"])
def test_a_threshold_chosen_on_english_texts_decides_no_others(name):
    scorer = create(name)
    assert scorer.threshold_in("en") == scorer.threshold_in("en-GB") == scorer.threshold is not None
    assert [scorer.threshold_in(language) for language in ("zh", "de", "ja")] == [None, None, None]
