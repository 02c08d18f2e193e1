"""Gates: reading, resolving, judging; what is unknown never passes."""

from __future__ import annotations

import planted
import pytest

from halueval.compare.figures import Engine
from halueval.compare.gates import check_gates, parse_gate
from halueval.compare.table import compare_all
from halueval.errors import UsageError


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    runs = planted.planted_runs(tmp_path_factory)
    sides = [{"capitals": runs[name]} for name in ("base", "planted", "slight", "base")]
    return compare_all(sides[0], sides[1:], engine=Engine(n_resamples=300)).record


def judged(record, text):
    """Who failed."""
    return [r["candidate"].split()[0] for r in check_gates(record, [parse_gate(text)]) if r["failed"]]


@pytest.mark.parametrize(
    ("gate", "failing"),
    [
        ("induced_rate.ci_low > 0.04", ["planted"]),
        ("capitals:induced_rate.ci_low>0.04", ["planted"]),
        ("induced_rate > 0", ["planted", "slight"]),
        ("exact_match.delta < -0.02", ["planted"]),
        ("metrics.exact_match.delta<-0.02", ["planted"]),
        ("confidence_target_0.75.delta < -0.1", ["planted"]),
        ("net_rate.p_adjusted < 0.05", ["planted"]),
        ("transitions.correct.hallucinated >= 12", ["planted"]),
        ("n_paired < 200", []),
        ("calibration.brier.delta != 0", ["planted", "slight"]),
        ("truncated_rate.delta > 0", []),
        ("token_f1.ci_high < 0", ["planted"]),
        ("regression", ["planted"]),
        ("capitals:regression", ["planted"]),
    ],
)
def test_gates_fail_where_they_hold(record, gate, failing):
    assert judged(record, gate) == failing


def test_the_line_of_a_gate_names_figure_and_value(record):
    (line, *_) = [r["message"] for r in check_gates(record, [parse_gate("exact_match.delta < -0.02")]) if r["failed"]]
    assert line == "gate 'exact_match.delta < -0.02' failed on capitals for planted: exact_match.delta is -0.06"


@pytest.mark.parametrize("text", ["", "exact_match", "exact_match.delta <", "a.b < c", "a.b <> 1", "x: > 3", "a < nan"])
def test_unreadable_gates_are_refused(text):
    with pytest.raises(UsageError, match="write '"):
        parse_gate(text)


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        ("exact_mach.delta < 0", "no figure 'exact_mach.delta'"),
        ("exact_match.dleta < 0", "no figure 'exact_match.dleta'"),
        ("rivers:exact_match.delta < 0", "no task 'rivers'"),
        ("exact_match < 0", "say which field: base, candidate, delta, ci_low, ci_high, p_value"),
        ("verdict < 0", "is no number"),
        ("net_rate.floor > 0", "has no value"),
    ],
)
def test_gates_that_cannot_be_judged_are_refused(record, gate, line):
    with pytest.raises(UsageError) as refused:
        check_gates(record, [parse_gate(gate)])
    assert line in str(refused.value)
