"""What `halueval sweep --json` holds: every arm at the matched score, at its end, and along the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypedDict

import numpy as np

from halueval.errors import DataError
from halueval.sweep.learnt import LEARNT
from halueval.sweep.matching import (
    Figure,
    Part,
    difference,
    draws,
    figure,
    kept_scores,
    matched_part,
    part_at,
    reaches,
    step_at,
)
from halueval.sweep.measures import (
    MEASURES,
    Pool,
    Training,
    clusters,
    known_by_base,
    pooled_rows,
    training_tables,
)
from halueval.sweep.notes import notes
from halueval.sweep.run import Sweep
from halueval.sweep.spec import Study
from halueval.sweep.unit import Unit, unit_name

SWEEP_SCHEMA_VERSION = 1

FigureRecord = dict[str, Any]
"""Fields of `Figure`."""


class SeedRecord(TypedDict):
    """One training: whether and after how many steps (between two checkpoints) it reached the matched score."""

    seed: int
    weights_sha256: str
    steps: list[int]
    reached: bool
    matched_step: float | None
    best_learnt: float
    stopped_early: bool
    best_step: int | None
    seconds: float
    examples: int


class CurvePoint(TypedDict):
    """An arm after so many steps; a mean over the `n_seeds` that have a checkpoint there.

    `n_discarded` of them keep weights of an earlier step; such points are drawn hollow, and no arm is matched there.
    """

    step: int
    n_seeds: int
    n_discarded: int
    figures: dict[str, FigureRecord]


class ArmRecord(TypedDict):
    """One arm.

    Attributes:
        n_reached: seeds that reached the matched score; where none did, `matched` and `difference` are empty.
        matched: figures at the matched score, over the seeds that reached it.
        difference: of those from the reference arm's.
        final: figures of the final weights, over all seeds.
        dominated_by: arms that at the end learnt more and induced less, point estimates alone.
    """

    name: str
    recipe: str
    about: str
    mitigation: list[str]
    method: str
    seeds: list[SeedRecord]
    n_reached: int
    matched: dict[str, FigureRecord]
    difference: dict[str, FigureRecord]
    final: dict[str, FigureRecord]
    curve: list[CurvePoint]
    dominated_by: list[str]


class SweepRecord(TypedDict):
    """The whole record.

    `match.score` is None where no arm can be matched (`match.reason`); `match.facts` says over how many facts it is
    (`scored` of `of`) and how many of them each arm is not asked to learn (`left_out`).
    """

    schema_version: int
    study: dict[str, Any]
    match: dict[str, Any]
    items: dict[str, int]
    measures: dict[str, dict[str, Any]]
    base: dict[str, FigureRecord]
    arms: list[ArmRecord]
    failures: list[dict[str, Any]]
    notes: list[str]


def build_record(made: Sweep, about: Mapping[str, Mapping[str, Any]], *, seed: int = 0) -> SweepRecord:
    """Read the runs of a sweep and measure everything.

    Args:
        made: the sweep.
        about: by arm, the keys `recipe`, `about`, `mitigation` and `method`.
        seed: of the resampling.

    Raises:
        DataError: no training was finished, or runs that do not belong together.
    """
    if not made.units:
        reasons = "; ".join(dict.fromkeys(failure.reason for failure in made.failures))
        raise DataError(f"study {made.study.name}: no training was finished: {reasons}")
    base = pooled_rows(made.base)
    known = known_by_base(base, None if made.labels is None else made.labels.classes)
    weights = {pool: draws(names, seed + i) for i, (pool, names) in enumerate(clusters(base).items())}
    trainings: dict[str, list[Training]] = {}
    units: dict[str, list[Unit]] = {}
    for unit in made.units:
        rows = [pooled_rows(runs) for runs in made.runs(unit)]
        tables = training_tables(base, rows, known, unit_name(unit.arm, unit.seed))
        steps = (0, *unit.steps)
        final = len(steps) - 1 if unit.best_step is None else steps.index(unit.best_step)
        trainings.setdefault(unit.arm, []).append(Training(unit.seed, steps, final, tables))
        units.setdefault(unit.arm, []).append(unit)
    target, how = match_score(made.study, trainings)
    parts = {arm: _matched(them, target, weights) for arm, them in trainings.items()}
    reference = parts.get(made.study.reference, {})
    arms = [
        _arm(arm, them, units[arm], about[arm], target, parts[arm], reference, weights)
        for arm, them in trainings.items()
    ]
    _mark_dominated(arms)
    first = next(iter(trainings.values()))[0]
    start = {m.name: figure(part_at([first], m.name, [0.0], None, weights), m.name) for m in MEASURES}
    return {
        "schema_version": SWEEP_SCHEMA_VERSION,
        "study": {
            "name": made.study.name,
            "about": made.study.about,
            "hash": made.study.hash,
            "model": made.study.model,
            "seeds": list(made.study.seeds),
            "tasks": list(made.study.tasks),
            "reference": made.study.reference,
        },
        "match": {"score": target, **how, "facts": _facts(made)},
        "items": {pool: len(rows) for pool, rows in base.items()},
        "measures": {m.name: {k: v for k, v in asdict(m).items() if k != "name"} for m in MEASURES},
        "base": {name: _base_figure(found) for name, found in start.items()},
        "arms": arms,
        "failures": [asdict(failure) for failure in made.failures],
        "notes": notes(made, int(known.sum()), arms, start["learnt"].value, target),
    }


def _facts(made: Sweep) -> dict[str, Any]:
    return {"scored": len(made.facts.facts), "of": made.facts.of, "left_out": dict(made.facts.left_out)}


def match_score(study: Study, trainings: Mapping[str, Sequence[Training]]) -> tuple[float | None, dict[str, Any]]:
    """The in-task score to compare at, and how it came about.

    Unless the study names one, it is the study's share of what the reference arm reaches with every seed: the lowest
    of its seeds' best scores.
    """
    if study.match.score is not None:
        return study.match.score, {"how": "named by the study", "reason": None}
    them = trainings.get(study.reference)
    if not them:
        return None, {"how": None, "reason": f"the reference arm {study.reference} was not trained"}
    best = min(best_learnt(training) for training in them)
    how = f"{study.match.share:g} of {best:.4g}, what {study.reference} reaches with every seed"
    if best <= 0:
        return None, {"how": None, "reason": f"the reference arm {study.reference} learnt nothing"}
    return study.match.share * best, {"how": how, "reason": None}


def best_learnt(training: Training) -> float:
    """Highest in-task score among the checkpoints of a training, up to the weights that it keeps."""
    return float(np.nanmax(kept_scores(training, np.ones((1, training.tables["learnt"].top.shape[1])))))


def _matched(
    trainings: Sequence[Training], target: float | None, weights: Mapping[Pool, Any]
) -> dict[str, Part | None]:
    if target is None:
        return {}
    able = [training for training in trainings if reaches(training, target) is not None]
    return {m.name: matched_part(able, m.name, target, weights) for m in MEASURES} if able else {}


def _arm(
    name: str,
    trainings: Sequence[Training],
    units: Sequence[Unit],
    about: Mapping[str, Any],
    target: float | None,
    parts: Mapping[str, Part | None],
    reference: Mapping[str, Part | None],
    weights: Mapping[Pool, Any],
) -> ArmRecord:
    ends = [float(training.final) for training in trainings]
    seeds = [_seed(training, unit, target) for training, unit in zip(trainings, units, strict=True)]
    return {
        "name": name,
        "recipe": str(about["recipe"]),
        "about": str(about["about"]),
        "mitigation": list(about["mitigation"]),
        "method": str(about["method"]),
        "seeds": seeds,
        "n_reached": sum(seed["reached"] for seed in seeds),
        "matched": {m: _matched_figure(figure(part, m), m) for m, part in parts.items()},
        "difference": {m: _matched_figure(difference(part, reference.get(m), m), m) for m, part in parts.items()},
        "final": {m.name: _plain(figure(part_at(trainings, m.name, ends, None, weights), m.name)) for m in MEASURES},
        "curve": _curve(trainings, weights),
        "dominated_by": [],
    }


def _seed(training: Training, unit: Unit, target: float | None) -> SeedRecord:
    position = None if target is None else reaches(training, target)
    return {
        "seed": unit.seed,
        "weights_sha256": unit.weights_sha256,
        "steps": list(unit.steps),
        "reached": position is not None,
        "matched_step": None if position is None else round(step_at(training, position), 2),
        "best_learnt": best_learnt(training),
        "stopped_early": unit.stopped_early,
        "best_step": unit.best_step,
        "seconds": unit.seconds,
        "examples": unit.examples,
    }


def _curve(trainings: Sequence[Training], weights: Mapping[Pool, Any]) -> list[CurvePoint]:
    points: list[CurvePoint] = []
    for step in sorted({step for training in trainings for step in training.steps if step}):
        there = [training for training in trainings if step in training.steps]
        places = [float(training.steps.index(step)) for training in there]
        figures = {m.name: _plain(figure(part_at(there, m.name, places, None, weights), m.name)) for m in MEASURES}
        discarded = sum(place > training.final for place, training in zip(places, there, strict=True))
        points.append({"step": step, "n_seeds": len(there), "n_discarded": discarded, "figures": figures})
    return points


def _plain(found: Figure) -> FigureRecord:
    return asdict(found)


def _matched_figure(found: Figure, name: str) -> FigureRecord:
    """What arms are matched on is the same for all by construction: an interval of no width would say it was found."""
    if name != LEARNT or found.value is None:
        return _plain(found)
    return _plain(replace(found, ci_low=None, ci_high=None, reason="arms are matched on it"))


def _base_figure(found: Figure) -> FigureRecord:
    """The base is one model: its interval is over items, and there is no seed to leave out."""
    return {**_plain(found), "reason": None if found.ci_low is not None else found.reason}


def _mark_dominated(arms: Sequence[ArmRecord]) -> None:
    """Name for each arm those that at the end learnt at least as much and induced no more, and differ in one."""
    ends = {arm["name"]: (arm["final"]["learnt"]["value"], arm["final"]["induced"]["value"]) for arm in arms}
    for arm in arms:
        learnt, induced = ends[arm["name"]]
        if learnt is None or induced is None:
            continue
        for other, (more, less) in ends.items():
            if more is None or less is None or (more, less) == (learnt, induced):
                continue
            if more >= learnt and less <= induced:
                arm["dominated_by"].append(other)
