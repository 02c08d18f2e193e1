"""ROUGE (Lin 2004) through Google's rouge-score: F measure, maximum over references, mean over samples.

- rouge1, rouge2: overlap of uni- and bigrams; rougeL: longest common subsequence of the whole texts;
  rougeLsum: union LCS over sentences, which are split at line breaks only (rouge-score's rule: put a
  line break between sentences, or rougeLsum equals rougeL).
- No stemming unless `use_stemmer: true`. Published figures often stem: compare like with like.
- English goes through rouge-score's own tokenizer (lower-case, `[a-z0-9]+`). It erases every other
  letter, so other languages use `halueval.text.unicode_words`, CJK characters one by one.
"""

from __future__ import annotations

from typing import Any

from halueval.errors import UsageError
from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer
from halueval.text import is_english, unicode_words


class _UnicodeTokenizer:
    """What rouge-score asks of a tokenizer: a method `tokenize`."""

    def __init__(self, language: str) -> None:
        self._language = language

    def tokenize(self, text: str) -> list[str]:
        """Words of `text`."""
        return unicode_words(text, self._language)


class _Rouge(MeanScorer):
    """Base of the four variants."""

    needs = frozenset({"response", "references"})

    def __init__(self, *, language: str = "en", use_stemmer: bool = False) -> None:
        """Keep the settings; rouge-score, which imports nltk, is loaded when the first text is scored.

        Raises:
            UsageError: `use_stemmer` for a language other than English, for which there is no stemmer.
        """
        if use_stemmer and not is_english(language):
            raise UsageError(f"{self.name}: use_stemmer is for English only; the task's language is {language!r}")
        self._language, self._use_stemmer = language, use_stemmer
        self._scorer: Any = None

    def f_measure(self, answer: str, reference: str) -> float:
        """F measure of one pair, in [0, 1]."""
        if self._scorer is None:
            from rouge_score import rouge_scorer

            tokenizer = None if is_english(self._language) else _UnicodeTokenizer(self._language)
            self._scorer = rouge_scorer.RougeScorer([self.name], use_stemmer=self._use_stemmer, tokenizer=tokenizer)
        return float(self._scorer.score(reference, answer)[self.name].fmeasure)

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Best F measure over the references that have text."""
        references = [reference for reference in sample.references if reference.strip()]
        if not references:
            return Score.unscored("no reference text")
        answer = outcome.response or ""
        return Score(max(self.f_measure(answer, reference) for reference in references))


class Rouge1(_Rouge):
    """Unigram overlap."""

    name = "rouge1"
    summary = "F measure of unigrams, best reference, 0-1 (rouge-score, no stemming by default)"


class Rouge2(_Rouge):
    """Bigram overlap."""

    name = "rouge2"
    summary = "F measure of bigrams, best reference, 0-1 (rouge-score, no stemming by default)"


class RougeL(_Rouge):
    """Longest common subsequence."""

    name = "rougeL"
    summary = "F measure of the longest common subsequence, best reference, 0-1 (rouge-score)"


class RougeLsum(_Rouge):
    """Union of longest common subsequences over lines."""

    name = "rougeLsum"
    summary = "as rougeL, over sentences split at line breaks only, 0-1 (rouge-score)"
