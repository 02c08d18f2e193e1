import inspect

import pytest

from halueval.consistency.base import NO_CLAIM, NO_SOURCE, Pair
from halueval.consistency.catalog import create, scorer_class
from halueval.errors import HaluevalError, ModelError

NEURAL = ("nli", "summac_zs", "summac_conv", "alignscore", "minicheck", "hhem", "judge")


@pytest.mark.parametrize("name", NEURAL)
def test_every_scorer_says_what_it_is_and_takes_the_common_options(name):
    found = scorer_class(name)
    assert found.name == name
    assert found.cost == "model"
    assert found.summary
    assert "\n" not in found.summary
    parameters = inspect.signature(found).parameters
    assert {"model", "device", "dtype", "batch_size"} <= set(parameters)
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())
    assert create(name, {"device": "cpu", "batch_size": 2}).identity()["name"] == name


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
