"""P(yes): how likely an instruction-tuned model is to say that a claim follows from its source."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.consistency.language_model import DEFAULT_MODEL, failure, shared_model
from halueval.schema import LoglikelihoodRequest, LoglikelihoodResponse
from halueval.text import is_cjk

QUESTIONS = {
    "en": (
        "Article: {source}\n\nClaim: {claim}\n\nQuestion: Does the article say what the claim says? Answer yes or no."
        "\nAnswer:",
        (" Yes", " No"),
    ),
    "zh": ("文章：{source}\n\n陈述：{claim}\n\n问题：文章是否支持该陈述？请回答是或否。\n回答：", ("是", "否")),
}


class PYes(ConsistencyScorer):
    """p(yes) ÷ (p(yes) + p(no)), from the log-likelihoods of the two answers.

    Args:
        model: card, directory or hub id.
        device: as `--device`.
        dtype: as `--dtype`.
    """

    name = "p_yes"
    summary = "p(yes) / (p(yes) + p(no)) when a model is asked whether the claim follows, 0-1"
    cost = "model"

    def __init__(self, *, model: str = DEFAULT_MODEL, device: str = "auto", dtype: str = "auto") -> None:
        self._model = shared_model(model, device, dtype)

    def identity(self) -> dict[str, str | int]:
        """With the model's digest."""
        return {**super().identity(), "weights_sha256": self._model.weights_sha256}

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """One for each pair."""
        requests = []
        for pair in pairs:
            text, answers = QUESTIONS["zh" if is_cjk(pair.language) else "en"]
            question = _filled(text, {"source": pair.source.strip(), "claim": pair.claim.strip()})
            requests += [LoglikelihoodRequest(question, answer) for answer in answers]
        responses = self._model.ask(requests)
        out = []
        for i in range(0, len(responses), 2):
            problem = failure(responses[i : i + 2])
            yes, no = responses[i : i + 2]
            if problem or not isinstance(yes, LoglikelihoodResponse) or not isinstance(no, LoglikelihoodResponse):
                out.append(Verdict.unscored(problem or "no likelihood"))
            else:
                margin = yes.loglikelihood - no.loglikelihood
                out.append(Verdict(1 / (1 + math.exp(-max(min(margin, 700.0), -700.0))), truncated=yes.num_truncated))
            advance(1)
        return out


def _filled(text: str, values: dict[str, str]) -> str:
    """In one pass: source and claim are strangers' texts, and may hold braces and each other's names."""
    return re.sub(r"\{(source|claim)\}", lambda match: values[match.group(1)], text)
