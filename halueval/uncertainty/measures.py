"""All figures of uncertainty of one answer, by name; higher is less certain in every one.

What a figure cannot be had from is a reason, never a number: no draw to compare with, a draw that failed, an answer of
no tokens, no encoder, no NLI model. Draws are put in the order of their texts first, so that theirs moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from halueval.schema import Draw, Outcome, Score
from halueval.text import split_sentences
from halueval.uncertainty.inference import NoInferenceError
from halueval.uncertainty.lexical import lexical_similarity
from halueval.uncertainty.selfcheck_embedding import Encode, selfcheck_embedding
from halueval.uncertainty.selfcheck_ngram import selfcheck_ngram
from halueval.uncertainty.selfcheck_nli import selfcheck_nli
from halueval.uncertainty.semantic import (
    by_cosine,
    by_entailment,
    by_exact_match,
    cluster,
    discrete_semantic_entropy,
    predictive_entropy,
    semantic_entropy,
)
from halueval.uncertainty.sequence import mean_token_nll, sequence_nll
from halueval.uncertainty.settings import NO_NLI, UncertaintySettings

COSINE = 0.9
"""Answers whose vectors are at least so near mean the same. Looked for on the first 184 questions of SAC3's HotpotQA
set, the question not put before: AUROC of the discrete form .67 at 0.5, .77 at 0.8, .83 at 0.9, .84 at 0.95, and .85
with exact match, so sentence vectors add nothing to exact match there (long answers). With the question before both
texts it is .64 at 0.9. The .83 is of the questions on which 0.9 was picked: not held out."""

VECTOR_DECIMALS = 6
"""What float32 vectors are good for: beyond it two answers that are as sure would be put in order by rounding."""

ONE_DRAW = "fewer than two draws: nothing to compare"
EMPTY_ANSWER = "empty answer"
SILENT = "no draw says anything"
NO_TOKENS = "no tokens, so no likelihood per token"
NO_FILTERED = "a draw in which the task's filter found no answer"
NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the figures read."""

    text: str
    outcome: Outcome
    draws: tuple[Draw, ...]
    p_true: Score
    language: str
    settings: UncertaintySettings
    question: str = ""

    @property
    def texts(self) -> list[str]:
        """The draws' texts."""
        return [(draw.text or "").strip() for draw in self.draws]

    @property
    def token_logprobs(self) -> list[float]:
        """Of each draw the mean log-probability of its tokens."""
        return [(draw.loglikelihood or 0.0) / draw.num_tokens for draw in self.draws]

    def clusters(self) -> list[int]:
        """Of the draws, by the encoder."""
        assert self.settings.encode is not None
        return cluster(self.texts, by_cosine(self.settings.encode, COSINE))

    def clusters_by_entailment(self) -> list[int]:
        """Of the draws, by the NLI model, the question put before them."""
        assert self.settings.nli is not None
        return cluster(self.texts, by_entailment(self.settings.nli.entails, self.question))


def uncertainties(
    outcome: Outcome, p_true: Score, settings: UncertaintySettings, *, language: str = "en", question: str = ""
) -> dict[str, Score]:
    """Every figure of `MEASURES` for one answer.

    Args:
        outcome: the task's own answer with its likelihood, and the draws.
        p_true: P(True) of the answer, or why there is none.
        settings: holds the encoder and the NLI model.
        language: tag of the task.
        question: that was answered, without the words around it.
    """
    draws = tuple(sorted(outcome.draws, key=lambda draw: (draw.text or "", draw.loglikelihood or 0.0)))
    answer = Answer((outcome.response or "").strip(), outcome, draws, p_true, language, settings, question)
    return {name: _figure(measure, answer) for name, measure in MEASURES.items()}


def _figure(measure: Measure, answer: Answer) -> Score:
    problem = answer.outcome.failure or next((p for check in measure.needs if (p := check(answer))), None)
    if problem:
        return Score.unscored(problem)
    try:
        return Score(measure.of(answer))
    except NoInferenceError as error:
        return Score.unscored(str(error))


def _answered(answer: Answer) -> str | None:
    return None if answer.outcome.num_response_tokens else NO_TOKENS


def _likelihood(answer: Answer) -> str | None:
    return None if answer.outcome.response_loglikelihood is not None else NOT_ASKED


def _detailed(answer: Answer) -> str | None:
    return None if answer.outcome.min_logprob is not None else NO_TOKENS


def _compared(answer: Answer) -> str | None:
    """Draws that can be compared with each other."""
    failed = next((draw.reason for draw in answer.draws if draw.reason), None)
    if failed:
        return f"a draw failed: {failed}"
    if len(answer.draws) < 2:
        return ONE_DRAW
    return NO_FILTERED if any(draw.text is None for draw in answer.draws) else None


def _weighed(answer: Answer) -> str | None:
    return None if all(draw.num_tokens for draw in answer.draws) else f"a draw of {NO_TOKENS}"


def _spoken(answer: Answer) -> str | None:
    if not answer.text:
        return EMPTY_ANSWER
    return None if any(text.strip() for text in answer.texts) else SILENT


