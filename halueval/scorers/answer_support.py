"""Support of a reference by an answer: right answers that exact match does not see.

`answer_support` = mean over samples of [the answer supports a reference by the rules of `halueval.answers.support`]:
equal after normalisation; the same number, unit or date; an alias; or the reference contained in a little longer
answer that neither denies it nor names other candidates. On an unanswerable question (references exactly `[""]`)
abstaining scores 1 and answering 0; elsewhere a refusal supports nothing unless it equals a reference. The rule that
decided is the sample's reason. How far it agrees with people is in `benchmarks/answer_support.md`.
"""

from __future__ import annotations

from halueval.answers.support import MAX_EXTRA_CHARACTERS, MAX_EXTRA_WORDS, RULES_VERSION, support
from halueval.errors import UsageError
from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer, is_unanswerable


class AnswerSupport(MeanScorer):
    """Share of answers that support a reference."""

    name = "answer_support"
    version = RULES_VERSION
    needs = frozenset({"response", "references"})
    binary = True
    summary = "answer supports a reference: equal, same number or date, alias, or contained, 0-1 (own rules)"

    def __init__(self, *, language: str = "en", max_extra_words: int | None = None) -> None:
        """Choose the guard of length.

        Args:
            language: the task's language tag.
            max_extra_words: words (CJK: characters) that an answer may have beyond the reference.

        Raises:
            UsageError: `max_extra_words` is no whole number, or is negative.
        """
        if max_extra_words is not None and (type(max_extra_words) is not int or max_extra_words < 0):
            raise UsageError(
                f"answer_support: max_extra_words must be a whole number from 0 (left out: {MAX_EXTRA_WORDS}, "
                f"CJK {MAX_EXTRA_CHARACTERS}); found {max_extra_words!r}"
            )
        self._language, self._max_extra = language, max_extra_words

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where a reference is supported, else 0, with the rule that decided."""
        if is_unanswerable(sample):
            return Score(float(judged.refused or judged.empty))
        found = support(outcome.response or "", sample.references, self._language, max_extra=self._max_extra)
        if judged.refused and found.rule != "equal":
            return Score(0.0, "refusal")
        return Score(float(found.supported), found.rule)
