r"""Probes: what a rule that never reads the content would score on a set of right and hallucinated pairs.

They measure the data, not the model. In HaluEval the hallucinated answers tend to be longer (its issue 15)
and the right summaries end in a line break (issue 27), so a high accuracy on it may mean as little as this:

- `length_probe` = accuracy of calling the longer of the two texts hallucinated; equal lengths one half;
- `newline_probe` = accuracy of calling the text that ends in a line break right; no difference one half.

The two texts are the sample's two choices; or, where a task scores the variants of a row one by one, the
two columns of the option `columns: [RIGHT, HALLUCINATED]`, as the data set gave them. A choice that a
template has stripped shows no line break, so give `newline_probe` the columns.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from halueval.errors import UsageError
from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer


class _Probe(MeanScorer):
    """Base of the probes: finds the right and the hallucinated text, and compares one number of each."""

    higher_is_better = None

    def __init__(self, *, columns: Sequence[str] | None = None) -> None:
        """Use the two choices, or the named columns.

        Raises:
            UsageError: `columns` does not name exactly two.
        """
        if columns is not None and (isinstance(columns, str) or len(columns) != 2):
            raise UsageError(f"{self.name}: columns must name two, [right, hallucinated]; found {columns!r}")
        self._columns = columns

    @abstractmethod
    def rightness(self, text: str) -> int:
        """The larger, the more the rule takes the text for right."""

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where the rule is right, 0 where it is wrong, one half where it cannot tell."""
        if self._columns is not None:
            absent = [c for c in self._columns if not isinstance(sample.doc.get(c), str)]
            if absent:
                return Score.unscored(f"no text in column {absent[0]!r}")
            right, wrong = (sample.doc[c] for c in self._columns)
        elif len(sample.choices) == 2 and len(sample.gold) == 1:
            right, wrong = sample.choices[sample.gold[0]], sample.choices[1 - sample.gold[0]]
        else:
            return Score.unscored(f"{len(sample.choices)} choices; {self.name} needs a right and a wrong text")
        difference = self.rightness(right) - self.rightness(wrong)
        return Score(0.5 if difference == 0 else float(difference > 0))


class LengthProbe(_Probe):
    """Shorter is right."""

    name = "length_probe"
    summary = "accuracy of calling the longer text hallucinated, 0-1; a property of the data (HaluEval issue 15)"

    def rightness(self, text: str) -> int:
        """Fewer characters."""
        return -len(text)


class NewlineProbe(_Probe):
    """Ending in a line break is right."""

    name = "newline_probe"
    summary = "accuracy of calling text that ends in a line break right, 0-1; of the data (HaluEval issue 27)"

    def rightness(self, text: str) -> int:
        """Whether the text ends in a line break."""
        return int(text.endswith("\n"))
