r"""Exact match of an answer with its references.

`exact_match` = mean over samples of max over references of [normalised answer = normalised reference].
Normalisation is SQuAD's official one for English (`evaluate-v2.0.py`), and that of `halueval.text` for
other languages. On an unanswerable question (references exactly `[""]`) abstaining scores 1 and answering
0, as in SQuAD 2.

With any of the options `ignore_case`, `ignore_punctuation`, `ignore_numbers`, `regexes_to_ignore` the rule
is lm-evaluation-harness's instead (`api/metrics.py`, `exact_match_hf_evaluate`): drop what the expressions
match, then the named classes of characters, and compare; nothing else is normalised, white space included.

`sentence_accuracy` = mean of max over references of [texts equal], white space squeezed and nothing else:
case and punctuation count.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

from halueval.errors import UsageError
from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer, is_unanswerable
from halueval.text import same_answer, squeeze

_DROP_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DROP_DIGITS = str.maketrans("", "", string.digits)
_SECONDS = 1.0


class ExactMatch(MeanScorer):
    """Share of answers equal to a reference after normalisation."""

    name = "exact_match"
    needs = frozenset({"response", "references"})
    binary = True
    summary = "answer equals a reference after normalisation, 0-1 (SQuAD evaluate-v2.0)"

    def __init__(
        self,
        *,
        language: str = "en",
        ignore_case: bool | None = None,
        ignore_punctuation: bool | None = None,
        ignore_numbers: bool | None = None,
        regexes_to_ignore: list[str] | None = None,
    ) -> None:
        """Choose the rule: lm-evaluation-harness's where an option is given, SQuAD's otherwise.

        Raises:
            UsageError: an expression of `regexes_to_ignore` does not compile.
        """
        self._language = language
        given = (ignore_case, ignore_punctuation, ignore_numbers, regexes_to_ignore)
        self._strip: Callable[[str], str] | None = None
        if any(option is not None for option in given):
            self._strip = _harness_rule(
                regexes_to_ignore or [], bool(ignore_case), bool(ignore_punctuation), bool(ignore_numbers)
            )

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where a reference is matched, else 0."""
        if is_unanswerable(sample):
            return Score(float(judged.refused or judged.empty))
        return Score(float(any(self._same(outcome.response or "", r) for r in sample.references)))

    def _same(self, answer: str, reference: str) -> bool:
        if self._strip is None:
            return same_answer(answer, reference, self._language)
        return self._strip(answer) == self._strip(reference)


def _harness_rule(
    patterns: list[str], fold_case: bool, drop_punctuation: bool, drop_digits: bool
) -> Callable[[str], str]:
    compiled = [_compile(pattern) for pattern in patterns]

    def strip(text: str) -> str:
        for pattern in compiled:
            try:
                text = pattern.sub("", text, timeout=_SECONDS)
            except TimeoutError as error:
                raise UsageError(
                    f"exact_match: regexes_to_ignore: {pattern.pattern!r} takes more than {_SECONDS:g} s on "
                    "one answer; write it without nested repetition"
                ) from error
        if fold_case:
            text = text.lower()
        if drop_punctuation:
            text = text.translate(_DROP_PUNCTUATION)
        return text.translate(_DROP_DIGITS) if drop_digits else text

    return strip


def _compile(pattern: str) -> Any:
    import regex

    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise UsageError(f"exact_match: regexes_to_ignore: {pattern!r} is no regular expression: {error}") from error


class SentenceAccuracy(MeanScorer):
    """Share of answers equal to a reference as they stand."""

    name = "sentence_accuracy"
    needs = frozenset({"response", "references"})
    binary = True
    summary = "answer equals a reference, white space squeezed and nothing else, 0-1"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where a reference is matched, else 0; nothing to compare with on unanswerable questions."""
        if is_unanswerable(sample):
            return Score.unscored("no reference text")
        answer = squeeze(outcome.response or "")
        return Score(float(any(answer == squeeze(reference) for reference in sample.references)))
