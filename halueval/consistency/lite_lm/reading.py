"""Asks the language model for the words of claims, with their sources and without."""

from __future__ import annotations

from collections.abc import Sequence

from halueval.consistency.base import Pair
from halueval.consistency.language_model import LanguageModel, failure
from halueval.consistency.likelihood import prompt
from halueval.consistency.lite_lm.features import WordTable
from halueval.consistency.lite_lm.words import word_likelihoods
from halueval.schema import LoglikelihoodRequest, LoglikelihoodResponse, Response
from halueval.text import joint

TWO_WAYS = "the claim's tokens are not the same with and without the source"


def read_words(model: LanguageModel, pairs: Sequence[Pair]) -> list[WordTable | str]:
    """What a model says of the words of each claim, or why it says nothing: a claim longer than its window."""
    asked = [_requests(pair) for pair in pairs]
    responses = iter(model.ask([request for both in asked for request in both]))
    return [_table(model, alone, next(responses), next(responses)) for _, alone in asked]


def _requests(pair: Pair) -> tuple[LoglikelihoodRequest, LoglikelihoodRequest]:
    """The claim given its source, and given none."""
    continuation = joint(pair.language) + pair.claim.strip()
    contexts = prompt(pair.source, pair.language), prompt("", pair.language)
    return LoglikelihoodRequest(contexts[0], continuation), LoglikelihoodRequest(contexts[1], continuation)


def _table(model: LanguageModel, request: LoglikelihoodRequest, given: Response, alone: Response) -> WordTable | str:
    problem = failure([given, alone])
    if problem is not None:
        return problem
    assert isinstance(given, LoglikelihoodResponse)
    assert isinstance(alone, LoglikelihoodResponse)
    spans = model.spans(request.context, request.continuation)
    if not len(spans) == given.num_tokens == alone.num_tokens:
        return TWO_WAYS
    words = word_likelihoods(request.continuation, spans, given.token_logprobs, alone.token_logprobs)
    return WordTable(tuple(words), given.token_logprobs, alone.token_logprobs, given.num_truncated)
