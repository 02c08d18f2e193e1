"""Where a model comes from and what came of it, with what the comparisons say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halueval.report.site.addresses import Addresses
from halueval.report.site.figures import short_name
from halueval.report.site.pairs import PairPage


@dataclass(frozen=True, slots=True)
class Step:
    """A model in a lineage.

    Attributes:
        name: as printed.
        href: its page, `""` where it has none.
        how: what it is to the model above it.
        note: size, or why there is nothing to see.
        headline: of the comparison with its base, `""` without one.
        pair: the page of that comparison, `""` without one.
        here: it is the model that the page is about.
    """

    name: str
    href: str
    how: str
    note: str
    headline: str
    pair: str
    here: bool


def lineage(key: str, at: Addresses, pairs: Mapping[tuple[str, str], PairPage]) -> list[Step]:
    """Ancestors from the root on, the model itself, and what was fine-tuned from it; empty where it stands alone."""
    bases = {candidate: base for base, candidate in pairs}
    line = [key]
    while (base := bases.get(line[0])) is not None and base not in line:
        line.insert(0, base)
    children = sorted(candidate for base, candidate in pairs if base == key and candidate not in line)
    steps = []
    root = at.models[line[0]].base
    if root is not None:
        steps.append(Step(short_name(root), "", "", "has no runs here", "", "", False))
    for i, one in enumerate(line):
        how = "fine-tuned:" if i or root is not None else ""
        steps.append(_step(one, at, pairs.get((line[i - 1], one)) if i else None, how, here=one == key))
    steps += [_step(one, at, pairs[key, one], "fine-tuned from this:", here=False) for one in children]
    return steps if len(steps) > 1 else []


def _step(key: str, at: Addresses, pair: PairPage | None, how: str, *, here: bool) -> Step:
    link, size = at.model(key), at.about(key).partition(" · ")[0]
    return Step(
        name=link.label,
        href="" if here else link.href,
        how=how,
        note="" if size.startswith("from ") else size,
        headline=pair.headline if pair else "",
        pair=pair.href if pair else "",
        here=here,
    )
