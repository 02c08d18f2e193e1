"""One task's measures put together, and the correction over all tests of a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from halueval.compare.record import TaskDiff
from halueval.explaining.distribution import Encode, distribution, draw, no_distribution
from halueval.explaining.generalisation import no_contrasts, relation_contrast, seen_contrast
from halueval.explaining.items import Item
from halueval.explaining.overlap import no_overlap, overlap, seen
from halueval.explaining.record import Measure, TaskExplanation
from halueval.explaining.training import TrainingData
from halueval.stats.multiplicity import benjamini_hochberg
from halueval.text import is_cjk


def answer_of(item: Item, language: str) -> tuple[str, str]:
    """Question and answer of an item, with the space between that its language writes."""
    joined = item.question[-1:].isspace() or not item.question or is_cjk(language)
    return item.question, item.target if joined else f" {item.target}"


def task_explanation(
    diff: TaskDiff,
    items: Sequence[Item],
    training: TrainingData | None,
    encode: Encode | str,
    *,
    reason: str,
    n_permutations: int,
    seed: int,
) -> TaskExplanation:
    """Everything of a task that needs no language model.

    Args:
        diff: the comparison of the task.
        items: its paired items.
        training: the training data.
        encode: texts to vectors, or why there is no encoder.
        reason: why there is no training data, where there is none.
        n_permutations: draws of each null.
        seed: of all draws.
    """
    made: TaskExplanation = {
        "n_paired": diff["n_paired"],
        "has_states": diff["has_states"],
        "induced_rate": diff["induced_rate"],
        "net_rate": diff["net_rate"],
        "distribution": no_distribution(reason),
        "overlap": no_overlap(reason),
        "generalisation": no_contrasts(reason),
        "notes": _notes(diff),
        "statements": [],
    }
    if training is None:
        return made
    language = diff["task"]["language"]
    ours = ["".join(answer_of(item, language)) for item in draw(items, seed)]
    theirs = [text.text for text in draw(training.texts, seed)]
    made["distribution"] |= distribution(theirs, ours, language, encode, n_permutations=n_permutations, seed=seed)
    made["overlap"] = overlap(items, training.texts, language)
    flags = seen(items, training.texts, language)
    relations = frozenset(text.relation for text in training.texts if text.relation)
    made["generalisation"] = [seen_contrast(items, flags), relation_contrast(items, flags, relations)]
    return made


def _notes(diff: TaskDiff) -> list[str]:
    notes = list(diff["notes"])
    if diff["pairing"]["n_clusters"] < diff["n_paired"]:
        notes.append(
            f"{diff['n_paired']} pairs are of {diff['pairing']['n_clusters']} documents; the intervals of groups "
            "and of overlap take pairs for independent and are somewhat narrow"
        )
    return notes


def tested(tasks: Mapping[str, TaskExplanation], behaviour: Mapping[str, Measure]) -> Iterator[Measure]:
    """Every measure with a test."""
    for task in tasks.values():
        yield from (m for m in task["distribution"].values() if m["p_value"] is not None)
        for contrast in task["generalisation"]:
            for key in ("accuracy_difference", "induced_difference"):
                measure: Measure = contrast[key]
                if measure["p_value"] is not None:
                    yield measure
            for group in contrast["groups"].values():
                yield from (
                    m for m in (group["accuracy_change"], group["hallucination_change"]) if m["p_value"] is not None
                )
    yield from (m for m in behaviour.values() if m["p_value"] is not None)


def adjust(tasks: Mapping[str, TaskExplanation], behaviour: Mapping[str, Measure]) -> int:
    """Write Benjamini-Hochberg p-values into all tests; returns their number."""
    measures = list(tested(tasks, behaviour))
    if not measures:
        return 0
    adjusted = benjamini_hochberg([m["p_value"] or 0.0 for m in measures])
    for measure, p in zip(measures, adjusted, strict=True):
        measure["p_adjusted"] = float(p)
    return len(measures)
