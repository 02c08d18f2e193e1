"""Which output of a classification head means what: by the names in its configuration, never by guess."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from halueval.errors import ModelError
from halueval.visible import visible

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

BY_OPTION = f"give what they mean, in their order, by the option `labels`, as in `{EXAMPLE}`"
"""What to write where a configuration does not say what outputs mean, as an option of the scorer."""

NAMES_SHOWN, CHARACTERS_SHOWN = 6, 40


class UnknownLabelsError(ModelError):
    """A configuration that does not say what a head's outputs mean: nothing that the user wrote is wrong."""


def by_card(*roles: Role) -> str:
    """The same in a model card, where there is no such option."""
    example = ", ".join(f"LABEL_{i}: {role}" for i, role in enumerate(roles))
    return f"say what they mean in a model card, as in `labels: {{{example}}}`"


def shown(names: Sequence[str]) -> str:
    """The first names of outputs, which may be any text, for a line."""
    first = [visible(name)[:CHARACTERS_SHOWN] for name in names[:NAMES_SHOWN]]
    return ", ".join([*first, "…"] if len(names) > len(first) else first)


def roles_of(names: Sequence[str], *, model: str, given: bool = False, advice: str = BY_OPTION) -> tuple[Role, ...]:
    """What each output of a head means.

    Args:
        names: of the outputs, in their order.
        model: for the error.
        given: the names come from the option `labels` rather than from the configuration.
        advice: what to write where the configuration does not say.

    Raises:
        ModelError: in the option a name says nothing, a role stands twice, or none is entailment; or there are fewer
            than two outputs.
        UnknownLabelsError: so it is in the configuration (`LABEL_0`).
    """
    unknown = UnknownLabelsError(
        f"model {model}: its configuration calls its outputs {shown(names)}, which does not tell which one is "
        f"entailment and what the others are; {advice}"
    )
    few = f"model {model}: its outputs are {shown(names) or 'none'}; needed are two or three of different meaning"
    if len(names) < 2:
        raise ModelError(few)
    found: list[Role] = []
    for name in names:
        role = ROLES.get(re.sub(r"[\s_-]+", "_", name.strip().lower()))
        if role is None:
            if not given:
                raise unknown
            raise ModelError(
                f"model {model}: the option `labels` calls an output {name!r}, which does not say what it means; give "
                f"the order of all {len(names)} outputs, as in `{EXAMPLE}`"
            )
        found.append(role)
    if found.count("entailment") != 1 or len(set(found)) < len(found):
        raise ModelError(f"{few}, one of them entailment, as in `{EXAMPLE}`") if given else unknown
    return tuple(found)


def split_labels(labels: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The option `labels` as a list: it may be written with commas."""
    if labels is None:
        return None
    parts = labels.strip("[] ").split(",") if isinstance(labels, str) else labels
    return tuple(str(part).strip() for part in parts)
