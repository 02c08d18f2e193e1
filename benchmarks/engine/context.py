"""What a workload is given, and what it hands back."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line said.

    Attributes:
        work: directory for data and results of the runs; may be deleted afterwards.
        peer_python: interpreter of the environment with lm-eval.
        rows, rounds: in place of a workload's own; None takes its own.
        truthfulqa: `multiple_choice.json` of TruthfulQA; None takes the stand-in made from a PyPI wheel.
        qags: `mturk_*.jsonl` of QAGS; None takes XSum.
    """

    work: Path
    peer_python: Path
    rows: int | None = None
    rounds: int | None = None
    truthfulqa: Path | None = None
    qags: Path | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One run of one side.

    Attributes:
        process: seconds of the whole process.
        scoring: seconds from requests to answers; imports, loading and figures are not in it.
        peak_memory: bytes.
        detail: what the workload compares: answers, counters, versions.
    """

    process: float
    scoring: float
    peak_memory: int
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that has to reach a bound. `reached` is None where fewer rows than the goal's were run."""

    what: str
    bound: str
    value: float | None
    reached: bool | None
    shown: str


@dataclass(slots=True)
class Context:
    """One workload while it runs."""

    settings: Settings
    name: str
    rows: int
    rounds: int
    whole: bool
    folder: Path
    position: str
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Progress, on standard error."""
        print(f"[{self.position} {self.name}] {text}", file=sys.stderr, flush=True)

    def goal(self, what: str, value: float | None, relation: str, bound: float, *, unit: str = "") -> None:
        """Judge one figure; a value that could not be had misses its goal.

        Args:
            what: the figure in words.
            value: as measured.
            relation: `>=` or `<=`.
            bound: what it has to reach.
            unit: put behind both numbers.
        """
        met = value is not None and (value >= bound if relation == ">=" else value <= bound)
        sign = "≥" if relation == ">=" else "≤"
        shown = "not measured" if value is None else f"{value:.3g}{unit}"
        self.goals.append(Goal(what, f"{sign} {bound:g}{unit}", value, met if self.whole else None, shown))

    def equal(self, what: str, same: int, of: int, *, explained: int = 0) -> None:
        """Judge a count of equal answers; those that are `explained` (ties) count as equal."""
        met = of > 0 and same + explained == of
        shown = f"{same} of {of}" + (f", {explained} explained by ties" if explained else "")
        self.goals.append(Goal(what, "all", same / of if of else None, met if self.whole else None, shown))


@dataclass(frozen=True, slots=True)
class Workload:
    """A benchmark: how much, how often, and how to run it."""

    name: str
    title: str
    rows: int
    rounds: int
    run: Callable[[Context], dict[str, Any]]


def alternate(
    context: Context, sides: Mapping[str, Callable[[int], Side]], *, rounds: int | None = None
) -> dict[str, list[Side]]:
    """Run the sides in turn (A B A B …), so that whatever else the machine does hits both alike."""
    done: dict[str, list[Side]] = {name: [] for name in sides}
    total = rounds or context.rounds
    for number in range(total):
        for name, side in sides.items():
            context.say(f"round {number + 1}/{total}: {name} …")
            result = side(number)
            context.say(f"round {number + 1}/{total}: {name} {result.scoring:.1f} s, process {result.process:.1f} s")
            done[name].append(result)
    return done


def median(values: Sequence[float]) -> float:
    """Median of a few seconds."""
    return statistics.median(values)


def timings(sides: Sequence[Side]) -> dict[str, Any]:
    """Seconds of every round, their medians, and the largest memory."""
    return {
        "process_seconds": [round(side.process, 3) for side in sides],
        "scoring_seconds": [round(side.scoring, 3) for side in sides],
        "process_median": round(median([side.process for side in sides]), 3),
        "scoring_median": round(median([side.scoring for side in sides]), 3),
        "peak_memory_bytes": max(side.peak_memory for side in sides),
    }


def paired(done: Mapping[str, Sequence[Side]], peer: str) -> dict[str, Any]:
    """Timings of the peer and ours, and how many times as long the peer took (ratio of medians, and each round's)."""
    theirs, ours = timings(done[peer]), timings(done["halueval"])
    by_round = [a.scoring / b.scoring for a, b in zip(done[peer], done["halueval"], strict=True)]
    return {
        "peer": peer,
        "peer_versions": done[peer][-1].detail.get("versions"),
        "sides": {peer: theirs, "halueval": ours},
        "ratios": {
            "scoring": theirs["scoring_median"] / ours["scoring_median"],
            "process": theirs["process_median"] / ours["process_median"],
            "scoring_by_round": by_round,
        },
    }
