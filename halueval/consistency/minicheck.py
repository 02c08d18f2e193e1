"""MiniCheck (Tang and others 2024): a small model trained to check a sentence against a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from halueval.consistency.base import Pair
from halueval.consistency.grid import Grid, GridScorer
from halueval.consistency.labels import UnknownLabelsError, by_card, roles_of, shown
from halueval.consistency.local_model import Encoded, LocalModel, Scored, in_batches, no_room
from halueval.errors import ModelError
from halueval.schema import FailedResponse
from halueval.sentences import sentences
from halueval.text import joint, segment

T5_PREFIX = "predict: "
T5_VOCABULARY, OFFICIAL_LABELS = 32_100, (3, 209)
T5_CHUNK_WORDS, ENCODER_CHUNK_TOKENS = 500, 400
T5_WINDOW = RELATIVE_WINDOW = 2048


def chunk(text: str, size: Callable[[str], int], most: int, language: str = "en") -> tuple[str, ...]:
    """Pieces of whole sentences whose sizes add up to `most` at most; line breaks of the text stay.

    A sentence that is larger stands alone.

    Args:
        text: of the source.
        size: of a sentence, in words or tokens.
        most: of a piece.
        language: tag of the text.
    """
    pieces: list[str] = []
    current, total = "", 0
    for line in text.split("\n"):
        for sentence in sentences(line, language):
            more = size(sentence)
            if current.strip() and total + more > most:
                pieces.append(current.strip())
                current, total = "", 0
            between = "" if not current or current.endswith("\n") else joint(language)
            current, total = f"{current}{between}{sentence}", total + more
        current += "\n"
    return (*pieces, current.strip()) if current.strip() else tuple(pieces)


class MiniCheck(GridScorer):
    """The smallest probability of support over the claim's sentences, each by the largest over the source's pieces.

    A claim is supported where all of its sentences are, so that the least supported one decides; the official
    boundary is .5, for English texts. What is asked depends on the weights (Liyan06/MiniCheck,
    `minicheck/inference.py`):

    - Flan-T5: `predict: {piece}</s>{sentence}`, pieces of 500 words; the probability of the label token "1"
      against "0" in the first step of the decoder (ids 209 and 3 of T5's vocabulary).
    - RoBERTa, DeBERTa: `{piece}{eos}{sentence}` as one text, pieces of 400 tokens; class 1 of two.

    An input beyond the window (2048 tokens; RoBERTa's own) loses the end of the piece, where the official code cuts
    the end of the sentence. Sentences are halueval's and not NLTK's.

    Args:
        model: directory with safetensors, hub id, or name of a model card.
        device: `auto`, `cpu`, `cuda`, `cuda:0` … or `mps`.
        dtype: `float32`, `bfloat16`, `float16` or `auto`.
        batch_size: inputs of a pass; None for as many as a budget of tokens holds.
        chunk_size: words (Flan-T5) or tokens of a piece; None for the official number.
        max_length: tokens of an input; None for the official number.
    """

    name = "minicheck"
    version = 2
    summary = "least supported sentence's P(supported), largest over pieces, in [0, 1]; Tang and others 2024"
    threshold = 0.5
    threshold_from = "Liyan06/MiniCheck"
    languages = frozenset({"en"})

    def __init__(
        self,
        model: str | None = None,
        *,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int | None = None,
        chunk_size: int | None = None,
        max_length: int | None = None,
    ) -> None:
        self.local = LocalModel(model, scorer=self.name, device=device, dtype=dtype)
        self._batch_size, self._chunk_size, self._max_length = batch_size, chunk_size, max_length

    @property
    def is_t5(self) -> bool:
        """Whether the weights are of the encoder-decoder variant.

        Raises:
            ModelError: they are of neither variant.
        """
        architecture = self.local.located.architecture
        if architecture == "causal":
            raise ModelError(
                "consistency scorer 'minicheck' runs Flan-T5 and sequence-classification weights, not a causal model; "
                "take the scorer 'judge' for one"
            )
        return architecture == "seq2seq"

    def unusable(self) -> str | None:
        """What the head's outputs are called, where that does not tell which of them means supported."""
        try:
            _ = None if self.is_t5 else self._order()
        except UnknownLabelsError as error:
            return str(error)
        return None

    @property
    def window(self) -> int:
        """Tokens of an input at most."""
        from halueval.backends.base import ChatSettings
        from halueval.backends.texts import Texts

        model, tokenizer = self.local.load()
        config = model.config
        if self.is_t5 or getattr(config, "position_biased_input", True) is False:
            return self._max_length or RELATIVE_WINDOW
        chat = ChatSettings()
        texts = Texts(tokenizer, config, decoder_start=None, architecture="classifier", chat=chat, model=model)
        return min(self._max_length or texts.window, texts.window)

    def tokens(self, text: str) -> list[int]:
        """Ids of a text without special ones."""
        return list(self.local.load()[1](text, add_special_tokens=False, verbose=False)["input_ids"])

    def grid(self, pair: Pair) -> Grid:
        """Sentences of the claim; pieces of the source by words or by tokens."""
        if self.is_t5:
            pieces = chunk(
                pair.source,
                lambda sentence: len(segment(sentence, pair.language)),
                self._chunk_size or T5_CHUNK_WORDS,
                pair.language,
            )
        else:
            most = self._chunk_size or ENCODER_CHUNK_TOKENS
            pieces = chunk(pair.source, lambda sentence: len(self.tokens(sentence)), most, pair.language)
        return Grid(pieces, tuple(sentences(pair.claim, pair.language)))

    def ask(self, items: Sequence[tuple[str, str]]) -> list[Scored | FailedResponse]:
        """Probabilities that a piece does not support a sentence, and that it does."""
        model = self.local.load()[0]
        window = self.window
        encoded = [self.encode(piece, sentence, window) for piece, sentence in items]
        forward = self._t5() if self.is_t5 else self._classifier()
        return in_batches(encoded, forward, model.device, self._batch_size)

    def encode(self, piece: str, sentence: str, window: int) -> Encoded | FailedResponse:
        """One input of the official form, its piece cut where the window is exceeded.

        Raises:
            ModelError: the tokenizer has no end-of-text token.
        """
        tokenizer: Any = self.local.load()[1]
        if tokenizer.eos_token is None:
            raise ModelError("consistency scorer 'minicheck': the tokenizer has no end-of-text token to join with")
        head = (T5_PREFIX if self.is_t5 else "") + piece
        ids = list(tokenizer(f"{head}{tokenizer.eos_token}{sentence}", verbose=False)["input_ids"])
        excess = max(len(ids) - window, 0)
        if excess:
            front = self.tokens(head)
            lead = next((k for k in (0, 1) if ids[k : k + len(front)] == front), None)
            if lead is None or excess >= len(front) - len(self.tokens(T5_PREFIX if self.is_t5 else "")):
                return FailedResponse(no_room(len(self.tokens(sentence)), window))
            end = lead + len(front)
            ids = ids[: end - excess] + ids[end:]
        return Encoded({"input_ids": ids, "attention_mask": [1] * len(ids)}, excess)

    def label_tokens(self) -> tuple[int, int]:
        """Ids of the labels "0" and "1": the official ones for T5's vocabulary, else the first token of each.

        Raises:
            ModelError: the tokenizer begins both alike.
        """
        if len(self.local.load()[1]) == T5_VOCABULARY:
            return OFFICIAL_LABELS
        first = [self.tokens(label)[:1] for label in ("0", "1")]
        if not all(first) or first[0] == first[1]:
            raise ModelError("consistency scorer 'minicheck': the tokenizer does not tell the labels '0' and '1' apart")
        return first[0][0], first[1][0]

    def _t5(self) -> Callable[[list[Mapping[str, list[int]]]], list[list[float]]]:
        import torch

        model, tokenizer = self.local.load()
        labels = torch.tensor(self.label_tokens(), device=model.device)
        start = int(model.config.decoder_start_token_id)

        def forward(inputs: list[Mapping[str, list[int]]]) -> list[list[float]]:
            batch = tokenizer.pad([dict(ids) for ids in inputs], return_tensors="pt").to(model.device)
            first = torch.full((len(inputs), 1), start, device=model.device)
            with torch.inference_mode():
                logits = model(**batch, decoder_input_ids=first).logits[:, 0]
            rows: list[list[float]] = logits[:, labels].float().softmax(-1).tolist()
            return rows

        return forward

    def _classifier(self) -> Callable[[list[Mapping[str, list[int]]]], list[list[float]]]:
        import torch

        model, tokenizer = self.local.load()
        order = self._order()

        def forward(inputs: list[Mapping[str, list[int]]]) -> list[list[float]]:
            batch = tokenizer.pad([dict(ids) for ids in inputs], return_tensors="pt").to(model.device)
            with torch.inference_mode():
                rows: list[list[float]] = model(**batch).logits.float().softmax(-1)[:, order].tolist()
            return rows

        return forward

    def _order(self) -> list[int]:
        """Outputs for not supported and supported: the official 0 and 1 unless the configuration has names.

        Raises:
            ModelError: there are not two.
            UnknownLabelsError: their names do not say what they mean.
        """
        names = self.local.output_names()
        if len(names) != 2:
            raise ModelError(f"consistency scorer 'minicheck' needs a head of two outputs, not {shown(names)}")
        if names == ("LABEL_0", "LABEL_1"):
            return [0, 1]
        advice = by_card("not_entailment", "entailment")
        supported = roles_of(names, model=self.local.spec().name, advice=advice).index("entailment")
        return [1 - supported, supported]

    def sentence_value(self, column: Sequence[tuple[float, ...]]) -> float:
        """The largest probability of support."""
        return max(row[1] for row in column)

    def claim_value(self, values: Sequence[float]) -> float:
        """The smallest."""
        return min(values)

    @property
    def model_name(self) -> str:
        """Of the card, directory or hub id."""
        return self.local.spec().name

    def identity(self) -> dict[str, str | int]:
        """Name, version, the model's identity, other sizes than the official ones, and outputs that say nothing."""
        sizes = {"chunk_size": self._chunk_size, "max_length": self._max_length}
        return {
            **super().identity(),
            **self.local.identity(),
            **{key: size for key, size in sizes.items() if size is not None},
            **({"outputs": "unknown"} if self.unusable() else {}),
        }
