"""What `halueval explain --json` holds: measures, each with its uncertainty, beside the rates that they should explain.

A measure that could not be taken is None with a reason. Shares and rates are fractions of 1, likelihoods bits or nats
as `unit` says. Intervals are 95 % whatever `alpha`. Measures of weights have no interval: they are no sample.
"""

from __future__ import annotations

from typing import TypedDict

from halueval.compare.fields import NetRate, Rate
from halueval.compare.record import Side

EXPLAIN_SCHEMA_VERSION = 1

ASSOCIATION = (
    "One pair of checkpoints shows what goes together, not what brought what about: two causes at work at once leave "
    "the same traces. Training again with one of them changed (halueval finetune) is what can tell them apart."
)
"""Stands on every form of output."""


class Measure(TypedDict):
    """One number.

    Attributes:
        label: what it is, in words.
        value: None where it could not be taken; `reason` says why.
        ci_low, ci_high: 95 % interval; None where there is none.
        p_value: two-sided, or of a permutation null (larger is more extreme); None where nothing is tested.
        p_adjusted: Benjamini-Hochberg over all tests of the record.
        null: mean of the permutation null, which is what two samples of one source would give.
        n: what it was taken over.
        unit: `share`, `bits/byte`, `nats/token`, or "" for a distance.
        method: how the uncertainty was found.
        reason: why there is no value, or no interval.
    """

    label: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    p_adjusted: float | None
    null: float | None
    n: int
    unit: str
    method: str
    reason: str | None


class GroupRates(TypedDict):
    """One side of a contrast: what became of its items.

    `accuracy_base` and `accuracy_candidate` are shares of the items with a state on both sides; `accuracy_change` is
    paired. `induced_rate` is of the items on which the base did not hallucinate.
    """

    n: int
    accuracy_base: Measure
    accuracy_candidate: Measure
    accuracy_change: Measure
    hallucination_change: Measure
    induced_rate: Measure


class Contrast(TypedDict):
    """Two groups of a task's items: `first` - `second`, tested as unrelated shares."""

    name: str
    first: str
    second: str
    groups: dict[str, GroupRates]
    accuracy_difference: Measure
    induced_difference: Measure
    reason: str | None


class TaskExplanation(TypedDict):
    """One task: the rates to be explained, and the measures that need its items.

    `distribution`: training data against the task's items. `overlap`: items that the training data holds.
    `generalisation`: seen against unseen items, trained relations against others.
    """

    n_paired: int
    has_states: bool
    induced_rate: Rate
    net_rate: NetRate
    distribution: dict[str, Measure]
    overlap: dict[str, Measure]
    generalisation: list[Contrast]
    notes: list[str]
    statements: list[str]


class WeightGroup(TypedDict):
    """Tensors of one kind in one layer.

    Attributes:
        layer: number of the layer, with its stack before it in an encoder-decoder; "" outside of layers.
        kind: `attention`, `mlp`, `norm`, `embedding`, `head` or `other`.
        n_parameters: in these tensors.
        relative_change: Frobenius norm of the difference over that of the base, all tensors of the group as one.
        spectral_norm: largest singular value of a difference, the largest of the group's; None without a matrix.
        spectral_ratio: the same over the base's largest singular value, the largest of the group's.
    """

    layer: str
    kind: str
    n_parameters: int
    relative_change: float | None
    spectral_norm: float | None
    spectral_ratio: float | None


class WeightChange(TypedDict):
    """How far the weights moved. `reason` says why there are no figures."""

    reason: str | None
    relative_change: float | None
    n_parameters: int
    n_unchanged: int
    groups: list[WeightGroup]
    notes: list[str]


class TrainingInfo(TypedDict):
    """The training data, or why there is none."""

    reason: str | None
    path: str | None
    sha256: str | None
    n: int
    found: str


class Settings(TypedDict):
    """How the record was made."""

    alpha: float
    seed: int
    n_permutations: int
    max_texts: int
    n_tests: int


class ExplainRecord(TypedDict):
    """The whole. `behaviour` holds KL and forgetting on general text, whose source is `neutral`."""

    schema_version: int
    halueval_version: str
    settings: Settings
    base: Side
    candidate: Side
    headline: str
    caution: str
    notes: list[str]
    training: TrainingInfo
    tasks: dict[str, TaskExplanation]
    weights: WeightChange
    neutral: str
    behaviour: dict[str, Measure]
    statements: list[str]


def measure(
    label: str,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    n: int,
    unit: str = "",
    p: float | None = None,
    null: float | None = None,
    method: str = "",
    reason: str | None = None,
) -> Measure:
    """A measure that was taken."""
    return {
        "label": label,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "p_value": p,
        "p_adjusted": None,
        "null": null,
        "n": n,
        "unit": unit,
        "method": method,
        "reason": reason,
    }


def missing(label: str, reason: str, unit: str = "") -> Measure:
    """A measure that could not be taken, and why."""
    return measure(label, None, n=0, unit=unit, reason=reason)
