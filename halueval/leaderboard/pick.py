"""Which runs count: whole, clean, of one set-up each task, of one set of weights each model, the newest first.

The rule, in order:

1. A run with `--limit` other than the board's is left out as `limited`, one from a changed checkout as `dirty`, unless
   these are included; a second directory with the run id of a first as `duplicate`.
2. Of each task those runs stay that agree in what makes figures comparable (`SETUP`). Where there are several set-ups,
   the one with the most models counts, then the one used last; the others are a `mismatch`.
3. A name that stands for several weights is several models, told apart by the first digits of the weights.
4. Of a model's runs of a task the one that finished last counts, then the one with the larger id; the others are
   `superseded`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from halueval.leaderboard.board import Excluded, Problem
from halueval.leaderboard.find import Found
from halueval.leaderboard.settings import BoardSpec
from halueval.schema import canonical_json

SETUP = ("task_hash", "data_sha256", "num_fewshot", "seed", "limit", "calibration", "system_instruction_sha256")
"""Keys of a run's identity in which all runs of a table agree. Chat template and dtype are the model's own and shown
with it; which figures are computed does not change the others."""

Weights = tuple[str, str | None]
Key = TypeVar("Key", bound=Hashable)


def pick(
    runs: Sequence[Found], spec: BoardSpec, included: Collection[Problem] = ()
) -> tuple[dict[str, dict[str, Found]], list[Excluded]]:
    """Choose one run a model and task.

    Args:
        runs: all that were found, in the order of their paths.
        spec: of the board.
        included: problems that are let through.

    Returns:
        By key of the model and task the run that counts; and the runs that do not, in the order of their paths.
    """
    excluded: list[Excluded] = []

    def leave_out(found: Found, problem: Problem, reason: str) -> None:
        record = found.run.record
        excluded.append(Excluded(found.path, problem, reason, record["model"]["name"], record["task"]["name"]))

    whole: list[Found] = []
    ids: dict[str, str] = {}
    for found in runs:
        record = found.run.record
        if spec.tasks and record["task"]["name"] not in spec.tasks:
            continue
        if found.run.run_id in ids:
            leave_out(found, "duplicate", f"has the run id of {ids[found.run.run_id]}")
        elif "limited" not in included and is_limited(record, spec.limit):
            leave_out(found, "limited", _limited(record, spec.limit))
        elif "dirty" not in included and (record["environment"]["git"] or {}).get("dirty"):
            leave_out(found, "dirty", "was made from a checkout with uncommitted changes")
        elif spec.dtype not in (None, record["model"]["dtype"]):
            leave_out(found, "mismatch", f"ran in {record['model']['dtype']}; this board is of {spec.dtype}")
        else:
            ids[found.run.run_id] = found.path
            whole.append(found)
    names = _names(whole)
    chosen: dict[str, dict[str, Found]] = defaultdict(dict)
    for task, mine in sorted(_by(whole, lambda found: str(found.run.record["task"]["name"])).items()):
        setups = _by(mine, lambda found: canonical_json(setup(found.run.record)))
        best = max(setups, key=lambda key: (len({_model(f) for f in setups[key]}), _last(setups[key]), key))
        for key, others in setups.items():
            if key != best:
                reason = _difference(setup(others[0].run.record), setup(setups[best][0].run.record))
                for found in others:
                    leave_out(found, "mismatch", reason)
        for weights, same in _by(setups[best], _model).items():
            newest = max(same, key=lambda found: (found.run.record["finished_at"], found.run.run_id))
            chosen[names[weights]][task] = newest
            for found in same:
                if found is not newest:
                    leave_out(found, "superseded", f"{newest.path} is newer")
    excluded.sort(key=lambda item: (item.path, item.reason))
    return {key: chosen[key] for key in sorted(chosen)}, excluded


def is_limited(record: Mapping[str, Any], allowed: int | None) -> bool:
    """Whether a run is of fewer rows than the board's runs are."""
    limit = record["identity"]["limit"]
    return limit is not None and limit != allowed and limit < record["n_samples"]["original"]


def _limited(record: Mapping[str, Any], allowed: int | None) -> str:
    board = "whole data sets" if allowed is None else f"--limit {allowed}"
    return f"ran with --limit {record['identity']['limit']}; this board is of {board}"


def setup(record: Mapping[str, Any]) -> dict[str, Any]:
    """What all runs of a table agree in."""
    return {key: record["identity"].get(key) for key in SETUP}


def _difference(mine: Mapping[str, Any], board: Mapping[str, Any]) -> str:
    parts = [f"{key} {mine[key]} (the board's: {board[key]})" for key in SETUP if mine[key] != board[key]]
    return f"differs in {', '.join(parts)}"


def _model(found: Found) -> tuple[str, Weights]:
    model = found.run.record["model"]
    return model["name"], (model["weights_sha256"], model["adapter_sha256"])


def _names(runs: Sequence[Found]) -> dict[tuple[str, Weights], str]:
    """A name for each set of weights: the model's own, with digits of the weights where several share it."""
    by_name: dict[str, set[Weights]] = defaultdict(set)
    for found in runs:
        name, weights = _model(found)
        by_name[name].add(weights)
    return {
        (name, weights): name if len(all_of) == 1 else f"{name}@{(weights[1] or weights[0])[:8]}"
        for name, all_of in by_name.items()
        for weights in all_of
    }


def _last(runs: Sequence[Found]) -> str:
    return max(str(found.run.record["finished_at"]) for found in runs)


def _by(runs: Iterable[Found], key: Callable[[Found], Key]) -> dict[Key, list[Found]]:
    out: dict[Key, list[Found]] = {}
    for found in runs:
        out.setdefault(key(found), []).append(found)
    return out
