"""The noise floor: the base against itself, run again at another batch size or seed.

What changes there changes without any change of weights. The floor of a figure is the larger end, in
magnitude, of the interval of its difference, or 0 where not a single sample differs.
"""

from __future__ import annotations

from collections.abc import Mapping

from halueval.compare.columns import Columns, read_columns
from halueval.compare.fields import NoiseFloor
from halueval.compare.figures import Engine, difference, make_clusters
from halueval.compare.pairing import find_mismatches, pair, pairs_by_prompt, refuse
from halueval.compare.recipes import NotComparableError, find_recipe
from halueval.compare.record import TaskDiff
from halueval.compare.transitions import Transitions, net_rate
from halueval.errors import UsageError
from halueval.scorers.catalog import scorer_names
from halueval.store import Run


def noise_floor(base: Run, again: Run, columns: Columns, names: Mapping[str, object], engine: Engine) -> NoiseFloor:
    """Compare the base with itself.

    Args:
        base: run of the base.
        again: another run of it, which may differ in the seed.
        columns: the base's samples.
        names: the figures wanted.
        engine: level, seed, replicates.

    Raises:
        UsageError: the other run is of other weights, or of a task asked in another way.
        DataError: its samples cannot be read.
    """
    for key in ("weights_sha256", "adapter_sha256"):
        if base.record["model"][key] != again.record["model"][key]:
            raise UsageError(
                f"--noise-floor {again.path}: its {key} is not the base's; give a second run of the base itself, "
                "made with another --batch-size or --seed and --output"
            )
    mismatches = find_mismatches(base, again)
    refuse(f"--noise-floor {again.path}", mismatches, ("seed",))
    other = read_columns(again)
    pairs = pair(columns, other, by_prompt=pairs_by_prompt(mismatches, ("seed",)))
    if not len(pairs):
        raise UsageError(f"--noise-floor {again.path}: shares no sample with the base's run")
    clusters = make_clusters([columns.clusters[i] for i in pairs.base.tolist()])
    states = Transitions(columns.state[pairs.base], other.state[pairs.candidate], clusters)
    floors, known = {}, scorer_names()
    for name in names:
        if name not in other.scores:
            continue
        try:
            recipe = find_recipe(name, base, again, (columns, other), known)
            figure = difference(recipe, (columns, other), pairs, clusters, engine).figure
        except NotComparableError:
            # The figure has no floor; the record says so by leaving it out.
            continue
        floors[name] = _floor(figure["flips"], figure["delta"], figure["ci_low"], figure["ci_high"])
    net, _ = net_rate(states, engine)
    flips = int((states.base != states.candidate).sum())
    floor = None if net["value"] is None else _floor(flips, net["value"], net["ci_low"], net["ci_high"])
    return {
        "run": {"run_id": again.run_id, "path": str(again.path), "finished_at": again.record["finished_at"]},
        "n_paired": len(pairs),
        "flips": flips,
        "net": floor,
        "metrics": floors,
        "text": f"The base against itself: {flips} of {len(pairs)} samples changed their state.",
    }


def _floor(flips: int, delta: float, low: float | None, high: float | None) -> float:
    if not flips:
        return 0.0
    return max(abs(delta), abs(low or 0.0), abs(high or 0.0))


def apply_floor(task: TaskDiff, floor: NoiseFloor) -> None:
    """Mark the figures of a task that lie inside the floor."""
    for name, value in floor["metrics"].items():
        figure = task["metrics"].get(name)
        if figure is not None:
            figure["floor"], figure["within_noise"] = value, abs(figure["delta"]) <= value
    net = task["net_rate"]
    if floor["net"] is not None and net["value"] is not None:
        net["floor"], net["within_noise"] = floor["net"], abs(net["value"]) <= floor["net"]
    changed = sum(n for b, row in task["transitions"].items() for c, n in row.items() if b != c)
    inside = (
        "no more than that" if changed * floor["n_paired"] <= floor["flips"] * task["n_paired"] else "more than that"
    )
    floor["text"] += f" Base against candidate: {changed} of {task['n_paired']}, {inside}."
    task["noise_floor"] = floor
