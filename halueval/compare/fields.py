"""Figures, rates and strata of a comparison, as its JSON holds them; what they belong to is in `record`."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class RunReference(TypedDict):
    """Which run the figures of a task come from; `path` is the directory as it was found."""

    run_id: str
    path: str
    finished_at: str


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
