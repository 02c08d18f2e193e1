"""SummaC (Laban and others 2022): entailment between sentences, with a rule (ZS) or a learnt layer (Conv) on top.

As in the official code (tingofurro/summac, `summac/model_summac.py`) at the granularity of sentences: those of
more than ten characters, the first hundred of the source, pairs of at most 500 tokens. Sentences are halueval's and
not NLTK's. The official default model is `tals/albert-xlarge-vitaminc-mnli`. What lies beyond the hundredth sentence
and what is cut from a sentence counts as truncated, in tokens; sentences that are too short do not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from halueval.consistency.base import Pair
from halueval.consistency.grid import ClassifierOptions, ClassifierScorer, Grid
from halueval.errors import ModelError
from halueval.sentences import sentences
from halueval.source import file_sha256

MIN_CHARACTERS = 10
MAX_SOURCE_SENTENCES = 100
MAX_TOKENS = 500
MAX_CONV_SENTENCES = 10
"""Rows of the histogram that the official Conv has: it does not see further sentences of a claim."""

PERCENTILE_BINS = (
    *(0.0, 0.01, 0.02, 0.03, 0.04, 0.07, 0.13, 0.37, 0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.955, 0.96, 0.965),
    *(0.97, 0.975, 0.98, 0.985, 0.99, 0.995, 1.0),
)
"""Edges of the 23 bins of the official checkpoint."""

TOO_SHORT = f"no sentence of more than {MIN_CHARACTERS} characters"


def _sentences(text: str, language: str) -> list[str]:
    return [sentence for sentence in sentences(text, language) if len(sentence) > MIN_CHARACTERS]


class _SummaC(ClassifierScorer):
    """The split that both share."""

    longest_pair = MAX_TOKENS
    most_sentences: int | None = None

    def grid(self, pair: Pair) -> Grid:
        """Sentences of either side."""
        claim, source = _sentences(pair.claim, pair.language), _sentences(pair.source, pair.language)
        if not claim or not source:
            return Grid((), (), reason=f"the {'source' if claim else 'claim'} has {TOO_SHORT}")
        unseen = sum(int(self.classifier.count(sentence)) for sentence in source[MAX_SOURCE_SENTENCES:])
        kept = claim[: self.most_sentences]
        details = {"claim_sentences_unseen": float(len(claim) - len(kept))} if len(kept) < len(claim) else {}
        return Grid(tuple(source[:MAX_SOURCE_SENTENCES]), tuple(kept), unseen, details=details)


class SummaCZS(_SummaC):
    """Mean over the claim's sentences of the largest P(entailment) less the largest P(contradiction).

    The two maxima run over the source's sentences, each on its own. A head that does not tell contradiction from
    neutral gives no value.
    """

    name = "summac_zs"
    version = 2
    summary = "mean over sentences of max P(entailment) − max P(contradiction), in [−1, 1]; Laban and others 2022"
    needed = ("entailment", "contradiction")

    def sentence_value(self, column: Sequence[tuple[float, ...]]) -> float:
        """The largest P(entailment) less the largest P(contradiction)."""
        against = self.classifier.roles.index("contradiction")
        return max(self.entailment(row) for row in column) - max(row[against] for row in column)

    def claim_value(self, values: Sequence[float]) -> float:
        """The mean."""
        return self.mean(values)


@dataclass(frozen=True, slots=True)
class ConvWeights:
    """The learnt part of SummaC-Conv.

    Attributes:
        weight: one number for each bin.
        bias: added to their weighted sum.
        slope: of the logit of class 1 in the mean of a claim's sentences, None where there is no final layer.
        intercept: of that logit.
    """

    weight: tuple[float, ...]
    bias: float
    slope: float | None = None
    intercept: float = 0.0

    @property
    def bins(self) -> tuple[float, ...]:
        """Edges of the bins: the official percentiles for 23 of them, else bins of equal width."""
        size = len(self.weight)
        return PERCENTILE_BINS if size == len(PERCENTILE_BINS) - 1 else tuple(i / size for i in range(size + 1))

    def sentence(self, entailment: Sequence[float]) -> float:
        """The linear layer on the counts of P(entailment) in each bin; the last bin holds its upper edge."""
        import numpy as np

        counts, _ = np.histogram(np.clip(entailment, 0.0, 1.0), bins=np.asarray(self.bins))
        return float(counts @ np.asarray(self.weight)) + self.bias

    def claim(self, mean: float) -> float:
        """Probability of class 1 (consistent); the mean itself where there is no final layer."""
        if self.slope is None:
            return mean
        logit = self.slope * mean + self.intercept
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def read_conv(path: Path) -> ConvWeights:
    """The layers of SummaC-Conv from a file.

    The official `summac_conv_vitc_sent_perc_e.bin` is a pickle: save its tensors with safetensors first. They are
    `mlp.weight` (1, bins), `mlp.bias` (1), `layer_final.weight` (2, 3) and `layer_final.bias` (2); the three inputs of
    the final layer are the same mean. A JSON file holds `weight`, `bias`, and if wanted `final_weight`, `final_bias`.

    Raises:
        ModelError: not there, or not such weights.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    form = 'safetensors with mlp.weight and mlp.bias, or JSON {"weight": […], "bias": …}'
    if path.suffix not in (".json", ".safetensors"):
        raise ModelError(f"{path}: weights of summac_conv are {form}")
    try:
        if path.suffix == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
            return _conv_weights(found, ("weight", "bias", "final_weight", "final_bias"))
        found = load_file(path)
        return _conv_weights(found, ("mlp.weight", "mlp.bias", "layer_final.weight", "layer_final.bias"))
    except (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as weights of summac_conv ({form})") from error


def _conv_weights(found: Any, keys: tuple[str, str, str, str]) -> ConvWeights:
    import numpy as np

    weight, bias = np.asarray(found[keys[0]], dtype=float).ravel(), np.asarray(found[keys[1]], dtype=float).ravel()
    if len(weight) < 2 or len(bias) != 1 or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ValueError("no layer")
    plain = ConvWeights(tuple(weight.tolist()), float(bias[0]))
    if keys[2] not in found:
        return plain
    final, shift = np.asarray(found[keys[2]], dtype=float), np.asarray(found[keys[3]], dtype=float).ravel()
    if final.shape != (2, 3) or shift.shape != (2,) or not (np.isfinite(final).all() and np.isfinite(shift).all()):
        raise ValueError("no final layer")
    slope = float(final[1].sum() - final[0].sum())
    return ConvWeights(plain.weight, plain.bias, slope, float(shift[1] - shift[0]))


class SummaCConv(_SummaC):
    """A linear layer on the histogram of P(entailment) of each of the claim's sentences, averaged over sentences.

    A sentence's value is the layer's output; the claim's is the probability that the official final layer makes of
    the mean, or the mean itself where the file has no final layer. As in the official code only a claim's first ten
    sentences are seen; `details` says how many were not.

    Args:
        model: see `ClassifierScorer`.
        weights: the learnt layers, see `read_conv`; without them the scorer cannot score.
        options: those of `ClassifierScorer`.
    """

    name = "summac_conv"
    version = 2
    summary = "learnt layer on histograms of P(entailment), in [0, 1] with the official weights; Laban and others 2022"
    most_sentences = MAX_CONV_SENTENCES

    def __init__(
        self, model: str | None = None, *, weights: str | None = None, **options: Unpack[ClassifierOptions]
    ) -> None:
        super().__init__(model, **options)
        self._path = None if weights is None else Path(weights).expanduser()
        self._conv: ConvWeights | None = None

    @property
    def conv(self) -> ConvWeights:
        """The learnt layers.

        Raises:
            ModelError: none were named, or the file holds none.
        """
        if self._path is None:
            raise ModelError(
                "consistency scorer 'summac_conv' needs the learnt layers: give the option `weights`, the official "
                'checkpoint saved as safetensors, or JSON {"weight": […], "bias": …}'
            )
        if self._conv is None:
            self._conv = read_conv(self._path)
        return self._conv

    def unusable(self) -> str | None:
        """As of every classifier; refuses before any model is looked for where the layers are missing."""
        _ = self.conv
        return super().unusable()

    def sentence_value(self, column: Sequence[tuple[float, ...]]) -> float:
        """Output of the linear layer."""
        return self.conv.sentence([self.entailment(row) for row in column])

    def claim_value(self, values: Sequence[float]) -> float:
        """What the final layer makes of the mean."""
        return self.conv.claim(self.mean(values))

    def identity(self) -> dict[str, str | int]:
        """With the digest of the layers' file."""
        _ = self.conv
        assert self._path is not None
        return {**super().identity(), "conv_sha256": file_sha256(self._path)}
