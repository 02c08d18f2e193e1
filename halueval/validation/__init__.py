"""Scorers held against people: verdicts on annotated sets, and the figures of their agreement."""

from halueval.validation.figures import Agreement, Comparison, Settings, agree, compare_values
from halueval.validation.kept import KeptScores
from halueval.validation.run import Evaluation, Scored, compare, count_pairs, evaluate, score_rows, validate

__all__ = [
    "Agreement",
    "Comparison",
    "Evaluation",
    "KeptScores",
    "Scored",
    "Settings",
    "agree",
    "compare",
    "compare_values",
    "count_pairs",
    "evaluate",
    "score_rows",
    "validate",
]
