"""Which output of a classification head means what: by the names in its configuration, never by guess."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from halueval.errors import ModelError

Role = Literal["entailment", "neutral", "contradiction", "not_entailment"]

ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("entailment", "entail", "entails", "entailed"), "entailment"),
    **dict.fromkeys(("supports", "supported", "support", "consistent", "aligned", "faithful"), "entailment"),
    **dict.fromkeys(("neutral", "not_enough_info", "nei"), "neutral"),
    **dict.fromkeys(("contradiction", "contradict", "contradicts", "contradictory", "contradicted"), "contradiction"),
    **dict.fromkeys(("refutes", "refuted", "refute"), "contradiction"),
    **dict.fromkeys(("not_entailment", "non_entailment", "not_entailed", "no_entailment"), "not_entailment"),
    **dict.fromkeys(("inconsistent", "not_consistent", "unsupported", "not_supported"), "not_entailment"),
    **dict.fromkeys(("not_aligned", "unfaithful", "hallucinated", "hallucination"), "not_entailment"),
}
"""Names of classes, in lower case and with `_` for spaces and hyphens (MNLI, FEVER, VitaminC, binary heads)."""

EXAMPLE = "labels: [entailment, neutral, contradiction]"


def roles_of(names: Sequence[str], *, model: str, given: bool = False) -> tuple[Role, ...]:
    """What each output of a head means.

    Args:
        names: of the outputs, in their order.
        model: for the error.
        given: the names come from the option `labels` rather than from the configuration.

    Raises:
        ModelError: a name says nothing (`LABEL_0`), a role stands twice, or none is entailment.
    """
    found: list[Role] = []
    for name in names:
        role = ROLES.get(re.sub(r"[\s_-]+", "_", name.strip().lower()))
        if role is None:
            where = "the option `labels`" if given else "its config.json"
            raise ModelError(
                f"model {model}: {where} calls an output {name!r}, which does not say what it means; give the order of "
                f"all {len(names)} outputs by an option, as in `{EXAMPLE}`"
            )
        found.append(role)
    if len(found) < 2 or found.count("entailment") != 1 or len(set(found)) < len(found):
        raise ModelError(
            f"model {model}: its outputs are {', '.join(names) or 'none'}; needed are two or three of different "
            f"meaning, one of them entailment, as in `{EXAMPLE}`"
        )
    return tuple(found)


def split_labels(labels: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The option `labels` as a list: it may be written with commas."""
    if labels is None:
        return None
    parts = labels.strip("[] ").split(",") if isinstance(labels, str) else labels
    return tuple(str(part).strip() for part in parts)
