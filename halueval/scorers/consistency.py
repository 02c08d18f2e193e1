"""Factual consistency of a response with its source, by the scorers of `halueval.consistency`.

- `consistency`: by the scorer named in the option `scorer` (`lite` unless another is); where that scorer has a
  validated threshold, it also decides the state of a summary. A `threshold` of the task's own takes its place, with
  `threshold_from`, which says where it was validated.
- `consistency_likelihood`: mean log-likelihood a token of the response given the source, by the embedded language model
  or the one that the option `model` names.

The other options are the scorer's own. Responses are scored together once all are known, so that a scorer with a model
can batch them; the runner does that and hands each sample its `Check`.
"""

from __future__ import annotations

import math
from typing import Any

from halueval.errors import UsageError
from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer


class Consistency(MeanScorer):
    """Consistency by one scorer.

    Attributes:
        check: the consistency scorer's name.
        options: its options.
        threshold: at and above it a response is consistent; None for the scorer's own.
        threshold_from: where it was validated, in a line.
        by_default: the task gives none of these, so a run goes on without it where it cannot be had.

    Args:
        scorer: name of a consistency scorer, `lite` by default.
        scorer_options: its options.
        threshold: in the scorer's unit, as `balanced_accuracy` of `validate-scorer --json` has one.
        threshold_from: needed with it, and without it nothing.

    Raises:
        UsageError: an option that is not written as it should be.
    """

    name = "consistency"
    needs = frozenset({"response", "source"})
    summary = "consistency of the response with the source by the scorer named in `scorer`, lite by default"

    threshold: float | None = None
    threshold_from: str | None = None

    def __init__(
        self,
        *,
        scorer: str | None = None,
        scorer_options: dict[str, Any] | None = None,
        threshold: float | None = None,
        threshold_from: str | None = None,
    ) -> None:
        if not isinstance(scorer, str | None):
            raise self._wrong("scorer", scorer, "the name of a consistency scorer")
        if not isinstance(scorer_options, dict | None):
            raise self._wrong("scorer_options", scorer_options, "a mapping, as in {model: PATH}")
        if threshold is not None and not _is_finite(threshold):
            raise self._wrong("threshold", threshold, "a number, in the unit of the scorer")
        if threshold_from is not None and not _is_a_line(threshold_from):
            raise self._wrong("threshold_from", threshold_from, "in one line where the threshold was validated")
        if (threshold is None) != (threshold_from is None):
            given, lacking = ("threshold_from", "threshold") if threshold is None else ("threshold", "threshold_from")
            why = "" if threshold is None else ": where it was validated, as in 'validation part of my_set'"
            raise UsageError(f"metric {self.name!r}: {given} needs {lacking} beside it{why}")
        self.check, self.options = scorer or "lite", dict(scorer_options or {})
        self.threshold = None if threshold is None else float(threshold)
        self.threshold_from = threshold_from
        self.by_default = scorer is None and not self.options and threshold is None

    def _wrong(self, option: str, value: object, wanted: str) -> UsageError:
        return UsageError(f"metric {self.name!r}: {option} is {value!r}; write {wanted}")

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """The check's value, or its reason."""
        found = outcome.checks.get(self.name)
        if found is None:
            return Score.unscored("no response to check" if not (outcome.response or "").strip() else "not checked")
        return Score.unscored(found.reason or "no value") if found.value is None else Score(found.value)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_a_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


class ConsistencyLikelihood(Consistency):
    """The response's log-likelihood given the source."""

    name = "consistency_likelihood"
    summary = "mean log p(response | source) a token, in nats, by the embedded model (BARTScore, Yuan et al. 2021)"

    def __init__(self, *, scorer_options: dict[str, Any] | None = None) -> None:
        super().__init__(scorer_options=scorer_options)
        self.check = "likelihood"
