"""HHEM-2.1-Open (Vectara 2024): a T5 encoder that classifies the first token of a prompt, without remote code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from halueval.backends.fingerprint import read_json, tokenizer_sha256, weight_files, weights_sha256
from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.local_model import Encoded, LocalModel, Scored, in_batches
from halueval.errors import ModelError
from halueval.schema import FailedResponse
from halueval.sentences import sentences as split
from halueval.source import fetch_first

PROMPT = "<pad> Determine if the hypothesis is true given the premise?\n\nPremise: {source}\n\nHypothesis: {claim}"
"""The official prompt: the source is the premise and stands first; the other way round is another question."""

GROUP = 64
CONSISTENT = 1


def prompt(source: str, claim: str) -> str:
    """The prompt for a source and a claim; braces in either mean nothing."""
    before, between = PROMPT.split("{source}")
    return before + source + between.removesuffix("{claim}") + claim


class HHEM(ConsistencyScorer):
    """Probability that a source supports a claim as a whole, from the class of the prompt's first token.

    The published checkpoint is a `T5ForTokenClassification` under the prefix `t5.`, whose sizes are read from its
    tensors; a directory that such a model was saved into does as well. Its architecture class is code of the hub
    that halueval neither fetches nor runs. Where the directory has no tokenizer, `tokenizer` names one: FLAN-T5's.

    Below .5 an English claim counts as hallucinated (model card). By default the source is never cut, as in the
    official code; with `max_length` words at its end are left out until the prompt fits, and counted in `truncated`.

    Args:
        model: directory with safetensors, hub id, or name of a model card.
        tokenizer: directory or hub id of the tokenizer, where the model's directory has none.
        device: `auto`, `cpu`, `cuda`, `cuda:0` … or `mps`.
        dtype: `float32`, `bfloat16`, `float16` or `auto`.
        batch_size: prompts of a pass; None for as many as a budget of tokens holds.
        max_length: tokens of a prompt at most; None for no limit.
        by_sentence: score each sentence of the claim as well; the claim's value stays that of the whole.
    """

    name = "hhem"
    group = GROUP
    summary = "P(consistent) of source and claim as a whole, in [0, 1]; HHEM-2.1-Open, Vectara 2024"
    cost = "model"
    threshold = 0.5
    threshold_from = "model card of HHEM-2.1-Open"
    languages = frozenset({"en"})

    def __init__(
        self,
        model: str | None = None,
        *,
        tokenizer: str | None = None,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int | None = None,
        max_length: int | None = None,
        by_sentence: bool = False,
    ) -> None:
        self.local = LocalModel(model, scorer=self.name, device=device, dtype=dtype)
        self._tokenizer_name, self._batch_size, self._max_length = tokenizer, batch_size, max_length
        self.by_sentence = by_sentence
        self._loaded: tuple[Any, Any] | None = None

    def load(self) -> tuple[Any, Any]:
        """Model and tokenizer.

        Raises:
            ModelError: the files do not make such a model.
        """
        if self._loaded is None:
            directory = self._directory
            model = load_weights(directory, self.local.dtype).to(self.local.device).eval()
            tokenizer = self._tokenizer()
            self._loaded = model, tokenizer
        return self._loaded

    @cached_property
    def _directory(self) -> Path:
        spec = self.local.spec()
        directory = fetch_first(spec.source, base=spec.directory, what=spec.name).path
        if not directory.is_dir():
            raise ModelError(f"{directory}: HHEM is a directory with safetensors")
        return directory

    @cached_property
    def _tokenizer_directory(self) -> Path:
        from halueval.registry import Registry

        if self._tokenizer_name is None:
            return self._directory
        spec = Registry().model(self._tokenizer_name)
        return fetch_first(spec.source, base=spec.directory, what=spec.name).path

    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        from halueval.backends.quiet import quiet_transformers

        directory = self._tokenizer_directory
        tokenizer_sha256(directory)
        try:
            with quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(f"{directory}: its tokenizer cannot be loaded; give FLAN-T5's as `tokenizer`") from error
        if tokenizer("<pad> a")["input_ids"][0] != tokenizer.pad_token_id:
            raise ModelError(
                f"{directory}: its tokenizer does not read <pad> as the padding token, whose class HHEM's value is"
            )
        return tokenizer

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """Score pairs, a group of them at a time."""
        out: list[Verdict] = []
        for start in range(0, len(pairs), GROUP):
            group = pairs[start : start + GROUP]
            parts = [split(p.claim, p.language) if self.by_sentence else [] for p in group]
            items = [(p.source, text) for p, part in zip(group, parts, strict=True) for text in (p.claim, *part)]
            answers = iter(self.ask(items))
            for part in parts:
                whole = next(answers)
                sentences = tuple(_sentence(text, next(answers)) for text in part)
                if isinstance(whole, FailedResponse):
                    out.append(Verdict(None, whole.reason, sentences))
                else:
                    out.append(Verdict(whole.probabilities[CONSISTENT], None, sentences, whole.truncated))
            advance(len(group))
        return out

    def ask(self, items: Sequence[tuple[str, str]]) -> list[Scored | FailedResponse]:
        """Probabilities of both classes for each source and claim."""
        import torch

        model, tokenizer = self.load()

        def forward(inputs: list[Mapping[str, list[int]]]) -> list[list[float]]:
            batch = tokenizer.pad([dict(ids) for ids in inputs], return_tensors="pt", padding_side="right")
            with torch.inference_mode():
                logits = model(**batch.to(model.device)).logits[:, 0]
            rows: list[list[float]] = logits.float().softmax(-1).tolist()
            return rows

        return in_batches([self.encode(*item) for item in items], forward, model.device, self._batch_size)

    def encode(self, source: str, claim: str) -> Encoded | FailedResponse:
        """A prompt's ids; with `max_length`, of as many words of the source as fit."""
        ids = self._ids(source, claim)
        if self._max_length is None or len(ids) <= self._max_length:
            return _encoded(ids, 0)
        ends = [match.end() for match in re.finditer(r"\S+", source)]
        low, high = 0, len(ends) - 1
        while low < high:
            middle = (low + high + 1) // 2
            fits = len(self._ids(source[: ends[middle - 1]], claim)) <= self._max_length
            low, high = (middle, high) if fits else (low, middle - 1)
        if low == 0:
            return FailedResponse(f"the claim leaves the source no room in a prompt of {self._max_length} tokens")
        return _encoded(self._ids(source[: ends[low - 1]], claim), len(ends) - low)

    def _ids(self, source: str, claim: str) -> list[int]:
        return list(self.load()[1](prompt(source, claim), verbose=False)["input_ids"])

    @property
    def model_name(self) -> str:
        """Of the card, directory or hub id."""
        return self.local.spec().name

    def identity(self) -> dict[str, str | int]:
        """Name, version, digests of weights and tokenizer, and the precision; nothing is loaded for it.

        Raises:
            ModelError, SourceError, UsageError: no model was named, or its files cannot be had.
        """
        out = super().identity()
        out |= {"weights_sha256": weights_sha256(self._directory), "dtype": self.local.dtype}
        out |= {"tokenizer_sha256": tokenizer_sha256(self._tokenizer_directory)}
        return out if self._max_length is None else {**out, "max_length": self._max_length}


