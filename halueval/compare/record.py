"""What `halueval diff --json` holds: the one thing that terminal, Markdown, JUnit and HTML read.

Every number is a plain Python float or int, or None with a reason beside it; shares and rates are fractions
of 1, never per cent. Intervals are 95 % whatever `alpha`, which is the level of the tests alone. All texts
that a model or a data set wrote (prompt, target, response, names of strata) stand here as they are: who
renders them escapes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NotRequired, TypedDict

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


class RunReference(TypedDict):
    """Which run the figures of a task come from; `path` is the directory as it was found."""

    run_id: str
    path: str
    finished_at: str


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


class Figure(TypedDict):
    """One figure of both models on the same pairs.

    Attributes:
        base, candidate: the figure; `delta` = candidate - base.
        ci_low, ci_high: 95 % interval of `delta`; both None where there is none, `ci_reason` says why.
        ci_method: `newcombe-paired`; `jackknife-t`, delta ± t standard errors from leaving out one cluster at a
            time (`jackknife-t-N`: one of N groups of clusters), cut at what the figure can be; `newcombe`, for
            unrelated shares, where neither side varies and each leaves out samples of its own.
        p_value: two-sided; None where no test can be made.
        p_adjusted: Holm over the primary claims of the whole table where `primary`, otherwise
            Benjamini-Hochberg over all other figures of the whole table.
        test: `mcnemar-exact`, `permutation` (labels swapped within clusters), `jackknife-t` (AUROC), or `none`.
        mde: smallest true |delta| that this number of pairs would detect at `alpha` with 80 % power.
        significant: `p_adjusted` < alpha. Only these are printed bold.
        within_noise: |delta| is no larger than `floor`, that of the noise-floor run; None without one.
        n: pairs that count; `n_base_only`, `n_candidate_only`: samples that only one side could score or
            has, left out; `best` and `worst`: delta if all of those had gone well or badly for the candidate
            (0/1 figures only, else None).
        flips: pairs whose value differs.
    """

    base: float
    candidate: float
    delta: float
    ci_low: float | None
    ci_high: float | None
    ci_method: str
    ci_reason: str | None
    p_value: float | None
    p_adjusted: float | None
    test: str
    mde: float | None
    significant: bool
    primary: bool
    higher_is_better: bool | None
    n: int
    n_base_only: int
    n_candidate_only: int
    best: float | None
    worst: float | None
    flips: int
    floor: float | None
    within_noise: bool | None


class Rate(TypedDict):
    """A share of samples: `count` of `n`, with its 95 % interval. `value` is None where n is 0.

    The interval is Wilson's; of clustered pairs, that of as many independent ones as their error amounts to.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    count: int
    n: int


class NetRate(Rate):
    """(induced - repaired) / n over pairs with both states: the change of the share of hallucinated samples.

    `count` = induced - repaired, `n` = pairs with both states; tests and the rest as in `Figure`.
    """

    p_value: float | None
    p_adjusted: float | None
    test: str
    mde: float | None
    significant: bool
    floor: float | None
    within_noise: bool | None


class Bound(TypedDict):
    """A rate if all samples that only one side could score (or has) had gone well, or badly."""

    best: float | None
    worst: float | None


class Bounds(TypedDict):
    """`n_uncertain` counts samples with a state on one side only, those without a partner included."""

    n_uncertain: int
    net_rate: Bound
    induced_rate: Bound


class Stratum(TypedDict):
    """One value of a group key. `small` (fewer than 30 pairs) strata are shown marked.

    `metric` is the task's primary figure in the stratum, None where it has none there; `p_adjusted` of it
    and of `net_rate` are Benjamini-Hochberg within the breakdown (one key of one task).
    """

    n: int
    small: bool
    metric: Figure | None
    induced_rate: Rate
    repaired_rate: Rate
    net_rate: NetRate
    transitions: dict[str, dict[str, int]]


class FormatDrift(TypedDict):
    """Form of the responses of both models; only for tasks that generate.

    Attributes:
        rates: `refusal_rate, empty_rate, truncated_rate, unparsable_rate` as figures over pairs (computed from the
            rows' flags, whether or not the task asks for them), and `verbose_rate`: answers judged hallucinated that
            hold a reference as whole words.
        lengths: `response_characters`, and `response_tokens` where both models have the same tokenizer.
        expected_format: net rate over pairs in which both answered as expected: neither refused, nor empty,
            truncated, unparsable or verbose. `n` of it is the number of such pairs.
        could_explain: the drift may explain the change of score, in whole or in part.
        text: the same in a sentence or two.
    """

    rates: dict[str, Figure]
    lengths: dict[str, Figure]
    expected_format: NetRate
    could_explain: bool
    text: str


class CurveBin(TypedDict):
    """A bin of a reliability curve: mean confidence, share correct with Wilson interval, samples."""

    confidence: float
    accuracy: float
    n: int
    ci_low: float
    ci_high: float


class CalibrationFigure(TypedDict):
    """`ece`, `brier` or `nll` (lower is better) over pairs that both models answered with a confidence.

    Interval and test as in `Figure`; those of `ece` are `normal-t`, Student's t with the error of
    `stats.calibration.ece_difference`.
    """

    base: float
    candidate: float
    delta: float
    ci_low: float | None
    ci_high: float | None
    ci_method: str
    ci_reason: str | None
    p_value: float | None
    test: str


class Calibration(TypedDict):
    """Calibration of the probability that a model gave to its answer, against that answer being correct.

    `brier` is the scalar one, mean of (confidence - correct)^2; `nll` in nats. `ece_floor` is what a
    perfectly calibrated model with the same confidences would get at this n on average. `reason` says why
    the figures are missing, where they are.
    """

    n: int
    n_bins: int
    reason: str | None
    ece: NotRequired[CalibrationFigure]
    brier: NotRequired[CalibrationFigure]
    nll: NotRequired[CalibrationFigure]
    ece_floor: NotRequired[dict[str, float]]
    curves: NotRequired[dict[str, list[CurveBin]]]


class NoiseFloor(TypedDict):
    """Base against itself: what changes without any change of weights."""

    run: RunReference
    n_paired: int
    flips: int
    net: float | None
    metrics: dict[str, float]
    text: str


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
