"""Gates: conditions over figures of the record that make `halueval diff` exit with 1.

`[TASK:]FIGURE[.FIELD…] OP NUMBER`, e.g. `facts_qa:induced_rate.ci_low > 0` or `exact_match.delta < -0.02`: the
gate *fails* where the condition holds. FIGURE is any key of a task's part of the JSON, or a figure of its
`metrics`, `likelihood`, `calibration` or `format_drift`; without FIELD a rate means its `value`. The preset
`regression` fails where a primary claim (primary figure, net rate) got significantly worse after Holm and,
where a noise floor was given, lies beyond it.

A gate that names something unknown, or has nothing to judge, is bad usage: it never passes in silence.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halueval.compare.figures import IDENTICAL
from halueval.compare.record import DiffRecord, GateResult, TaskDiff, comparisons
from halueval.compare.wording import regressions
from halueval.errors import UsageError, nearest

REGRESSION = "regression"
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_GATE = re.compile(
    r"\s*(?:(?P<task>[^:<>=!\s]+)\s*:)?\s*(?P<path>[^:<>=!\s]+)\s*(?P<op><=|>=|==|!=|<|>)\s*(?P<number>\S+)\s*"
)
_SECTIONS = ("metrics", "likelihood", "calibration", "format_drift")


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition, as written and taken apart; `path` is None for the preset."""

    text: str
    task: str | None
    path: str | None
    compare: Callable[[float, float], bool]
    number: float


def parse_gate(text: str) -> Gate:
    """Read one `--fail-on`.

    Raises:
        UsageError: it is none; the line shows the form.
    """
    task, _, preset = text.strip().rpartition(":")
    if preset.strip() == REGRESSION:
        return Gate(text, task.strip() or None, None, operator.ne, 0.0)
    match = _GATE.fullmatch(text)
    try:
        number = float(match["number"]) if match else None
    except ValueError:
        number = None
    if match is None or number is None or number != number:
        raise UsageError(
            f"--fail-on {text!r}: write '[TASK:]FIGURE.FIELD OP NUMBER', e.g. 'induced_rate.ci_low > 0' or "
            f"'exact_match.delta < -0.02', or '{REGRESSION}'"
        )
    return Gate(text, match["task"], match["path"], _OPERATORS[match["op"]], number)


def check_gates(record: DiffRecord, gates: Sequence[Gate]) -> list[GateResult]:
    """Judge every gate on every task and candidate that it is about.

    Raises:
        UsageError: a gate that names an unknown task, figure or field, or that cannot be judged.
    """
    return [result for gate in gates for result in _check(record, gate)]


def _check(record: DiffRecord, gate: Gate) -> Iterator[GateResult]:
    tasks = [(c["candidate"]["label"], name, task) for c in comparisons(record) for name, task in c["tasks"].items()]
    known = {name for _, name, _ in tasks}
    if gate.task is not None and gate.task not in known:
        raise UsageError(
            f"--fail-on {gate.text!r}: no task {gate.task!r} in this comparison{nearest(gate.task, known)}"
        )
    chosen = [item for item in tasks if gate.task in (None, item[1])]
    if gate.path is None:
        for label, name, task in chosen:
            yield _regression(gate, label, name, task)
        return
    found = [(label, name, task, _resolve(task, gate.path)) for label, name, task in chosen]
    having = [item for item in found if item[3] is not None]
    if not having:
        raise UsageError(f"--fail-on {gate.text!r}: no figure {gate.path!r}{nearest(gate.path, _names(chosen[0][2]))}")
    for label, name, task, values in having:
        assert values is not None
        yield _judge(gate, label, name, task, values)


def _resolve(task: TaskDiff, path: str) -> list[Any] | None:
    """What lies at a path, preceded by what it lies in; None where there is no such path."""
    for root in (task, *(task.get(section) for section in _SECTIONS)):
        if isinstance(root, Mapping) and (found := _walk([root], path)):
            return found
    drift = task["format_drift"]
    if drift is not None:
        for part in (drift["rates"], drift["lengths"]):
            if found := _walk([part], path):
                return found
    return None


def _walk(trail: list[Any], path: str) -> list[Any] | None:
    """Follow a dotted path; names may hold dots themselves (`confidence_target_0.75`)."""
    if not path:
        return trail
    here = trail[-1]
    if not isinstance(here, Mapping):
        return None
    for key in sorted((k for k in here if path == k or path.startswith(f"{k}.")), key=len, reverse=True):
        if found := _walk([*trail, here[key]], path[len(key) + 1 :]):
            return found
    return None


def _judge(gate: Gate, label: str, name: str, task: TaskDiff, trail: list[Any]) -> GateResult:
    value, holder = trail[-1], trail[-2] if len(trail) > 1 else {}
    if isinstance(value, Mapping):
        if "value" not in value:
            fields = [k for k, v in value.items() if isinstance(v, int | float) and not isinstance(v, bool)]
            raise UsageError(f"--fail-on {gate.text!r}: {gate.path} is no number; say which field: {', '.join(fields)}")
        value, holder = value["value"], value
    if value is None and isinstance(holder, Mapping) and holder.get("ci_reason") == IDENTICAL:
        return _result(gate, label, name, None, False, f"{gate.path} has no value, since {IDENTICAL}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        reason = holder.get("ci_reason") if isinstance(holder, Mapping) else None
        shown = "has no value" + (f" ({reason})" if reason else "") if value is None else "is no number"
        raise UsageError(f"--fail-on {gate.text!r}: {name}: {gate.path} {shown}; choose a figure that can be judged")
    failed = gate.compare(float(value), gate.number)
    return _result(gate, label, name, float(value), failed, f"{gate.path} is {value:.6g}")


def _regression(gate: Gate, label: str, name: str, task: TaskDiff) -> GateResult:
    worse = regressions(task)
    if not worse:
        return _result(gate, label, name, None, False, f"{task['verdict']}")
    told = []
    values = []
    for figure, claim in worse:
        values.append(float(claim.get("delta", claim.get("value"))))  # type: ignore[arg-type]  # a Figure has a delta, a NetRate a value
        told.append(f"{figure} {values[-1]:+.4f} (adjusted p {claim['p_adjusted']:.4g})")
    return _result(gate, label, name, values[0], True, "significantly worse: " + ", ".join(told))


def _result(gate: Gate, label: str, name: str, value: float | None, failed: bool, told: str) -> GateResult:
    outcome = "failed" if failed else "passed"
    return {
        "gate": gate.text.strip(),
        "task": name,
        "candidate": label,
        "failed": failed,
        "value": value,
        "message": f"gate {gate.text.strip()!r} {outcome} on {name} for {label}: {told}",
    }


def _names(task: TaskDiff) -> list[str]:
    rates = [key for key in task if key.endswith("_rate")]
    return [*rates, *task["metrics"], *task["likelihood"], "calibration.ece", "calibration.brier", "calibration.nll"]
