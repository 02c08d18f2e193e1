"""Token F1 of an answer (SQuAD `evaluate-v2.0.py`).

For one reference: P = c/|answer|, R = c/|reference|, F1 = 2PR/(P+R), where c counts the tokens in common
as *multisets* ("new york new york" against "new york" is 2/3; on sets it would be 1). Tokens are those of
`halueval.text.tokens`, so CJK characters count one by one. Where either side has no token, F1 is whether
the two are equal. The figure is the mean over samples of the maximum over references.
"""

from __future__ import annotations

from collections import Counter

from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer, is_unanswerable
from halueval.text import same_answer, tokens


def token_f1(answer: str, reference: str, language: str = "en") -> float:
    """F1 of the tokens of two texts, in [0, 1]."""
    left, right = tokens(answer, language), tokens(reference, language)
    if not left or not right:
        return float(same_answer(answer, reference, language))
    common = sum((Counter(left) & Counter(right)).values())
    return 2 * common / (len(left) + len(right))


class TokenF1(MeanScorer):
    """Mean over samples of the best token F1."""

    name = "token_f1"
    needs = frozenset({"response", "references"})
    summary = "overlap of tokens with the best reference, multisets, 0-1 (SQuAD evaluate-v2.0)"

    def __init__(self, *, language: str = "en") -> None:
        """Tokens follow the language."""
        self._language = language

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Best F1 over the references; on unanswerable questions, whether the answer abstains."""
        if is_unanswerable(sample):
            return Score(float(judged.refused or judged.empty))
        answer = outcome.response or ""
        return Score(max(token_f1(answer, reference, self._language) for reference in sample.references))
