r"""The perplexity family, from natural-log likelihoods.

With L the sum of log p over all tokens of all texts, and N_tokens, N_words, N_bytes the sums over texts:

- `token_perplexity` = exp(-L/N_tokens); each tokenizer has its own N_tokens, so it compares only models
  with the same tokenizer;
- `word_perplexity` = exp(-L/N_words), words by `re.split(r"\s+")`;
- `byte_perplexity` = exp(-L/N_bytes) = 2^bits_per_byte; `bits_per_byte` = -L/(N_bytes ln 2);
- `reference_nll` = mean over samples of -L of the first reference given the prompt, in nats.

All but the last are corpus-weighted: sums are divided, never per-text figures averaged. Words and bytes are
counted on the original text (`doc_to_source` of a rolling task, where it has one), without the delimiter
between prompt and reference (which the model scores too when it is part of the continuation; it is at most a
token). Rolling tasks score the whole text, others the first reference given the prompt: two different
figures, told apart by the task. The value of a single sample is its -L in nats, since a text's own word
perplexity can exceed the range of a float. Equal to lm-evaluation-harness's figures of the same names for
rolling tasks.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from halueval.config import TaskSpec
from halueval.schema import Judged, LoglikelihoodResponse, Outcome, OutputType, Sample, Score
from halueval.scorers.base import FloatArray, MeanScorer, StatsScorer, divide, finite
from halueval.text import num_bytes, words


class _Perplexity(StatsScorer):
    """exp(nats / units), `stats` = (nats, units)."""

    needs = frozenset({"reference", "references"})
    higher_is_better = False
    unit: ClassVar[Literal["token", "word", "byte"]]

    def __init__(self, *, task: TaskSpec | None = None) -> None:
        """Rolling tasks read the rolling log-likelihood, others the reference's."""
        self._rolling = task is not None and task.output_type is OutputType.LOGLIKELIHOOD_ROLLING
        if self._rolling:
            self.needs = frozenset({"rolling"})

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Total nats of the text; its units in `stats`."""
        text = sample.target if self._rolling else sample.references[0]
        response = outcome.rolling if self._rolling else outcome.reference
        if not text or response is None or response.num_tokens == 0:
            return Score.unscored("no text to score")
        nats = -response.loglikelihood
        # A rolling task whose text was made ready for the model gives the original as its source.
        counted = sample.source or text if self._rolling else text
        return finite(nats, (nats, float(self._units(counted, response))))

    def _units(self, text: str, response: LoglikelihoodResponse) -> int:
        if self.unit == "token":
            return response.num_tokens
        return len(words(text)) if self.unit == "word" else num_bytes(text)

    def finalize(self, sums: FloatArray) -> FloatArray:
        """Exponential of nats per unit; infinity where that is out of range, which the caller reports."""
        with np.errstate(over="ignore"):
            return np.exp(divide(sums[:, 0], sums[:, 1]))


class TokenPerplexity(_Perplexity):
    """Perplexity per token."""

    name = "token_perplexity"
    unit = "token"
    summary = "exp(nats per token); compares only models with the same tokenizer"


class WordPerplexity(_Perplexity):
    """Perplexity per word."""

    name = "word_perplexity"
    unit = "word"
    summary = "exp(nats per word of the original text), any tokenizer (lm-evaluation-harness)"


class BytePerplexity(_Perplexity):
    """Perplexity per byte."""

    name = "byte_perplexity"
    unit = "byte"
    summary = "exp(nats per UTF-8 byte of the original text), any tokenizer (lm-evaluation-harness)"


class BitsPerByte(_Perplexity):
    """Bits per byte."""

    name = "bits_per_byte"
    unit = "byte"
    summary = "bits per UTF-8 byte of the original text, any tokenizer (lm-evaluation-harness)"

    def finalize(self, sums: FloatArray) -> FloatArray:
        """Nats per byte / ln 2."""
        return divide(sums[:, 0], sums[:, 1]) / math.log(2)


class ReferenceNLL(MeanScorer):
    """Mean negative log-likelihood of the first reference."""

    name = "reference_nll"
    needs = frozenset({"reference", "references"})
    higher_is_better = False
    summary = "nats of the first reference given the prompt, summed over its tokens, mean over samples"

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """Total nats of the first reference."""
        if not sample.references[0] or outcome.reference is None or outcome.reference.num_tokens == 0:
            return Score.unscored("no text to score")
        return finite(-outcome.reference.loglikelihood)
