"""Likelihood of a claim given its source (BARTScore, Yuan et al. 2021), with any language model.

Four figures, in nats a token, higher is more consistent:

- `likelihood`: mean log p(token | source, what stands before it in the claim);
- `likelihood_min`: of the least likely token;
- `likelihood_pmi`: mean log p(token | source) - log p(token | no source): pointwise mutual information, which takes off
  what is likely anyway;
- `likelihood_shuffled`: the same against the source with its words in random order, which keeps the words and takes
  off what they alone make likely.

Sentences of the claim have each figure too, given the source (or what stands in for it) and the sentences before; with
`aggregate: sentences` the mean of these is the value, and not the figure of the whole claim. All requests about a
source share it in the engine. A source that does not fit into the model's window beside the claim is cut from its end,
as BARTScore's is, and what is cut is counted; a shuffled source has the words that are left. A claim that leaves the
source no room has no value.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.language_model import DEFAULT_MODEL, LanguageModel, failure, shared_model
from halueval.consistency.shares import Shares
from halueval.engine.encoding import UnscorableError
from halueval.errors import UsageError
from halueval.schema import LoglikelihoodRequest, LoglikelihoodResponse, Response, sha256_text
from halueval.sentences import sentences as split
from halueval.text import is_chinese, joint

PROMPTS = {"en": ("Article: ", "\nSummary:"), "zh": ("文章：", "\n摘要：")}
"""What stands before the source and before the claim."""
NO_ROOM = "the claim leaves the source no room in the model's window"


@dataclass(frozen=True, slots=True)
class _Asked:
    """Sentences of a claim, and requests: the whole claim and each sentence given the source, and given another.

    Attributes:
        cut: tokens that the source lost at its end.
        reason: why nothing is asked.
    """

    sentences: tuple[str, ...] = ()
    given: tuple[LoglikelihoodRequest, ...] = ()
    against: tuple[LoglikelihoodRequest, ...] = ()
    cut: int = 0
    reason: str | None = None


class Likelihood(ConsistencyScorer):
    """Mean log-likelihood a token.

    Args:
        model: card, directory or hub id of a causal or encoder-decoder model; the embedded one by default.
        aggregate: `tokens`, or `sentences` for the mean over sentences of their figures.
        device: as `--device`.
        dtype: as `--dtype`.
    """

    name = "likelihood"
    version = 2
    summary = "mean log p(claim | source) in nats a token (BARTScore, Yuan et al. 2021), with any language model"
    cost = "model"

    def __init__(
        self,
        *,
        model: str = DEFAULT_MODEL,
        aggregate: str = "tokens",
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        if aggregate not in ("tokens", "sentences"):
            raise UsageError(f"{self.name}: aggregate is {aggregate!r}; it must be tokens or sentences")
        self.aggregate = aggregate
        self._model: LanguageModel = shared_model(model, device, dtype)

    @property
    def model_name(self) -> str:
        """Of the card, directory or hub id."""
        return self._model.model

    def identity(self) -> dict[str, str | int]:
        """With the model's digest and precision, and the aggregation."""
        return {**super().identity(), **self._model.identity(), "aggregate": self.aggregate}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair; all requests are planned together."""
        asked = [self._requests(pair) for pair in pairs]
        flat = [request for one in asked for request in _all(one)]
        progress = Shares(advance, len(flat), len(pairs))
        known = dict(zip(flat, self._model.ask(flat, progress), strict=True))
        progress.rest()
        return [self._verdict(one, [known[request] for request in _all(one)]) for one in asked]

    def _requests(self, pair: Pair) -> _Asked:
        claim = pair.claim.strip()
        sentences = tuple(split(claim, pair.language))

        def requests(source: str) -> tuple[LoglikelihoodRequest, ...]:
            return self._given(source, claim, sentences, pair.language)

        try:
            fitted = self._model.fit(pair.source.strip(), requests)
            if fitted is None:
                return _Asked(reason=NO_ROOM)
            source, cut = fitted
            other = self.other_source(replace(pair, source=source) if cut else pair)
            against = None if other is None else self._model.fit(other, requests)
        except UnscorableError as error:
            return _Asked(reason=str(error))
        if other is not None and against is None:
            return _Asked(reason=NO_ROOM)
        return _Asked(sentences, requests(source), requests(against[0]) if against else (), cut)

    def _given(
        self, source: str, claim: str, sentences: Sequence[str], language: str
    ) -> tuple[LoglikelihoodRequest, ...]:
        """The whole claim given a source, then each of its sentences given the source and those before it."""
        # An encoder-decoder of summaries was trained on bare sources and targets.
        plain = self._model.architecture == "seq2seq"
        context = source if plain else prompt(source, language)
        gap = joint(language)
        out = [LoglikelihoodRequest(context, gap + claim)]
        before = context
        for sentence in sentences:
            out.append(LoglikelihoodRequest(before, gap + sentence))
            # The decoder of an encoder-decoder cannot be given what stands before, so each sentence begins anew.
            before = before if plain else before + gap + sentence
        return tuple(out)

    def other_source(self, pair: Pair) -> str | None:
        """The source whose likelihood is taken off, or None."""
        return None

    def _verdict(self, asked: _Asked, responses: Sequence[Response]) -> Verdict:
        problem = asked.reason or failure(responses)
        if problem:
            return Verdict.unscored(problem)
        found = [response for response in responses if isinstance(response, LoglikelihoodResponse)]
        given, against = found[: len(asked.given)], found[len(asked.given) :]
        value, *parts = (self.value(one, against[i] if against else None) for i, one in enumerate(given))
        if self.aggregate == "sentences":
            value = math.fsum(parts) / len(parts)
        return Verdict(
            value,
            sentences=tuple(SentenceScore(t, v) for t, v in zip(asked.sentences, parts, strict=True)),
            truncated=asked.cut,
            details={"tokens": float(given[0].num_tokens), "worst_sentence": min(parts)},
        )

    def value(self, whole: LoglikelihoodResponse, against: LoglikelihoodResponse | None) -> float:
        """From the log-likelihood of the claim (or of a sentence) given the source, and given the other source."""
        return whole.loglikelihood / whole.num_tokens


class LikelihoodMin(Likelihood):
    """Log-likelihood of the least likely token."""

    name = "likelihood_min"
    version = 3
    summary = "log p of the claim's least likely token given the source, in nats"

    def value(self, whole: LoglikelihoodResponse, against: LoglikelihoodResponse | None) -> float:
        """The minimum over tokens."""
        return min(whole.token_logprobs)


class LikelihoodPMI(Likelihood):
    """Pointwise mutual information with the source."""

    name = "likelihood_pmi"
    version = 3
    summary = "mean log p(token | source) - log p(token | no source), in nats"

    def other_source(self, pair: Pair) -> str | None:
        """No text at all."""
        return ""

    def value(self, whole: LoglikelihoodResponse, against: LoglikelihoodResponse | None) -> float:
        """The difference a token."""
        assert against is not None
        return (whole.loglikelihood - against.loglikelihood) / whole.num_tokens


class LikelihoodShuffled(LikelihoodPMI):
    """The same against the source in random order; the order follows from the source's own digest."""

    name = "likelihood_shuffled"
    summary = "mean log p(token | source) - log p(token | source with its words shuffled), in nats"

    def other_source(self, pair: Pair) -> str | None:
        """Its words, or its characters where no white space parts words, in random order."""
        between = joint(pair.language)
        parts = pair.source.split() if between else list(pair.source)
        random.Random(sha256_text(pair.source)).shuffle(parts)  # noqa: S311  # an order, not a secret
        return between.join(parts)


def prompt(source: str, language: str) -> str:
    """The source as the model reads it, up to where the claim begins: in Chinese for Chinese texts, else in English."""
    before, after = PROMPTS["zh" if is_chinese(language) else "en"]
    return f"{before}{source.strip()}{after}"


def _all(asked: _Asked) -> list[LoglikelihoodRequest]:
    return [*asked.given, *asked.against]
