"""What was learnt and what it carries over to: rates on seen against unseen items, trained relations against others.

An item is *seen* if the training data holds its question (`overlap.seen`). Unseen items are divided further into those
of a relation that the training data has and those of others. The two groups of a contrast are different items, so
their difference is one of unrelated shares: Newcombe's interval and Fisher's exact test. Within a group both models
answered the same items: the change is paired, with Newcombe's paired interval and McNemar's exact test.
"""

from __future__ import annotations

from collections.abc import Sequence

from halueval.explaining.items import Item
from halueval.explaining.record import Contrast, GroupRates, Measure, measure, missing
from halueval.stats.paired import mcnemar_exact
from halueval.stats.proportions import newcombe_difference, newcombe_paired, wilson
from halueval.stats.two_samples import fisher_exact

_SCORED = ("correct", "abstained", "hallucinated")


def seen_contrast(items: Sequence[Item], is_seen: Sequence[bool]) -> Contrast:
    """Unseen items against seen ones."""
    seen = [item for item, flag in zip(items, is_seen, strict=True) if flag]
    unseen = [item for item, flag in zip(items, is_seen, strict=True) if not flag]
    return _contrast("seen in training or not", ("unseen", unseen), ("seen", seen))


def relation_contrast(items: Sequence[Item], is_seen: Sequence[bool], relations: frozenset[str]) -> Contrast:
    """Unseen items of relations outside the training data against unseen ones of relations in it.

    Args:
        items: of one task; a group key of theirs must have the training data's relations among its values.
        is_seen: of each.
        relations: of the training data; empty where it names none.
    """
    name = "same relation as the training data or another"
    first, second = "other relations", "same relation"
    if not relations:
        return _untaken(name, first, second, "the training data has no column relation")
    unseen = [item for item, flag in zip(items, is_seen, strict=True) if not flag]
    keys = sorted({key for item in items for key, value in item.group.items() if value in relations})
    if not keys:
        return _untaken(name, first, second, "the task groups its items by none of the training data's relations")
    same = [item for item in unseen if any(item.group.get(key) in relations for key in keys)]
    other = [item for item in unseen if not any(item.group.get(key) in relations for key in keys)]
    return _contrast(name, (first, other), (second, same))


def no_contrasts(reason: str) -> list[Contrast]:
    """The same contrasts, not taken."""
    return [
        _untaken("seen in training or not", "unseen", "seen", reason),
        _untaken("same relation as the training data or another", "other relations", "same relation", reason),
    ]


def _untaken(name: str, first: str, second: str, reason: str) -> Contrast:
    return {
        "name": name,
        "first": first,
        "second": second,
        "groups": {},
        "accuracy_difference": missing(_accuracy_label(first, second), reason, "share"),
        "induced_difference": missing(_induced_label(first, second), reason, "share"),
        "reason": reason,
    }


def _accuracy_label(first: str, second: str) -> str:
    return f"candidate's accuracy, {first} − {second}"


def _induced_label(first: str, second: str) -> str:
    return f"induced rate, {first} − {second}"


def _contrast(name: str, one: tuple[str, Sequence[Item]], two: tuple[str, Sequence[Item]]) -> Contrast:
    (first, left), (second, right) = one, two
    groups = {label: group_rates(items) for label, items in (one, two)}
    empty = [label for label, items in (one, two) if not _scored(items)]
    return {
        "name": name,
        "first": first,
        "second": second,
        "groups": groups,
        "accuracy_difference": _difference(_accuracy_label(first, second), _accuracy(left), _accuracy(right)),
        "induced_difference": _difference(_induced_label(first, second), _induced(left), _induced(right)),
        "reason": f"no scored item is in the group: {', '.join(empty)}" if empty else None,
    }


def _scored(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.base in _SCORED and item.candidate in _SCORED]


def _accuracy(items: Sequence[Item]) -> tuple[int, int]:
    scored = _scored(items)
    return sum(item.candidate == "correct" for item in scored), len(scored)


def _induced(items: Sequence[Item]) -> tuple[int, int]:
    sound = [item for item in _scored(items) if item.base != "hallucinated"]
    return sum(item.candidate == "hallucinated" for item in sound), len(sound)


def _difference(label: str, left: tuple[int, int], right: tuple[int, int]) -> Measure:
    if not left[1] or not right[1]:
        return missing(label, "one of the groups has no item to judge", "share")
    low, high = newcombe_difference(*left, *right)
    return measure(
        label,
        left[0] / left[1] - right[0] / right[1],
        low,
        high,
        n=left[1] + right[1],
        unit="share",
        p=fisher_exact(*left, *right),
        method="newcombe; fisher-exact",
    )


def group_rates(items: Sequence[Item]) -> GroupRates:
    """Rates of one group; measures are None where it has no scored item."""
    scored = _scored(items)
    base = [item.base == "correct" for item in scored]
    candidate = [item.candidate == "correct" for item in scored]
    return {
        "n": len(scored),
        "accuracy_base": _rate("base's accuracy", sum(base), len(scored)),
        "accuracy_candidate": _rate("candidate's accuracy", sum(candidate), len(scored)),
        "accuracy_change": _paired("change of accuracy", base, candidate),
        "hallucination_change": _paired(
            "change of hallucination",
            [item.base == "hallucinated" for item in scored],
            [item.candidate == "hallucinated" for item in scored],
        ),
        "induced_rate": _rate("induced rate", *_induced(items)),
    }


def _rate(label: str, count: int, n: int) -> Measure:
    if not n:
        return missing(label, "the group has no item to judge", "share")
    low, high = wilson(count, n)
    return measure(label, count / n, low, high, n=n, unit="share", method="wilson")


def _paired(label: str, base: Sequence[bool], candidate: Sequence[bool]) -> Measure:
    n = len(base)
    if not n:
        return missing(label, "the group has no item to judge", "share")
    pairs = list(zip(base, candidate, strict=True))
    gained, lost = sum(c and not b for b, c in pairs), sum(b and not c for b, c in pairs)
    both = sum(b and c for b, c in pairs)
    low, high = newcombe_paired(both, gained, lost, n - both - gained - lost)
    return measure(
        label,
        (gained - lost) / n,
        low,
        high,
        n=n,
        unit="share",
        p=mcnemar_exact(gained, lost).p_value,
        method="newcombe-paired; mcnemar-exact",
    )
