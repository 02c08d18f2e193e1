"""One table over tasks and candidates: Holm over its primary claims, a summary by kind, the record.

A task makes two primary claims: its primary figure changed, and the model hallucinates more or less (net
rate). Where both look at the same pairs changing in opposite directions (exact match on a task without
abstentions) they are one claim and counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from halueval.compare.columns import Columns, read_columns, without_collection
from halueval.compare.fields import Figure, NetRate
from halueval.compare.figures import IDENTICAL, Difference, Engine
from halueval.compare.pairing import check_allowed
from halueval.compare.record import (
    DIFF_SCHEMA_VERSION,
    Comparison,
    DiffRecord,
    Macro,
    PairedSample,
    Side,
    SummaryRow,
    TaskDiff,
)
from halueval.compare.samples import paired_samples
from halueval.compare.task import Compared, compare_task
from halueval.compare.wording import headline, task_headline, verdict
from halueval.errors import UsageError
from halueval.stats.multiplicity import benjamini_hochberg, holm
from halueval.stats.proportions import mean_of_intervals
from halueval.store import Run

Runs = Mapping[str, Run]
"""One model's runs by task."""


@dataclass(frozen=True, slots=True)
class Table:
    """The record, and what is needed to show every pair."""

    record: DiffRecord
    compared: Sequence[Mapping[str, Compared]]

    def samples_by_task(self) -> dict[str, list[PairedSample]]:
        """Every pair of every task with its texts, of all candidates one after another.

        Raises:
            DataError: a samples file that was changed meanwhile.
        """
        sides = [c["candidate"]["label"] for c in (self.record, *self.record["further"])]
        out: dict[str, list[PairedSample]] = {}
        for label, tasks in zip(sides, self.compared, strict=True):
            for name, item in tasks.items():
                rows = paired_samples(item.base, item.candidate, item.pairs, item.states, None, label)
                out.setdefault(name, []).extend(rows)
        return out


def compare_runs(
    base: Run,
    candidate: Run,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    n_resamples: int = 10_000,
    noise_floor: Run | None = None,
    allow_mismatch: Sequence[str] = (),
) -> TaskDiff:
    """Compare two runs of one task.

    Arguments and errors as `compare_all`.
    """
    name = base.record["task"]["name"]
    noise = [noise_floor] if noise_floor else []
    table = compare_all(
        {name: base},
        [{name: candidate}],
        engine=Engine(alpha, seed, n_resamples),
        noise=noise,
        allow_mismatch=allow_mismatch,
    )
    return table.record["tasks"][name]


def compare_all(
    base: Runs,
    candidates: Sequence[Runs],
    *,
    engine: Engine | None = None,
    noise: Sequence[Run] = (),
    allow_mismatch: Sequence[str] = (),
    notes: Sequence[Sequence[str]] = (),
    known_class: Mapping[str, Path] | None = None,
    advance: Callable[[str], None] = lambda _: None,
) -> Table:
    """Compare the base with every candidate on every task that both have.

    Args:
        base: the base's runs by task.
        candidates: each candidate's runs by task.
        engine: level, seed, replicates.
        noise: second runs of the base, at most one a task.
        allow_mismatch: keys of the identity that may differ (`pairing.MISMATCH_KEYS`).
        notes: of each candidate, to stand above its tasks.
        known_class: files of labels by task, in place of those that stand beside the base's runs.
        advance: is told each task before it is compared.

    Raises:
        UsageError: no candidate, runs that cannot be compared, or a noise floor for a task not compared.
        DataError: a samples file that is missing, changed or unreadable.
    """
    engine = engine or Engine()
    check_allowed(allow_mismatch)
    floors = _floors(noise, base)
    labels = _labels([next(iter(base.values())), *(next(iter(c.values())) for c in candidates)])
    read: dict[str, Columns] = {}
    compared: list[dict[str, Compared]] = []
    for label, runs in zip(labels[1:], candidates, strict=True):
        compared.append({})
        for name in (task for task in base if task in runs):
            advance(f"{label} · {name}")
            with without_collection():
                if name not in read:
                    read[name] = read_columns(base[name])
                compared[-1][name] = compare_task(
                    base[name],
                    runs[name],
                    engine,
                    columns=read[name],
                    noise=floors.get(name),
                    allow_mismatch=allow_mismatch,
                    label=label,
                    known_class=(known_class or {}).get(name),
                )
    n_claims = _adjust([item for tasks in compared for item in tasks.values()], engine.alpha)
    side = _side(next(iter(base.values())), labels[0])
    made = [
        _comparison(side, _side(next(iter(runs.values())), label), tasks, notes[i] if notes else (), engine)
        for i, (label, runs, tasks) in enumerate(zip(labels[1:], candidates, compared, strict=True))
    ]
    record: DiffRecord = {
        "schema_version": DIFF_SCHEMA_VERSION,
        "halueval_version": version("halueval"),
        "settings": {
            "alpha": engine.alpha,
            "seed": engine.seed,
            "n_resamples": engine.n_resamples,
            "allow_mismatch": list(allow_mismatch),
            "n_claims": n_claims,
        },
        "base": side,
        **made[0],
        "further": made[1:],
        "gates": [],
    }
    return Table(record, compared)


def _floors(noise: Sequence[Run], base: Runs) -> dict[str, Run]:
    floors: dict[str, Run] = {}
    for run in noise:
        name = str(run.record["task"]["name"])
        if name not in base:
            raise UsageError(f"--noise-floor {run.path} is of task {name!r}; the tasks compared are {', '.join(base)}")
        if name in floors:
            raise UsageError(f"--noise-floor: two runs of task {name!r}; give one")
        floors[name] = run
    return floors


