"""Factual consistency of a response with its source, by the scorers of `halueval.consistency`.

- `consistency`: by the scorer named in the option `scorer` (`lite` unless another is); where that scorer has a
  validated threshold, it also decides the state of a summary.
- `consistency_likelihood`: mean log-likelihood a token of the response given the source, by the embedded language model
  or the one that the option `model` names.

The other options are the scorer's own. Responses are scored together once all are known, so that a scorer with a model
can batch them; the runner does that and hands each sample its `Check`.
"""

from __future__ import annotations

from typing import Any

from halueval.errors import UsageError
from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer


class Consistency(MeanScorer):
    """Consistency by one scorer.

    Attributes:
        check: the consistency scorer's name.
        options: its options.
        by_default: the task names neither scorer nor options, so a run goes on without it where it cannot be had.

    Args:
        scorer: name of a consistency scorer, `lite` by default.
        scorer_options: its options.

    Raises:
        UsageError: an option that is not written as it should be.
    """

    name = "consistency"
    needs = frozenset({"response", "source"})
    summary = "consistency of the response with the source by the scorer named in `scorer`, lite by default"

    def __init__(self, *, scorer: str | None = None, scorer_options: dict[str, Any] | None = None) -> None:
        if not isinstance(scorer, str | None):
            raise UsageError(f"metric {self.name!r}: scorer is {scorer!r}; write the name of a consistency scorer")
        if not isinstance(scorer_options, dict | None):
            raise UsageError(
                f"metric {self.name!r}: scorer_options is {scorer_options!r}; write a mapping, as in {{model: PATH}}"
            )
        self.check, self.options = scorer or "lite", dict(scorer_options or {})
        self.by_default = scorer is None and not self.options

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """The check's value, or its reason."""
        found = outcome.checks.get(self.name)
        if found is None:
            return Score.unscored("no response to check" if not (outcome.response or "").strip() else "not checked")
        return Score.unscored(found.reason or "no value") if found.value is None else Score(found.value)


class ConsistencyLikelihood(Consistency):
    """The response's log-likelihood given the source."""

    name = "consistency_likelihood"
    summary = "mean log p(response | source) a token, in nats, by the embedded model (BARTScore, Yuan et al. 2021)"

    def __init__(self, *, scorer_options: dict[str, Any] | None = None) -> None:
        super().__init__(scorer_options=scorer_options)
        self.check = "likelihood"
