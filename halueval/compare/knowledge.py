"""What the base knew, as a stratum of a comparison: labels that were frozen before anything was fine-tuned.

Labels come from `halueval probe` on the base. They stand beside the base's runs and are found there, or are named.
Those of other weights are refused: a class says what one model knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from halueval.compare.columns import Key
from halueval.errors import DataError
from halueval.known import STRATUM, find_labels, read_labels
from halueval.store import Run


def with_known_class(
    base: Run, pairs: Sequence[tuple[Key, Mapping[str, str]]], path: Path | None
) -> tuple[list[Mapping[str, str]], list[str]]:
    """Strata of pairs with the class of each fact, where there are labels.

    Args:
        base: run of the base.
        pairs: key and strata of each pair.
        path: file of labels, which takes the place of classes that the run holds; None looks beside the base's run
            where it holds none.

    Returns:
        Strata of each pair, and what to tell the reader.

    Raises:
        DataError: a file that is broken, or of other weights than the base's.
    """
    groups = [group for _, group in pairs]
    if path is None and any(STRATUM in group for group in groups):
        return groups, []
    model, data = base.record["model"], base.record["identity"]["data_sha256"]
    found = path or find_labels(base.path.parent, model["weights_sha256"], model["adapter_sha256"], data)
    if found is None:
        return groups, []
    header, facts = read_labels(found)
    if not header.are_of(model["weights_sha256"], model["adapter_sha256"]):
        raise DataError(
            f"{found}: labels of {header.model} ({header.weights_sha256[:12]}), and the base is {model['name']} "
            f"({model['weights_sha256'][:12]}); make its own with halueval probe"
        )
    classes = {fact.doc_hash: fact.known_class for fact in facts}
    groups = [{name: value for name, value in group.items() if name != STRATUM} for group in groups]
    out = [
        {**group, STRATUM: classes[key[0]]} if key[0] in classes else group
        for (key, _), group in zip(pairs, groups, strict=True)
    ]
    labelled = sum(key[0] in classes for key, _ in pairs)
    if not labelled:
        return groups, [f"the labels of {found.parent.name} are of other facts; no breakdown by {STRATUM}"]
    rest = "" if labelled == len(pairs) else f"; {len(pairs) - labelled} pairs have none"
    settings = header.settings
    return out, [
        f"{STRATUM}: what {header.model} knew by {settings['num_prompts']} prompts of {settings['num_fewshot']} "
        f"examples ({found.parent.name}){rest}"
    ]
