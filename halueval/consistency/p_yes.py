"""P(yes): how likely an instruction-tuned model is to say that a claim follows from its source.

The question is put as a user's message in the model's chat template where it has one. A source that does not fit into
the window beside claim and question is cut from its end, and what is cut is counted; a claim that leaves the source no
room has no value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.consistency.language_model import DEFAULT_MODEL, failure, shared_model
from halueval.consistency.shares import Shares
from halueval.schema import LoglikelihoodRequest, LoglikelihoodResponse, Response
from halueval.text import is_chinese

QUESTIONS = {
    "en": (
        "Article: {source}\n\nClaim: {claim}\n\nQuestion: Does the article say what the claim says? Answer yes or no."
        "\nAnswer:",
        (" Yes", " No"),
    ),
    "zh": ("文章：{source}\n\n陈述：{claim}\n\n问题：文章是否支持该陈述？请回答是或否。\n回答：", ("是", "否")),
}
NO_ROOM = "claim and question leave the source no room in the model's window"


class PYes(ConsistencyScorer):
    """p(yes) ÷ (p(yes) + p(no)), from the log-likelihoods of the two answers.

    Args:
        model: card, directory or hub id.
        device: as `--device`.
        dtype: as `--dtype`.
        apply_chat_template: put the question in the model's chat template, where it has one.
    """

    name = "p_yes"
    version = 3
    summary = "p(yes) / (p(yes) + p(no)) when a model is asked whether the claim follows, 0-1"
    cost = "model"

    def __init__(
        self,
        *,
        model: str = DEFAULT_MODEL,
        device: str = "auto",
        dtype: str = "auto",
        apply_chat_template: bool = True,
    ) -> None:
        self._model, self._chat = shared_model(model, device, dtype), apply_chat_template

    @property
    def model_name(self) -> str:
        """Of the card, directory or hub id."""
        return self._model.model

    def identity(self) -> dict[str, str | int]:
        """With the model's digest and precision, and the digest of the chat template where it is used."""
        template = self._model.chat_template_sha256 if self._chat else None
        chat = {} if template is None else {"chat_template_sha256": template}
        return {**super().identity(), **self._model.identity(), **chat}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair."""
        asked = [self._fitting(pair) for pair in pairs]
        requests = [request for one in asked if one for request in one[0]]
        progress = Shares(advance, len(requests), len(pairs))
        responses = iter(self._model.ask(requests, progress))
        progress.rest()
        return [
            Verdict.unscored(NO_ROOM) if one is None else self._verdict(next(responses), next(responses), one[1])
            for one in asked
        ]

    def _fitting(self, pair: Pair) -> tuple[list[LoglikelihoodRequest], int] | None:
        """Both answers to the question, and tokens cut from the source; None where the claim leaves it no room."""
        fitted = self._model.fit(pair.source.strip(), lambda source: self._requests(pair, source))
        return None if fitted is None else (self._requests(pair, fitted[0]), fitted[1])

    def _requests(self, pair: Pair, source: str) -> list[LoglikelihoodRequest]:
        text, answers = QUESTIONS["zh" if is_chinese(pair.language) else "en"]
        question = _filled(text, {"source": source, "claim": pair.claim.strip()})
        templated = self._model.in_chat(question) if self._chat else None
        if templated is None:
            return [LoglikelihoodRequest(question, answer) for answer in answers]
        return [LoglikelihoodRequest(templated, answer.strip()) for answer in answers]

    @staticmethod
    def _verdict(yes: Response, no: Response, cut: int) -> Verdict:
        problem = failure([yes, no])
        if problem or not isinstance(yes, LoglikelihoodResponse) or not isinstance(no, LoglikelihoodResponse):
            return Verdict.unscored(problem or "no likelihood")
        margin = yes.loglikelihood - no.loglikelihood
        return Verdict(1 / (1 + math.exp(-max(min(margin, 700.0), -700.0))), truncated=cut)


def _filled(text: str, values: dict[str, str]) -> str:
    """In one pass: source and claim are strangers' texts, and may hold braces and each other's names."""
    return re.sub(r"\{(source|claim)\}", lambda match: values[match.group(1)], text)