def _encoder(answer: Answer) -> str | None:
    return None if answer.settings.encode is not None else answer.settings.no_encoder


def _entailment(answer: Answer) -> str | None:
    return NO_NLI if answer.settings.nli is None else answer.settings.nli.no_entailment


def _contradiction(answer: Answer) -> str | None:
    return NO_NLI if answer.settings.nli is None else answer.settings.nli.no_contradiction


def _p_true(answer: Answer) -> str | None:
    return None if answer.p_true.value is not None else answer.p_true.reason or NOT_ASKED


def _ngram(answer: Answer, highest: bool, n: int = 1) -> float:
    sentences = split_sentences(answer.text, answer.language)
    scores = selfcheck_ngram(sentences, answer.texts, n=n, language=answer.language)
    return scores.highest if highest else scores.mean


def _embedding(answer: Answer) -> float:
    assert answer.settings.encode is not None
    sentences = split_sentences(answer.text, answer.language)
    scores = selfcheck_embedding(sentences, answer.texts, answer.settings.encode, language=answer.language)
    return round(math.fsum(scores) / len(scores), VECTOR_DECIMALS) + 0.0


def _nli(answer: Answer) -> float:
    assert answer.settings.nli is not None
    sentences = split_sentences(answer.text, answer.language)
    scores = selfcheck_nli(sentences, answer.texts, answer.settings.nli.contradiction)
    return round(math.fsum(scores) / len(scores), VECTOR_DECIMALS)


def _given(value: float | None) -> float:
    assert value is not None
    return value


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: what it needs, in the order in which a lack is told, and how it is had."""

    of: Callable[[Answer], float]
    needs: Sequence[Callable[[Answer], str | None]]


MEASURES: Mapping[str, Measure] = {
    "sequence_nll": Measure(lambda a: sequence_nll(_given(a.outcome.response_loglikelihood)), (_likelihood, _answered)),
    "mean_token_nll": Measure(
        lambda a: mean_token_nll(_given(a.outcome.response_loglikelihood), a.outcome.num_response_tokens or 0),
        (_likelihood, _answered),
    ),
    "max_token_nll": Measure(lambda a: -_given(a.outcome.min_logprob), (_detailed,)),
    "mean_token_entropy": Measure(lambda a: _given(a.outcome.mean_entropy), (_detailed,)),
    "max_token_entropy": Measure(lambda a: _given(a.outcome.max_entropy), (_detailed,)),
    "p_false": Measure(lambda a: 1 - _given(a.p_true.value), (_p_true,)),
    "predictive_entropy": Measure(lambda a: predictive_entropy(a.token_logprobs), (_compared, _weighed)),
    "lexical_dissimilarity": Measure(lambda a: 1 - lexical_similarity(a.texts, language=a.language), (_compared,)),
    "selfcheck_unigram": Measure(lambda a: _ngram(a, highest=False), (_compared, _spoken)),
    "selfcheck_unigram_max": Measure(lambda a: _ngram(a, highest=True), (_compared, _spoken)),
    "selfcheck_bigram": Measure(lambda a: _ngram(a, highest=False, n=2), (_compared, _spoken)),
    "selfcheck_bigram_max": Measure(lambda a: _ngram(a, highest=True, n=2), (_compared, _spoken)),
    "exact_match_entropy": Measure(
        lambda a: discrete_semantic_entropy(cluster(a.texts, by_exact_match(a.language))), (_compared,)
    ),
    "selfcheck_embedding": Measure(_embedding, (_compared, _spoken, _encoder)),
    "semantic_entropy": Measure(
        lambda a: semantic_entropy(a.clusters(), a.token_logprobs), (_compared, _weighed, _encoder)
    ),
    "semantic_entropy_discrete": Measure(lambda a: discrete_semantic_entropy(a.clusters()), (_compared, _encoder)),
    "selfcheck_nli": Measure(_nli, (_contradiction, _compared, _spoken)),
    "semantic_entropy_nli": Measure(
        lambda a: semantic_entropy(a.clusters_by_entailment(), a.token_logprobs), (_entailment, _compared, _weighed)
    ),
    "semantic_entropy_nli_discrete": Measure(
        lambda a: discrete_semantic_entropy(a.clusters_by_entailment()), (_entailment, _compared)
    ),
}
"""In the order of tables; see docs/metrics.md for each."""


def texts_to_encode(outcomes: Sequence[Outcome], language: str) -> list[str]:
    """Every distinct text that the figures ask the encoder for, so that it can be given all at once."""
    found: dict[str, None] = {}
    for outcome in outcomes:
        for raw in (outcome.response, *(draw.text for draw in outcome.draws)):
            text = (raw or "").strip()
            found.update(dict.fromkeys([text, *split_sentences(text, language)]))
    return list(found)


def encode_ahead(encode: Encode, texts: Sequence[str]) -> Encode:
    """An encoder that knows these texts already, and asks the given one for others."""
    import numpy as np

    known = dict(zip(texts, encode(texts), strict=True)) if texts else {}

    def look_up(wanted: Sequence[str]) -> np.ndarray:
        return np.stack([known[text] if text in known else encode([text])[0] for text in wanted])

    return look_up