def _labels(runs: Sequence[Run]) -> list[str]:
    """Names of the models, told apart by their run ids where they are the same."""
    names = [str(run.record["model"]["name"]) for run in runs]
    return [f"{n} ({run.run_id})" if names.count(n) > 1 else n for n, run in zip(names, runs, strict=True)]


def _side(run: Run, label: str) -> Side:
    model = run.record["model"]
    return {
        "label": label,
        "name": model["name"],
        "base": model.get("base"),
        "source": model.get("source"),
        "architecture": model["architecture"],
        "dtype": model["dtype"],
        "num_parameters": model.get("num_parameters"),
        "weights_sha256": model["weights_sha256"],
        "adapter_sha256": model["adapter_sha256"],
        "tokenizer_sha256": model["tokenizer_sha256"],
        "chat_template_sha256": model["chat_template_sha256"],
    }


def _adjust(items: Sequence[Compared], alpha: float) -> int:
    """Write adjusted p-values into the figures; returns the number of primary claims."""
    claims: list[list[Figure | NetRate]] = []
    others: list[Figure] = []
    for item in items:
        net, primary = item.diff["net_rate"], item.primary
        of_task: list[Figure | NetRate] = [net] if net["p_value"] is not None else []
        if primary is not None and primary.figure["p_value"] is not None:
            of_task.append(primary.figure)
        if len(of_task) == 2 and not _same_claim(item.net, primary):
            claims += [[claim] for claim in of_task]
        elif of_task:
            claims.append(of_task)
        others += _secondary(item.diff)
    for claim, p in zip(claims, holm([max(c["p_value"] or 0.0 for c in claim) for claim in claims]), strict=True):
        for part in claim:
            part["p_adjusted"], part["significant"] = float(p), float(p) < alpha
    for figure, p in zip(others, benjamini_hochberg([f["p_value"] or 0.0 for f in others]), strict=True):
        figure["p_adjusted"], figure["significant"] = float(p), float(p) < alpha
    for item in items:
        for name, figure in _form(item.diff).items():
            if name in item.diff["metrics"]:
                twin = item.diff["metrics"][name]
                figure["p_adjusted"], figure["significant"] = twin["p_adjusted"], twin["significant"]
    return len(claims)


def _same_claim(net: Difference | None, primary: Difference | None) -> bool:
    if net is None or primary is None or net.values is None or primary.values is None:
        return False
    return np.array_equal(net.values, -primary.values) or np.array_equal(net.values, primary.values)


def _secondary(task: TaskDiff) -> list[Figure]:
    """Figures that explore, each once."""
    figures = [f for f in task["metrics"].values() if not f["primary"]]
    figures += [f for name, f in task["likelihood"].items() if name not in task["metrics"]]
    # A form rate that the task also has as a metric is one test, not two.
    figures += [figure for name, figure in _form(task).items() if name not in task["metrics"]]
    return [figure for figure in figures if figure["p_value"] is not None]


def _form(task: TaskDiff) -> dict[str, Figure]:
    """Rates and lengths of the format drift by name."""
    drift = task["format_drift"]
    return {} if drift is None else {**drift["rates"], **drift["lengths"]}


def _comparison(
    base: Side, candidate: Side, tasks: Mapping[str, Compared], notes: Sequence[str], engine: Engine
) -> Comparison:
    diffs = {name: item.diff for name, item in tasks.items()}
    for diff in diffs.values():
        diff["verdict"] = verdict(diff)
        diff["headline"] = task_headline(diff, base, candidate)
    return {
        "candidate": candidate,
        "headline": headline(diffs, base, candidate),
        "notes": list(notes),
        "tasks": diffs,
        "summary": _summary(tasks),
    }


def _summary(tasks: Mapping[str, Compared]) -> dict[str, SummaryRow]:
    """Macro means over the tasks of each kind."""
    out: dict[str, SummaryRow] = {}
    for kind in dict.fromkeys(item.diff["task"]["kind"] for item in tasks.values()):
        mine = {name: item for name, item in tasks.items() if item.diff["task"]["kind"] == kind}
        nets = [item.net.figure for item in mine.values() if item.net is not None]
        primaries = [item.primary.figure for item in mine.values() if item.primary is not None]
        out[kind] = {
            "tasks": list(mine),
            "net_rate": macro_mean(nets, [1.0] * len(nets)),
            "primary_delta": macro_mean(primaries, [_SIGNS[f["higher_is_better"]] for f in primaries]),
        }
    return out


_SIGNS = {True: 1.0, False: -1.0, None: 0.0}


def macro_mean(figures: Sequence[Figure], signs: Sequence[float]) -> Macro | None:
    """Mean of the differences, each multiplied by its sign; those of sign 0 are left out."""
    parts, known = [], True
    for figure, sign in zip(figures, signs, strict=True):
        low, high, delta = figure["ci_low"], figure["ci_high"], figure["delta"]
        if sign == 0:
            continue
        if low is None or high is None:
            # Where no pair differs there is nothing to be uncertain about; otherwise the mean has no interval.
            known = known and figure["ci_reason"] == IDENTICAL
            low = high = delta
        ends = sorted((sign * low, sign * high))
        parts.append((sign * delta, min(ends[0], sign * delta), max(ends[1], sign * delta)))
    if not parts:
        return None
    value, low, high = mean_of_intervals(parts)
    known = known and low < high
    return {"value": value, "ci_low": low if known else None, "ci_high": high if known else None}
