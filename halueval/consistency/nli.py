"""Entailment by any model of natural-language inference."""

from __future__ import annotations

from collections.abc import Sequence

from halueval.consistency.base import Pair
from halueval.consistency.grid import ClassifierScorer, Grid
from halueval.consistency.pair_classifier import PairClassifier
from halueval.sentences import sentences as split
from halueval.text import joint


class Nli(ClassifierScorer):
    """Mean over the claim's sentences of the largest P(entailment) that a piece of the source gives.

    The source is cut into pieces of whole sentences: as many as the model's window holds beside the claim's longest
    sentence, so that few pieces have to be read and none is cut. A single sentence beyond the window is cut, and
    what is cut is counted in `truncated`, in tokens. Pieces do not overlap.
    """

    name = "nli"
    version = 2
    summary = "mean over sentences of the largest P(entailment) over pieces of the source, in [0, 1]; any NLI model"

    def grid(self, pair: Pair) -> Grid:
        """Sentences of the claim; pieces of the source up to the window."""
        return whole_sentences(pair, self.classifier)

    def sentence_value(self, column: Sequence[tuple[float, ...]]) -> float:
        """The largest P(entailment)."""
        return max(self.entailment(probabilities) for probabilities in column)

    def claim_value(self, values: Sequence[float]) -> float:
        """The mean."""
        return self.mean(values)


def whole_sentences(pair: Pair, classifier: PairClassifier, most: int | None = None) -> Grid:
    """Sentences of the claim, and the source in pieces of whole sentences, which do not overlap.

    A piece holds as many as the model's window does beside the claim's longest sentence, and no more than `most` tokens
    of them.
    """
    sentences = tuple(split(pair.claim, pair.language))
    room = min(classifier.room(sentence) for sentence in sentences)
    room = room if most is None else min(room, most)
    chunks: list[str] = []
    for sentence in split(pair.source, pair.language):
        longer = f"{chunks[-1]}{joint(pair.language)}{sentence}" if chunks else sentence
        if chunks and classifier.count(longer) <= room:
            chunks[-1] = longer
        else:
            chunks.append(sentence)
    return Grid(tuple(chunks), sentences)
