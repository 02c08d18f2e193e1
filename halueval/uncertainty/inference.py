"""The NLI model of `--uncertainty-nli`: entailment for clusters of meaning, contradiction for SelfCheckGPT."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from halueval.consistency.labels import by_card
from halueval.consistency.pair_classifier import PairClassifier
from halueval.schema import FailedResponse, canonical_json, sha256_text

NO_MASS = "the NLI model cannot judge a pair: it gives neither entailment nor contradiction any probability"
REMEMBERED = 100_000
"""Pairs whose probabilities are kept: both forms of semantic entropy ask the same ones."""


class NoInferenceError(ValueError):
    """A pair that the model cannot judge, with the reason."""


class InferenceModel:
    """Any sequence-classification NLI model; which output means what is read from its configuration.

    Args:
        model: directory with safetensors, hub id, or name of a model card.
        device: as `--device`.
        dtype: `float32`, `bfloat16`, `float16` or `auto`.
        labels: what the outputs mean, in their order, where the configuration does not say.
    """

    def __init__(
        self, model: str, *, device: str = "auto", dtype: str = "float32", labels: str | Sequence[str] | None = None
    ) -> None:
        advice = by_card("entailment", "neutral", "contradiction")
        self._classifier = PairClassifier(
            model, scorer="--uncertainty-nli", device=device, dtype=dtype, labels=labels, advice=advice
        )
        self._known: dict[tuple[str, str], tuple[float, ...] | FailedResponse] = {}

    def check(self) -> None:
        """Load the model, unless it is of no use, so that a wrong one is told before any work is done.

        Raises:
            ModelError: it cannot be had, or has no classification head.
        """
        if self.no_entailment is None:
            _ = self._classifier.model

    @cached_property
    def no_entailment(self) -> str | None:
        """Why `entails` cannot be asked: the configuration does not say which output is entailment."""
        return self._classifier.lacks("entailment")

    @cached_property
    def no_contradiction(self) -> str | None:
        """Why `contradiction` cannot be asked: the configuration names no such output."""
        return self._classifier.lacks("entailment", "contradiction")

    @property
    def digest(self) -> str:
        """Of all that determines its answers: weights, configuration, tokenizer, and what its outputs mean."""
        roles = None if self.no_entailment else self._classifier.roles
        return sha256_text(canonical_json({**self._classifier.identity(), "roles": roles}))

    def entails(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """For each premise and hypothesis whether entailment is the likeliest class; a tie is none.

        Raises:
            NoInferenceError: a pair is longer than the window, or memory ran out.
        """
        at = self._classifier.roles.index("entailment")
        return [all(row[at] > value for i, value in enumerate(row) if i != at) for row in self._probabilities(pairs)]

    def contradiction(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """For each pair P(contradiction) / (P(contradiction) + P(entailment)).

        Raises:
            NoInferenceError: as in `entails`, or the model gives neither class any probability.
        """
        roles = self._classifier.roles
        against, for_it = roles.index("contradiction"), roles.index("entailment")
        out = []
        for row in self._probabilities(pairs):
            both = row[against] + row[for_it]
            if not both:
                raise NoInferenceError(NO_MASS)
            out.append(row[against] / both)
        return out

    def _probabilities(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, ...]]:
        if len(self._known) > REMEMBERED:
            self._known.clear()
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._known))
        for pair, answer in zip(new, self._classifier.probabilities(new) if new else (), strict=True):
            if isinstance(answer, FailedResponse):
                self._known[pair] = answer
            elif answer.truncated:
                # A premise is cut from its end, where the answer stands: the verdict would be of the question.
                self._known[pair] = FailedResponse(f"it is longer than the window of {self._classifier.window} tokens")
            else:
                self._known[pair] = answer.probabilities
        found = []
        for pair in pairs:
            row = self._known[pair]
            if isinstance(row, FailedResponse):
                raise NoInferenceError(f"the NLI model cannot judge a pair: {row.reason}")
            found.append(row)
        return found
