"""The nouns of halueval: samples, requests, responses, scores, figures and run records.

Plain frozen dataclasses without behaviour beyond hashing, importable without torch or pandas. What a
user writes in YAML (`TaskSpec`, `ModelSpec`) lives in `config.py`; what passes between the layers is here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

RUN_SCHEMA_VERSION = 1


class State(StrEnum):
    """What became of one sample; the rule of each task kind is in `scorers/state.py`."""

    CORRECT = "correct"
    ABSTAINED = "abstained"
    HALLUCINATED = "hallucinated"
    UNSCORED = "unscored"


class Kind(StrEnum):
    """Kind of a task: decides default figures and the rule that derives a sample's state."""

    QA = "qa"
    SUMMARIZATION = "summarization"
    CLASSIFICATION = "classification"
    LANGUAGE_MODELING = "language_modeling"


class OutputType(StrEnum):
    """What is asked of the model for a sample (names as in lm-evaluation-harness)."""

    GENERATE_UNTIL = "generate_until"
    MULTIPLE_CHOICE = "multiple_choice"
    LOGLIKELIHOOD_ROLLING = "loglikelihood_rolling"


def canonical_json(value: Any) -> str:
    """Serialise `value` to JSON with sorted keys and no white space, so that equal values hash equal.

    Raises:
        TypeError: `value` holds something that JSON has no form for.
        ValueError: `value` holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def sha256_text(text: str) -> str:
    """Hex SHA-256 of the UTF-8 bytes of `text` (lone surrogates kept, so that every string has one)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Sample:
    """One evaluated item, fully rendered: everything that a scorer may ask about it.

    Attributes:
        sample_id: position-free name within the task: the row's number in the data set, with the
            variant's name behind a slash where the task scores several variants of a row.
        doc: the row as the data set gave it, after column mapping.
        prompt: the text before the model's answer, few-shot examples and description included, chat
            template not yet applied.
        question: the end of the prompt that is the sample's own, without description and examples.
        references: gold answers or summaries, the first being the canonical one; `("",)` for an
            unanswerable question; the right choices for multiple choice.
        choices: texts to choose from, empty unless multiple choice.
        gold: indices into `choices` that are right; empty unless multiple choice.
        source: the text that an answer must be faithful to (document, passage, knowledge), if any.
        classifier_input: text and optional second text for models with a classification head.
        group: the strata of the sample (relation, category, variant …), always strings.
        cluster: samples sharing it are resampled together by the bootstrap.
        baselines: prompts by name under which the choices are scored too, for `choice_calibration`.
    """

    sample_id: str
    doc: Mapping[str, Any]
    doc_hash: str
    prompt: str
    prompt_hash: str
    target: str
    target_hash: str
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    gold: tuple[int, ...] = ()
    source: str | None = None
    classifier_input: tuple[str, str | None] | None = None
    group: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    question: str = ""
    baselines: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoglikelihoodRequest:
    """Score `continuation` given `context`. A classifier or seq2seq model encodes `context`."""

    context: str
    continuation: str


@dataclass(frozen=True, slots=True)
class RollingRequest:
    """Score every token of `text` with disjoint windows and one token of context."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Continue `context` until a stop string, the end token, or `max_new_tokens`.

    `temperature == 0` is greedy. `seed` belongs to the request, never to its neighbours in a batch.
    `entropies` asks for the response's `min_logprob` and entropies too.
    """

    context: str
    until: tuple[str, ...]
    max_new_tokens: int
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    entropies: bool = False


@dataclass(frozen=True, slots=True)
class ClassificationRequest:
    """Class log-probabilities of a text or a pair of texts under a classification head."""

    text: str
    text_pair: str | None = None


Request = LoglikelihoodRequest | RollingRequest | GenerationRequest | ClassificationRequest