def _encoded(ids: list[int], cut: int) -> Encoded:
    return Encoded({"input_ids": ids, "attention_mask": [1] * len(ids)}, cut)


def _sentence(text: str, answer: Scored | FailedResponse) -> SentenceScore:
    if isinstance(answer, FailedResponse):
        return SentenceScore(text, None, answer.reason)
    return SentenceScore(text, answer.probabilities[CONSISTENT])


def load_weights(directory: Path, dtype: str) -> Any:
    """A `T5ForTokenClassification` with the weights of a directory, its sizes read from the tensors.

    Raises:
        ModelError: the tensors are not those of a T5 encoder with a head of two classes on its tokens.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import T5ForTokenClassification

    tensors: dict[str, Any] = {}
    try:
        for path in weight_files(directory):
            tensors |= load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{directory}: its weights cannot be read as safetensors") from error
    tensors = {name.removeprefix("t5."): tensor for name, tensor in tensors.items()}
    try:
        model = T5ForTokenClassification(_config(tensors, directory))
        report = model.load_state_dict(tensors, strict=False)
    except (KeyError, IndexError, RuntimeError) as error:
        raise ModelError(
            f"{directory}: its tensors are not a T5 encoder with a token classifier, which HHEM-2.1-Open is"
        ) from error
    tied = {"transformer.shared.weight", "transformer.encoder.embed_tokens.weight"}
    missing = set(report.missing_keys)
    if len(missing & tied) < 2:
        missing -= tied
    if missing or report.unexpected_keys or model.config.num_labels != 2:
        wrong = next(iter(sorted(missing) + report.unexpected_keys), "classifier.weight")
        raise ModelError(f"{directory}: is not HHEM-2.1-Open's T5 with two classes; {wrong} does not fit")
    return model.to(getattr(torch, dtype))


def _config(tensors: Mapping[str, Any], directory: Path) -> Any:
    """T5's configuration: sizes from the tensors, and what these do not show from `config.json` or T5's defaults.

    The defaults (128 as the farthest distance, ε of 1e-6) are FLAN-T5's too; its gated GELU shows in `wi_0`.
    """
    from transformers import T5Config

    block = "transformer.encoder.block.{}.layer."
    first = block.format(0)
    query = tensors[first + "0.SelfAttention.q.weight"]
    buckets, heads = tensors[first + "0.SelfAttention.relative_attention_bias.weight"].shape
    gated = first + "1.DenseReluDense.wi_0.weight" in tensors
    inner = tensors[first + ("1.DenseReluDense.wi_0.weight" if gated else "1.DenseReluDense.wi.weight")]
    layers = sum(1 for i in range(1000) if block.format(i) + "0.SelfAttention.q.weight" in tensors)
    shared = tensors.get("transformer.shared.weight", tensors.get("transformer.encoder.embed_tokens.weight"))
    if shared is None:
        raise KeyError("transformer.shared.weight")
    known = read_json(directory / "config.json") if (directory / "config.json").is_file() else {}
    kept = ("relative_attention_max_distance", "layer_norm_epsilon", "feed_forward_proj")
    config = T5Config(
        vocab_size=shared.shape[0],
        d_model=query.shape[1],
        d_kv=query.shape[0] // heads,
        num_heads=heads,
        d_ff=inner.shape[0],
        num_layers=layers,
        relative_attention_num_buckets=buckets,
        **{"feed_forward_proj": "gated-gelu" if gated else "relu", **{k: known[k] for k in kept if k in known}},
    )
    config.num_labels = tensors["classifier.weight"].shape[0]
    return config
