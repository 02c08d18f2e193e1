"""Verdicts and headlines: what the figures say, in a sentence, and no more than they say."""

from __future__ import annotations

from collections.abc import Mapping

from halueval.compare.fields import Figure, NetRate
from halueval.compare.record import Side, TaskDiff

WORSE, BETTER, MIXED = "worse", "better", "mixed"
NO_CHANGE, NOISE = "no detectable change", "within the noise floor"
_NOUNS = {"qa": "questions", "summarization": "documents", "classification": "texts"}


def direction(figure: Figure) -> str | None:
    """`worse` or `better` for a figure that changed in one direction, None where neither is better."""
    if figure["higher_is_better"] is None or figure["delta"] == 0:
        return None
    return BETTER if (figure["delta"] > 0) == figure["higher_is_better"] else WORSE


def regressions(task: TaskDiff) -> list[tuple[str, Figure | NetRate]]:
    """The claims that got significantly worse, beyond the noise floor where there is one."""
    return [(name, claim) for name, claim, way in _claims(task) if way == WORSE]


def _claims(task: TaskDiff) -> list[tuple[str, Figure | NetRate, str]]:
    """Significant claims outside the noise floor, each with its direction."""
    out: list[tuple[str, Figure | NetRate, str]] = []
    net = task["net_rate"]
    if net["significant"] and not net["within_noise"] and net["value"]:
        out.append(("net_rate", net, WORSE if net["value"] > 0 else BETTER))
    for name, figure in task["metrics"].items():
        way = direction(figure)
        if figure["primary"] and figure["significant"] and not figure["within_noise"] and way:
            out.append((name, figure, way))
    return out


def verdict(task: TaskDiff) -> str:
    """One of `worse`, `better`, `mixed`, `no detectable change`, `within the noise floor`."""
    ways = {way for _, _, way in _claims(task)}
    if len(ways) == 2:
        return MIXED
    if ways:
        return ways.pop()
    claims = [task["net_rate"], *(f for f in task["metrics"].values() if f["primary"])]
    return NOISE if any(c["significant"] and c["within_noise"] for c in claims) else NO_CHANGE


def task_headline(task: TaskDiff, base: Side, candidate: Side) -> str:
    """The change of one task in plain words."""
    if not task["has_states"]:
        return _by_figure(task, base, candidate)
    net = task["net_rate"]
    noun = _NOUNS.get(task["task"]["kind"], "samples")
    before, after = base["label"], candidate["label"]
    counts = task["transitions"]
    if not net["significant"] or net["within_noise"]:
        return _no_change(task, before, after)
    tuned = candidate["base"] == base["name"] or (
        candidate["adapter_sha256"] is not None and candidate["weights_sha256"] == base["weights_sha256"]
    )
    knew, declined = _among(counts["correct"]), _among(counts["abstained"])
    lost, dared = counts["correct"]["hallucinated"], counts["abstained"]["hallucinated"]
    wrong = task["repaired_rate"]
    if tuned:
        parts = [f"Fine-tuning made the model hallucinate on {lost} of the {knew} {noun} it used to get right"]
        parts += [f"on {dared} of the {declined} it used to decline"] if declined else []
    else:
        parts = [f"{after} hallucinates on {lost} of the {knew} {noun} that {before} got right"]
        parts += [f"on {dared} of the {declined} that it declined"] if declined else []
    figures = f"net {_points(net['value'])} {_interval(net)}, {_p(net)}"
    return f"{' and '.join(parts)}; it repaired {wrong['count']} of the {wrong['n']} it had wrong ({figures})."


def _no_change(task: TaskDiff, before: str, after: str) -> str:
    net = task["net_rate"]
    n, mde = net["n"], net["mde"]
    found = f"{task['induced_rate']['count']} induced, {task['repaired_rate']['count']} repaired of {n}"
    why = "inside the noise floor" if net["within_noise"] and net["significant"] else _p(net)
    start = f"No detectable change of hallucination from {before} to {after} on {task['task']['name']}"
    start += f": {found} (net {_points(net['value'])} {_interval(net)}, {why})"
    if mde is None:
        return f"{start}; {n} pairs are too few to detect any change."
    return f"{start}; {n} pairs would show a change of {100 * mde:.1f} points with 80 % power."


def _by_figure(task: TaskDiff, base: Side, candidate: Side) -> str:
    """The primary figure, where samples have no states."""
    name = task["task"]["primary_metric"]
    figure = task["metrics"].get(name or "")
    where = task["task"]["name"]
    if name is None or figure is None:
        return f"{where} has no primary figure that can be compared."
    change = f"{figure['base']:.4g} → {figure['candidate']:.4g} ({figure['delta']:+.3g}, {_p(figure)})"
    if figure["significant"] and not figure["within_noise"]:
        way = direction(figure) or "different"
        return f"{name} on {where} got {way} from {base['label']} to {candidate['label']}: {change}."
    mde = "" if figure["mde"] is None else f"; a change of {figure['mde']:.3g} would show with 80 % power"
    return f"No detectable change of {name} on {where} from {base['label']} to {candidate['label']}: {change}{mde}."


def headline(tasks: Mapping[str, TaskDiff], base: Side, candidate: Side) -> str:
    """The whole comparison: the task's own sentence, or a count of verdicts over tasks."""
    if len(tasks) == 1:
        return next(iter(tasks.values()))["headline"]
    told = []
    for kind, words in ((WORSE, "worse"), (MIXED, "mixed"), (BETTER, "better"), (NOISE, "within the noise floor")):
        names = [_with_net(name, task) for name, task in tasks.items() if task["verdict"] == kind]
        if names:
            told.append(f"{words} on {len(names)} of {len(tasks)} tasks ({', '.join(names)})")
    quiet = sum(task["verdict"] == NO_CHANGE for task in tasks.values())
    if quiet:
        told.append(f"no detectable change on {quiet} of {len(tasks)}")
    return f"{candidate['label']} against {base['label']}: {'; '.join(told)}."


def _with_net(name: str, task: TaskDiff) -> str:
    net = task["net_rate"]
    return f"{name}, net {_points(net['value'])}" if net["significant"] else name


def _among(row: Mapping[str, int]) -> int:
    return sum(count for state, count in row.items() if state != "unscored")


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f} points"


def _interval(net: NetRate) -> str:
    if net["ci_low"] is None or net["ci_high"] is None:
        return "[–]"
    return f"[{100 * net['ci_low']:+.1f}, {100 * net['ci_high']:+.1f}]"


def _p(claim: Figure | NetRate) -> str:
    p = claim["p_adjusted"] if claim["p_adjusted"] is not None else claim["p_value"]
    return "untested" if p is None else "p < .0001" if p < 1e-4 else f"p = {p:.4f}".replace("0.", ".")
