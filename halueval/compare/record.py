"""What `halueval diff --json` holds: the one thing that terminal, Markdown, JUnit and HTML read.

Every number is a plain Python float or int, or None with a reason beside it; shares and rates are fractions
of 1, never per cent. Intervals are 95 % whatever `alpha`, which is the level of the tests alone. All texts
that a model or a data set wrote (prompt, target, response, names of strata) stand here as they are: who
renders them escapes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NotRequired, TypedDict

from halueval.compare.fields import (
    Bounds,
    Calibration,
    Figure,
    FormatDrift,
    NetRate,
    NoiseFloor,
    Rate,
    RunReference,
    Stratum,
)

DIFF_SCHEMA_VERSION = 1
MAX_LISTED = 1000
"""Most samples listed in `samples.induced` and in `samples.repaired` of one task."""

STATES = ("correct", "abstained", "hallucinated", "unscored")


class Side(TypedDict):
    """One of the models compared, as its `run.json` names it.

    `label` is `name`, with a run id behind it where two models of the table bear the same name.
    """

    label: str
    name: str
    base: str | None
    source: str | None
    architecture: str
    dtype: str
    num_parameters: int | None
    weights_sha256: str
    adapter_sha256: str | None
    tokenizer_sha256: str | None
    chat_template_sha256: str | None


class TaskInfo(TypedDict):
    """The task as the base's run describes it. `primary_metric` may be None."""

    name: str
    version: str
    kind: str
    language: str
    output_type: str
    num_fewshot: int
    primary_metric: str | None


class Pairing(TypedDict):
    """How the two sample files were joined.

    Attributes:
        n_base, n_candidate: samples in each run.
        n_paired: pairs. Pairs whose state only one side (or none) could give are among them.
        n_clusters: distinct clusters (documents) among the pairs; fewer than pairs where rows have variants.
        n_unpaired_base, n_unpaired_candidate: samples without a partner.
        reasons: why, with counts over both sides.
        prompts_differ: pairs whose prompts differ; above 0 only under `--allow-mismatch`.
        unscored_base, unscored_candidate, unscored_both: pairs whose state is unscored on that side only, or both.
        identical_answers: pairs in which both models answered byte for byte the same.
    """

    n_base: int
    n_candidate: int
    n_paired: int
    n_clusters: int
    n_unpaired_base: int
    n_unpaired_candidate: int
    reasons: dict[str, int]
    prompts_differ: int
    unscored_base: int
    unscored_candidate: int
    unscored_both: int
    identical_answers: int


class Mismatch(TypedDict):
    """A key of the two runs' identities that differs and was let through by `--allow-mismatch`."""

    key: str
    base: Any
    candidate: Any


class Answer(TypedDict):
    """What one model made of a sample. `response` is the chosen choice's text for multiple choice."""

    state: str
    response: str | None
    confidence: float | None
    reason: str | None
    scores: dict[str, float | None]


class PairedSample(TypedDict):
    """A sample with both answers. `transition` is `induced`, `repaired`, `persistent`, or None.

    The HTML page is given lists of these by task, all pairs of the first candidate, then of the next.
    """

    candidate_label: str
    sample_id: str
    doc_hash: str
    prompt: str
    target: str
    choices: list[str] | None
    group: dict[str, str]
    transition: str | None
    base: Answer
    candidate: Answer


class Listed(TypedDict):
    """The first `MAX_LISTED` samples of a kind, in the order of the base's sample ids."""

    induced: list[PairedSample]
    repaired: list[PairedSample]


class TaskDiff(TypedDict):
    """Base against candidate on one task.

    `metrics` stands in the order of the base's run (primary first). `transitions[B][C]` counts pairs with
    state B of the base and C of the candidate, over all four states, zeros included. `induced_rate`,
    `lost_knowledge_rate` and `lost_caution_rate` are shares of the pairs in which the base did not
    hallucinate (the two parts add up to the whole); `repaired_rate` and `persistent_rate` of those in which
    it did. `has_states` is false where no pair has both states (language modeling): rates are None then.
    `likelihood` holds those of `reference_nll` (nats), `bits_per_byte` and `token_perplexity` (same tokenizer
    only) that the task has, and `choice_nll` (nats of the right choices) for multiple choice.
    `not_comparable` gives, for a figure left out of `metrics`, the reason. `verdict` is `worse`, `better`,
    `mixed`, `no detectable change` or `within the noise floor`.
    """

    task: TaskInfo
    base_run: RunReference
    candidate_run: RunReference
    headline: str
    verdict: str
    notes: list[str]
    mismatches: list[Mismatch]
    n_paired: int
    pairing: Pairing
    metrics: dict[str, Figure]
    not_comparable: dict[str, str]
    has_states: bool
    transitions: dict[str, dict[str, int]]
    induced_rate: Rate
    lost_knowledge_rate: Rate
    lost_caution_rate: Rate
    repaired_rate: Rate
    persistent_rate: Rate
    net_rate: NetRate
    bounds: Bounds
    strata: dict[str, dict[str, Stratum]]
    format_drift: FormatDrift | None
    calibration: Calibration
    likelihood: dict[str, Figure]
    noise_floor: NotRequired[NoiseFloor]
    samples: Listed


class Macro(TypedDict):
    """Mean over tasks, tasks held fixed. The interval joins those of the tasks (`stats.proportions.mean_of_intervals`).

    A task in which no pair differs adds no width; there is no interval where another task has none.
    """

    value: float
    ci_low: float | None
    ci_high: float | None


class SummaryRow(TypedDict):
    """Macro means over the tasks of one kind. None where no task of the kind has the figure.

    `primary_delta` counts a figure for which lower is better with its sign turned, so that more is better.
    """

    tasks: list[str]
    net_rate: Macro | None
    primary_delta: Macro | None


class GateResult(TypedDict):
    """One gate on one task of one candidate. `value` is what was compared; `message` is its one line."""

    gate: str
    task: str
    candidate: str
    failed: bool
    value: float | None
    message: str


class Comparison(TypedDict):
    """The base against one candidate. `summary` is keyed by kind."""

    candidate: Side
    headline: str
    notes: list[str]
    tasks: dict[str, TaskDiff]
    summary: dict[str, SummaryRow]


class Settings(TypedDict):
    """How the table was made. `n_claims` is the size of the Holm family."""

    alpha: float
    seed: int
    n_resamples: int
    allow_mismatch: list[str]
    n_claims: int


class DiffRecord(Comparison):
    """The whole: the first candidate's comparison at the top level, further candidates in `further`."""

    schema_version: int
    halueval_version: str
    settings: Settings
    base: Side
    further: list[Comparison]
    gates: list[GateResult]


def comparisons(record: DiffRecord) -> Iterator[Comparison]:
    """The comparison with each candidate, in the order given."""
    yield record
    yield from record["further"]
