"""`hedge_rate`: share of answers that say they are unsure, of those that are answers at all; 0-1.

Fine-tuning may take a model's caution before it takes its knowledge, and exact match does not see it. An answer
hedges when one of the words below, or of the option `words`, stands in it as a whole word, case ignored.
"""

import re
from collections.abc import Sequence

from halueval.schema import Judged, Outcome, Sample, Score
from halueval.scorers.base import MeanScorer

WORDS = ("maybe", "perhaps", "possibly", "probably", "i think", "i believe", "not sure", "might be")


class HedgeRate(MeanScorer):
    """Share of answers that hedge; empty answers and refusals are unscored."""

    name = "hedge_rate"
    version = 1  # raise it whenever a value could change: it is part of a run's identity
    needs = frozenset({"response"})
    higher_is_better = None  # caution is good where the model is wrong, and a fault where it is right
    binary = True  # so that a rate of exactly 0 or 1 still has an interval (Wilson's)
    summary = "answers that say they are unsure, of those given, 0-1 (by a list of words)"

    def __init__(self, *, words: Sequence[str] = WORDS) -> None:
        self._pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b", re.IGNORECASE)

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """1 where the answer hedges, 0 where it does not."""
        if judged.empty or judged.refused:
            return Score.unscored("no answer that could hedge")
        return Score(float(self._pattern.search(outcome.response or "") is not None))
