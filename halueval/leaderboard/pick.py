"""Which runs count: whole, clean, of one set-up each task, of one way of running each model, the newest first.

The rule, in order:

1. A second directory with the run id of a first is a `duplicate`. A run with another limit than the board's is
   `limited`, one from a changed checkout `dirty`.
2. Of each task those runs stay that agree in what makes figures comparable (`setups.setup_of`, and the versions of the
   figures shown). Where there are several set-ups, the one with the most models counts, then the one used last; the
   others are a `mismatch`.
3. A model is a name and its weights: a name that stands for several weights is several models, told apart by the first
   digits of these.
4. Of the ways in which a model was run (dtype, chat template) the one with the most tasks counts, then the one used
   last. Of its runs of a task the one that finished last counts, then the one with the larger id. The others are
   `superseded`.

What is let through by kind (`limited`, `dirty`, `mismatch`) or by name is marked. It never decides a set-up, and where
it differs in one it gets no rank. A run that is let through by name counts before all others of its model and task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from halueval.leaderboard.board import Excluded, Problem
from halueval.leaderboard.find import Found
from halueval.leaderboard.settings import BoardSpec
from halueval.leaderboard.setups import barred, difference, figures_of, finished, setup_of, version_of, way_of
from halueval.schema import canonical_json

Weights = tuple[str, str, str]
"""Name, digest of the weights, digest of the adapter or nothing."""
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A run on the board.

    Attributes:
        found: the run.
        remark: why it would not count by itself; empty for a run that does.
        comparable: whether it is of the set-up of its table, and so can have a rank.
    """

    found: Found
    remark: str = ""
    comparable: bool = True

    @property
    def record(self) -> dict[str, Any]:
        """Its `run.json`."""
        return self.found.run.record


@dataclass(slots=True)
class _Picker:
    spec: BoardSpec
    kinds: Collection[str]
    named: Collection[str]
    excluded: list[Excluded] = field(default_factory=list)

    def leave_out(self, found: Found, problem: Problem, reason: str) -> None:
        record = found.run.record
        self.excluded.append(Excluded(found.path, problem, reason, record["model"]["name"], record["task"]["name"]))

    def whole(self, runs: Sequence[Found]) -> list[Chosen]:
        """Rule 1."""
        out: list[Chosen] = []
        ids: dict[str, str] = {}
        for found in runs:
            record = found.run.record
            if self.spec.tasks and record["task"]["name"] not in self.spec.tasks:
                continue
            if found.run.run_id in ids:
                self.leave_out(found, "duplicate", f"has the run id of {ids[found.run.run_id]}")
                continue
            wrong = barred(record, self.spec)
            if wrong is not None and wrong[0] not in self.kinds and found.run.run_id not in self.named:
                self.leave_out(found, *wrong)
                continue
            ids[found.run.run_id] = found.path
            out.append(Chosen(found, wrong[1] if wrong else ""))
        return out

    def agree(self, runs: Sequence[Chosen]) -> list[Chosen]:
        """Rule 2, for the runs of one task: those of one set-up, and others that are let through."""
        kept, marked = self._one(runs, lambda run: setup_of(run.record))
        for figure in sorted({name for run in kept for name in figures_of(run.record)}):
            silent = [run for run in kept if version_of(run.record, figure) is None]
            telling = [run for run in kept if version_of(run.record, figure) is not None]
            if telling:
                same, more = self._one(telling, partial(_version, figure))
                kept, marked = [*silent, *same], [*marked, *more]
        return [*kept, *marked]

    def _one(
        self, runs: Sequence[Chosen], key: Callable[[Chosen], dict[str, Any]]
    ) -> tuple[list[Chosen], list[Chosen]]:
        groups = _by(runs, lambda run: canonical_json(key(run)))

        def weight(name: str) -> tuple[Any, ...]:
            mine = groups[name]
            clean = {_weights(run) for run in mine if not run.remark}
            return len(clean), len({_weights(run) for run in mine}), max(finished(run.record) for run in mine), name

        best = max(groups, key=weight)
        board = key(groups[best][0])
        marked = []
        for name, others in groups.items():
            for run in others if name != best else ():
                mine = key(run)
                reason = difference(mine, board)
                only_limit = [part for part in mine if mine[part] != board[part]] == ["limit"]
                if (
                    run.found.run.run_id in self.named
                    or "mismatch" in self.kinds
                    or (only_limit and "limited" in self.kinds)
                ):
                    told = reason if not run.remark or only_limit else f"{run.remark}; {reason}"
                    marked.append(replace(run, remark=told, comparable=False))
                else:
                    self.leave_out(run.found, "mismatch", reason)
        return groups[best], marked

    def one_way(self, runs: Sequence[Chosen]) -> dict[str, Chosen]:
        """Rule 4, for the runs of one model: by task the run that counts."""
        ways = _by(runs, lambda run: way_of(run.record))

        def weight(way: tuple[str, str]) -> tuple[Any, ...]:
            mine = ways[way]
            named = any(run.found.run.run_id in self.named for run in mine)
            return named, len({_task(run) for run in mine}), max(finished(run.record) for run in mine), way

        best = max(ways, key=weight)
        for way, others in ways.items():
            for run in others if way != best else ():
                self.leave_out(run.found, "superseded", f"ran {_told(way)}; this model's row is of runs {_told(best)}")
        out = {}
        for task, same in _by(ways[best], _task).items():
            first = max(same, key=self._order)
            out[task] = first
            for run in same:
                if run is not first:
                    self.leave_out(run.found, "superseded", f"{first.found.path} {self._why(first, run)}")
        return out

    def _order(self, run: Chosen) -> tuple[Any, ...]:
        run_id = run.found.run.run_id
        return run_id in self.named, run.comparable, not run.remark, finished(run.record), run_id

    def _why(self, first: Chosen, other: Chosen) -> str:
        if first.found.run.run_id in self.named:
            return "was asked for"
        if (first.comparable, not first.remark) != (other.comparable, not other.remark):
            return "counts by itself"
        return "is newer"


