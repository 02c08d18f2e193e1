"""From figures to sentences, no stronger than the evidence: "is consistent with", never "is due to"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from halueval.compare.fields import NetRate
from halueval.explaining.record import Contrast, Measure, TaskExplanation, WeightChange


def percent(value: float) -> str:
    """A share in per cent, one decimal."""
    return f"{100 * value:.1f} %"


def told(measure: Measure) -> str:
    """A value with its interval."""
    value, low, high = measure["value"], measure["ci_low"], measure["ci_high"]
    if value is None:
        return f"not measured ({measure['reason']})"
    form = percent if measure["unit"] == "share" else "{:.3f}".format
    around = f" [{form(low)}, {form(high)}]" if low is not None and high is not None else ""
    unit = "" if measure["unit"] == "share" else f" {measure['unit']}".rstrip()
    return f"{form(value)}{around}{unit}"


def is_significant(measure: Measure, alpha: float) -> bool:
    """Whether the test survives the correction."""
    return measure["p_adjusted"] is not None and measure["p_adjusted"] < alpha


def outcome(net: NetRate, alpha: float) -> str:
    """`more`, `less`, or `` where no change was detected."""
    p, value = net["p_adjusted"], net["value"]
    if p is None or value is None or p >= alpha or net["within_noise"]:
        return ""
    return "more" if value > 0 else "less"


def task_statements(name: str, task: TaskExplanation, alpha: float) -> list[str]:
    """What the measures of one task are consistent with."""
    return list(_of_task(name, task, alpha))


def _of_task(name: str, task: TaskExplanation, alpha: float) -> Iterator[str]:
    if not task["has_states"]:
        yield f"{name}: no sample of it is correct or hallucinated; there is no induced rate to explain."
        return
    moved = outcome(task["net_rate"], alpha)
    if not moved:
        yield f"{name}: no change of hallucination was detected, so these measures have nothing to explain."
    elif moved == "less":
        yield f"{name}: the candidate hallucinates less than the base."
    yield from _distribution(name, task["distribution"], moved, alpha)
    yield from _overlap(name, task["overlap"])
    for contrast in task["generalisation"]:
        yield from _generalisation(name, contrast, alpha)


def _distribution(name: str, measures: Mapping[str, Measure], moved: str, alpha: float) -> Iterator[str]:
    for key in ("energy_coefficient", "js_distance_1"):
        found = measures[key]
        if found["value"] is None or found["null"] is None:
            continue
        far = f"{found['label']} {told(found)}, {found['null']:.3f} between random divisions of the same texts"
        if not is_significant(found, alpha):
            yield f"{name}: no distance between training data and task was detected ({far})."
        elif moved == "more":
            yield (
                f"{name}: the training data is unlike the task ({far}). The rise of hallucination is consistent with a "
                "distribution gap; the distance alone does not tell whether it plays a part."
            )
        else:
            yield f"{name}: the training data is unlike the task ({far})."
        return


def _overlap(name: str, measures: Mapping[str, Measure]) -> Iterator[str]:
    exact, near = measures["exact"], measures["near_duplicate"]
    if exact["value"] is None:
        return
    if exact["value"] > 0:
        yield (
            f"{name}: {told(exact)} of its questions are in the training data: on these the candidate's figures "
            "measure memory, not knowledge."
        )
    elif near["value"]:
        yield f"{name}: {told(near)} of its items have a near-duplicate in the training data."


def _generalisation(name: str, contrast: Contrast, alpha: float) -> Iterator[str]:
    if contrast["reason"] is not None:
        return
    first, second = contrast["first"], contrast["second"]
    gap, induced = contrast["accuracy_difference"], contrast["induced_difference"]
    value = gap["value"]
    if value is not None:
        if is_significant(gap, alpha) and value < 0:
            yield (
                f"{name}: the candidate is right less often on {first} than on {second} ({told(gap)}), which is "
                "consistent with weak generalisation (or with these items being harder)."
            )
        elif not is_significant(gap, alpha):
            yield f"{name}: no difference of accuracy between {first} and {second} was detected ({told(gap)})."
    value = induced["value"]
    if value is not None and is_significant(induced, alpha):
        side = "more" if value > 0 else "less"
        yield f"{name}: hallucination was induced {side} often on {first} than on {second} ({told(induced)})."


def model_statements(weights: WeightChange, behaviour: Mapping[str, Measure], alpha: float) -> list[str]:
    """What the measures of the whole model are consistent with."""
    return list(_of_model(weights, behaviour, alpha))


def _of_model(weights: WeightChange, behaviour: Mapping[str, Measure], alpha: float) -> Iterator[str]:
    relative = weights["relative_change"]
    if relative is not None:
        changed = [g for g in weights["groups"] if g["relative_change"]]
        most = max(changed, key=lambda g: g["relative_change"] or 0.0, default=None)
        where = ""
        if most is not None:
            layer = f"layer {most['layer']}" if most["layer"] else "outside of the layers"
            where = f", most in {most['kind']} ({layer}, {100 * (most['relative_change'] or 0):.3g} %)"
        yield f"The weights moved by {100 * relative:.3g} % of their norm{where}."
    kl, change = behaviour["kl"], behaviour["bits_per_byte_change"]
    if kl["value"] is not None:
        yield f"On general text the candidate's next-token distribution is {told(kl)} from the base's."
    if change["value"] is None:
        return
    if is_significant(change, alpha) and change["value"] > 0:
        yield (
            f"General text became less likely ({told(change)}): forgetting, which is consistent with parameters "
            "adjusted beyond what the training data is about."
        )
    elif is_significant(change, alpha):
        yield f"General text became more likely ({told(change)}): these texts show no forgetting."
    else:
        yield f"No forgetting of general text was detected ({told(change)})."
