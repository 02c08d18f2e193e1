"""Which consistency scorers there are: by name, imported when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from halueval.consistency.base import ConsistencyScorer
from halueval.consistency.options import check_options, option_types
from halueval.errors import UsageError, nearest

SCORERS: Mapping[str, str] = {
    "rouge_precision": "overlap:RougePrecision",
    "ngram_precision": "overlap:NgramPrecision",
    "coverage": "extractiveness:Coverage",
    "density": "extractiveness:Density",
    "entity_precision": "entity:EntityPrecision",
    "number_precision": "entity:NumberPrecision",
    "embedding": "embedding:Embedding",
    "likelihood": "likelihood:Likelihood",
    "likelihood_min": "likelihood:LikelihoodMin",
    "likelihood_pmi": "likelihood:LikelihoodPMI",
    "likelihood_shuffled": "likelihood:LikelihoodShuffled",
    "p_yes": "p_yes:PYes",
    "lite": "lite:Lite",
    "lite_lm": "lite_lm:LiteLM",
    "lookback": "lookback:Lookback",
    "entailment_probe": "entailment_probe:EntailmentProbe",
    "nli": "nli:Nli",
    "summac_zs": "summac:SummaCZS",
    "summac_conv": "summac:SummaCConv",
    "alignscore": "alignscore:AlignScore",
    "minicheck": "minicheck:MiniCheck",
    "hhem": "hhem:HHEM",
    "judge": "judge:Judge",
    "factscore": "factscore:FActScore",
    "length": "controls:Length",
}
"""`module:Class` within `halueval.consistency`."""


def scorer_names() -> tuple[str, ...]:
    """All names, in the order of the table."""
    return tuple(SCORERS)


def scorer_class(name: str) -> type[ConsistencyScorer]:
    """The class behind a name.

    Raises:
        UsageError: there is no such scorer.
    """
    if name not in SCORERS:
        raise UsageError(f"no consistency scorer {name!r}{nearest(name, SCORERS)}")
    module, _, attribute = SCORERS[name].partition(":")
    found: type[ConsistencyScorer] = getattr(importlib.import_module(f"halueval.consistency.{module}"), attribute)
    return found


def option_names(found: type[Any]) -> list[str]:
    """Names of a scorer's options: see `option_types`."""
    return list(option_types(found))


def with_device(name: str, options: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The options of a scorer with the device of those that have a model, unless they name another.

    Raises:
        UsageError: there is no such scorer.
    """
    takes = device != "auto" and "device" in option_names(scorer_class(name))
    return {**({"device": device} if takes else {}), **options}


def create(name: str, options: Mapping[str, Any] | None = None) -> ConsistencyScorer:
    """Build a scorer with its options.

    Raises:
        UsageError: no such scorer, no such option of it, or a value that it cannot take.
    """
    found = scorer_class(name)
    given = dict(options or {})
    check_options(name, found, given)
    return found(**given)