def pick(
    runs: Sequence[Found], spec: BoardSpec, kinds: Collection[str] = (), named: Collection[str] = ()
) -> tuple[dict[str, dict[str, Chosen]], list[Excluded]]:
    """Choose one run a model and task.

    Args:
        runs: all that were found, in the order of their paths.
        spec: of the board.
        kinds: problems that are let through.
        named: ids of runs that are let through.

    Returns:
        By key of the model and task the run that counts; and the runs that do not, in the order of their paths.
    """
    picker = _Picker(spec, kinds, named)
    whole = picker.whole(runs)
    agreed = [run for _, mine in sorted(_by(whole, _task).items()) for run in picker.agree(mine)]
    chosen = {weights: picker.one_way(mine) for weights, mine in sorted(_by(agreed, _weights).items())}
    keys = _keys(list(chosen))
    picker.excluded.sort(key=lambda item: (item.path, item.reason))
    return {keys[weights]: chosen[weights] for weights in sorted(chosen, key=lambda w: keys[w])}, picker.excluded


def _version(figure: str, run: Chosen) -> dict[str, Any]:
    return {f"version of {figure}": version_of(run.record, figure)}


def _task(run: Chosen) -> str:
    return str(run.record["task"]["name"])


def _weights(run: Chosen) -> Weights:
    model = run.record["model"]
    return model["name"], model["weights_sha256"], model["adapter_sha256"] or ""


def _told(way: tuple[str, str]) -> str:
    dtype, template = way
    return f"in {dtype}{f' with chat template {template[:8]}' if template else ''}"


def _keys(models: Sequence[Weights]) -> Mapping[Weights, str]:
    """A name for each set of weights: the model's own, with digits of the weights where several share it."""
    by_name: dict[str, list[Weights]] = defaultdict(list)
    for model in models:
        by_name[model[0]].append(model)
    for digits in (8, 16, 128):
        keys = {
            model: model[0] if len(by_name[model[0]]) == 1 else f"{model[0]}@{(model[2] + model[1])[:digits]}"
            for model in models
        }
        if len(set(keys.values())) == len(models):
            break
    taken: set[str] = set()
    for model in models:  # a name may look like another one with digits
        while keys[model] in taken:
            keys[model] = f"{keys[model]}'"
        taken.add(keys[model])
    return keys


def _by(runs: Iterable[Chosen], key: Callable[[Chosen], Key]) -> dict[Key, list[Chosen]]:
    out: dict[Key, list[Chosen]] = {}
    for run in runs:
        out.setdefault(key(run), []).append(run)
    return out
