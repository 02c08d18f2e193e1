"""Word accuracy of an answer.

For one reference: 1 - d/n, where d is the word edit distance (insertions, deletions and substitutions cost
1 each) and n the number of words of the reference, clipped at 0, since a long answer can have d > n. The
figure is the mean over samples of the maximum over references. It is 1 - WER clipped and averaged over
samples; speech recognition's WER is summed over the corpus and unclipped instead. Words are split at
white space with case and punctuation kept; CJK characters count one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer
from halueval.text import segment


def edit_distance(left: Sequence[str], right: Sequence[str]) -> int:
    """Levenshtein distance of two sequences of words, costs 1.

    Bit-parallel over one column of the table (Myers 1999, in Hyyrö's 2003 form) with Python's integers
    as bit vectors: linear in `right` for all lengths that occur, where the plain table takes seconds.
    """
    if not left:
        return len(right)
    where: dict[str, int] = {}
    for i, word in enumerate(left):
        where[word] = where.get(word, 0) | (1 << i)
    mask, last = (1 << len(left)) - 1, 1 << (len(left) - 1)
    up, down, distance = mask, 0, len(left)
    for word in right:
        equal = where.get(word, 0)
        diagonal = (((equal & up) + up) ^ up) | equal | down
        horizontal_up = (down | ~(diagonal | up)) & mask
        horizontal_down = up & diagonal
        distance += bool(horizontal_up & last) - bool(horizontal_down & last)
        horizontal_up = ((horizontal_up << 1) | 1) & mask
        horizontal_down = (horizontal_down << 1) & mask
        up = (horizontal_down | ~(diagonal | horizontal_up)) & mask
        down = horizontal_up & diagonal
    return distance


class WordAccuracy(MeanScorer):
    """Mean over samples of the best word accuracy."""

    name = "word_accuracy"
    needs = frozenset({"response", "references"})
    summary = "1 - word edit distance / reference words, clipped at 0, best reference, 0-1"

    def __init__(self, *, language: str = "en") -> None:
        """Words follow the language."""
        self._language = language

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Best word accuracy over the references that have words."""
        answer = segment(outcome.response or "", self._language)
        references = [r for r in (segment(r, self._language) for r in sample.references) if r]
        if not references:
            return Score.unscored("no reference text")
        return Score(max(max(0.0, 1 - edit_distance(answer, r) / len(r)) for r in references))
