"""Which annotated sets a learnt scorer has seen: on these its figures are no evidence of anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

COEFFICIENTS = {
    "lite": ("halueval.consistency.lite", "lite.json"),
    "lite_lm": ("halueval.consistency.lite_lm", "lite_lm.json"),
    "entailment_probe": ("halueval.consistency.entailment_probe", "entailment_probe.json"),
    "lookback": ("halueval.consistency.lookback", "lookback.json"),
}
"""Package and file of a scorer's coefficients; `fitted_on` in it names the sets of which it was made."""

CHOSEN_ON = {
    "lite": {"summeval": "its penalty was chosen on"},
    "entailment_probe": {"summeval": "its penalty and the size of its pieces were chosen on"},
}
"""What was chosen by a scorer's figures on a set, though nothing was fitted on it."""

SAME_PAIRS: Mapping[str, str] = {"factual_summary_pairs": "rank19", "rank19": "factual_summary_pairs"}
"""Sets that hold the pairs of another in other letters."""


def seen_before(scorer: str, set_name: str) -> str | None:
    """What must be told of a scorer's figures on a set, in one sentence; None where it has not seen the set."""
    relations = dict(CHOSEN_ON.get(scorer, {}))
    if scorer in COEFFICIENTS:
        package, file = COEFFICIENTS[scorer]
        made = json.loads((files(package) / file).read_text(encoding="utf-8"))
        relations |= dict.fromkeys(made.get("fitted_on", ()), "it was fitted on")
    for name in (set_name, SAME_PAIRS.get(set_name)):
        if name in relations:
            where = name if name == set_name else f"{name}, which holds the pairs of {set_name}"
            return f"{scorer} on {set_name} is no evidence: {relations[name]} {where}"
    return None