@dataclass(frozen=True, slots=True)
class LoglikelihoodResponse:
    """Natural-log probability of a continuation or text, summed over its tokens.

    `num_truncated` counts context tokens dropped from the left to fit the model's window. `token_logprobs` are the
    terms of the sum; they are there while the model is at hand, and are not stored.
    """

    loglikelihood: float
    num_tokens: int
    is_greedy: bool = False
    num_truncated: int = 0
    token_logprobs: tuple[float, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class GenerationResponse:
    """Generated text without its stop string. `loglikelihood` sums over the `num_tokens` tokens kept.

    `finish_reason` is `"stop"` (a stop string), `"eos"` (the end token) or `"length"` (cut off). Only where
    the request asked for `entropies`, and a token was kept: the lowest log-probability of a token, and mean and
    maximum over the tokens of the entropy of the model's distribution from which each was chosen, in nats.
    """

    text: str
    num_tokens: int
    finish_reason: str
    loglikelihood: float
    num_truncated: int = 0
    min_logprob: float | None = None
    mean_entropy: float | None = None
    max_entropy: float | None = None


@dataclass(frozen=True, slots=True)
class ClassificationResponse:
    """Log-probability of every class of the head, keyed by the label's name in its configuration."""

    logprobs: Mapping[str, float]
    num_tokens: int
    num_truncated: int = 0


@dataclass(frozen=True, slots=True)
class FailedResponse:
    """A request that could not be run, and why. It is never turned into a number."""

    reason: str


Response = LoglikelihoodResponse | GenerationResponse | ClassificationResponse | FailedResponse


@dataclass(frozen=True, slots=True)
class Draw:
    """A further answer to a sample's prompt, drawn at the temperature that `--draw-temperature` names.

    `text` is what the task's filters leave, None where they find nothing or the draw failed (`reason`).
    `loglikelihood` sums over its `num_tokens` tokens, under the model itself (temperature 1), in nats.
    """

    text: str | None
    loglikelihood: float | None = None
    num_tokens: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What a consistency scorer said of a response, with the source.

    Attributes:
        scorer: its name.
        value: finite, higher is more consistent; None with the reason.
        reason: why there is no value, or what decided.
        threshold: at and above it the response counts as consistent; None where none was validated.
        truncated: tokens (words, where the scorer counts these) of the source that it did not see.
        sentences: text of each sentence (or fact) of the response, its value, and why it has none.
    """

    scorer: str
    value: float | None
    reason: str | None = None
    threshold: float | None = None
    truncated: int = 0
    sentences: tuple[tuple[str, float | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that the model said about one sample, in the form that scorers read.

    Attributes:
        response: generated text after the task's filters; None unless the task generates.
        num_response_tokens: tokens generated, the stop string's not counted.
        finish_reason: see `GenerationResponse`.
        response_loglikelihood: nats, summed over the generated tokens.
        loglikelihoods: summed natural-log probability of each choice, in the order of `Sample.choices`; less the
            `correction` where the run calibrates.
        min_logprob: see `GenerationResponse`, as the two entropies.
        mean_entropy: nats.
        max_entropy: nats.
        checks: of the response's consistency with the source, by the figure that asked for them.
        draws: further answers, where the run was asked for uncertainty.
        reference: conditional log-likelihood of the first reference given the prompt.
        rolling: rolling log-likelihood of the sample's target text.
        failure: why there is nothing to score; every scorer returns None with this reason then.
        num_truncated: prompt tokens dropped to fit the model's window.
        raw_loglikelihoods: what `loglikelihoods` was before the correction; None where there is none.
        correction: nats taken off each choice, see `choice_calibration`.
        baselines: log-likelihoods of the choices under each of `Sample.baselines`.
    """

    response: str | None = None
    num_response_tokens: int | None = None
    finish_reason: str | None = None
    response_loglikelihood: float | None = None
    min_logprob: float | None = None
    mean_entropy: float | None = None
    max_entropy: float | None = None
    draws: tuple[Draw, ...] = ()
    loglikelihoods: tuple[float, ...] | None = None
    reference: LoglikelihoodResponse | None = None
    rolling: LoglikelihoodResponse | None = None
    failure: str | None = None
    num_truncated: int = 0
    raw_loglikelihoods: tuple[float, ...] | None = None
    correction: tuple[float, ...] | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    baselines: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample's state and the facts about form that led to it (see `scorers/state.py`).

    `prediction` is the index of the chosen choice, where there are choices.
    `confidence` is the probability that the model gave to what it answered, in [0, 1].
    """

    state: State
    reason: str | None = None
    refused: bool = False
    empty: bool = False
    truncated: bool = False
    unparsable: bool = False
    prediction: int | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One figure of one sample: a finite number, or None with the reason why there is none.

    `stats` holds the sample's sufficient statistics where the figure of a set of samples is not the
    mean of `value` (for perplexity: negative log-likelihood and count). Its length is fixed per scorer.
    """

    value: float | None
    reason: str | None = None
    stats: tuple[float, ...] | None = None

    @classmethod
    def unscored(cls, reason: str) -> Score:
        """A score that could not be computed; `reason` is a short clause, counted in the table."""
        return cls(None, reason)


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A figure of a set of samples with its uncertainty.

    `ci_low`, `ci_high` bound the 95 % interval named by `ci_method`; they are None where no interval
    can be given (`ci_reason` says why), and `value` is None when no sample could be scored.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_scored: int
    n_unscored: int
    higher_is_better: bool | None
    ci_method: str = "bootstrap"
    ci_reason: str | None = None
    unscored_reasons: Mapping[str, int] = field(default_factory=dict)
