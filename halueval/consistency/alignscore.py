"""AlignScore (Zha and others 2023), evaluation mode `nli_sp`."""

from __future__ import annotations

from collections.abc import Sequence

from halueval.consistency.base import Pair
from halueval.consistency.grid import ClassifierScorer, Grid
from halueval.sentences import sentences
from halueval.text import joint, segment

CHUNK_WORDS = 350


def chunk_sentences(sentences: Sequence[str], words: int, between: str = " ") -> tuple[str, ...]:
    """Pieces of equally many whole sentences, about 350 words each.

    The official rule (yuh-zha/AlignScore, `inference.py`): with n = words // 350 + 1, every piece takes
    max(sentences // n, 1) sentences; the last one takes what is left, so there can be more than n.

    Args:
        sentences: of the source.
        words: of the whole source.
        between: what stands between sentences.
    """
    each = max(len(sentences) // (words // CHUNK_WORDS + 1), 1)
    return tuple(between.join(sentences[i : i + each]) for i in range(0, len(sentences), each))


class AlignScore(ClassifierScorer):
    """Mean over the claim's sentences of the largest P(aligned) that a piece of the source gives.

    The model is the three-way head of the official checkpoint, saved as a `RobertaForSequenceClassification`: its
    pooler (`pooler.dense`) is that class's `classifier.dense`, and `tri_layer` its `classifier.out_proj`; both
    apply the same tanh to the first token. The head's order is aligned, neutral, contradiction. Sentences are
    halueval's and not NLTK's; words of Chinese and Japanese are characters. A piece beyond the window is cut from
    its end and counted in tokens.
    """

    name = "alignscore"
    version = 2
    summary = "mean over sentences of the largest P(aligned) over 350-word pieces, in [0, 1]; Zha and others 2023"

    def grid(self, pair: Pair) -> Grid:
        """Sentences of the claim; pieces of about 350 words of the source."""
        source = sentences(pair.source, pair.language)
        words = len(segment(pair.source, pair.language))
        return Grid(chunk_sentences(source, words, joint(pair.language)), tuple(sentences(pair.claim, pair.language)))

    def sentence_value(self, column: Sequence[tuple[float, ...]]) -> float:
        """The largest P(aligned)."""
        return max(self.entailment(probabilities) for probabilities in column)

    def claim_value(self, values: Sequence[float]) -> float:
        """The mean."""
        return self.mean(values)
