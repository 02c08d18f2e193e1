"""From requests to token ids: what a tokenizer, a chat template and a model's window make of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from halueval.backends.base import Architecture, ChatSettings
from halueval.engine.encoding import Row, UnscorableError, encode_pair, pair_row, prompt_row, rolling_rows
from halueval.errors import ModelError
from halueval.schema import (
    ClassificationRequest,
    FailedResponse,
    GenerationRequest,
    LoglikelihoodRequest,
    Request,
    RollingRequest,
)

UNBOUNDED = 1_000_000
"""Tokenizers that know no limit say so with a number beyond this."""
DEFAULT_WINDOW = 2048


class Texts:
    """A model's tokenizer with its special tokens, template and window.

    Args:
        tokenizer: of transformers.
        config: the model's configuration.
        decoder_start: id that an encoder-decoder's decoder starts from.
        architecture: of the model.
        chat: whether and how prompts are wrapped in the chat template.
        input_prefix: text before every source of an encoder-decoder.
        model: of transformers, which knows how many of its positions a text can have; None counts all of them.

    Attributes:
        window: tokens that the model can be fed at once.
        prefix: special tokens that this tokenizer itself puts before a text (BOS, or nothing).
        pad: id of the padding token.
    """

    def __init__(
        self,
        tokenizer: Any,
        config: Any,
        *,
        decoder_start: int | None,
        architecture: Architecture,
        chat: ChatSettings,
        input_prefix: str = "",
        model: Any = None,
    ) -> None:
        self.tokenizer, self.chat, self.architecture = tokenizer, chat, architecture
        self.input_prefix, self._decoder_start = input_prefix, decoder_start
        self.window = _window(config, tokenizer, model)
        self.prefix = _prefix(tokenizer)
        self._numbers: dict[int, int] = {}
        # Masked everywhere, so that any id in the vocabulary serves.
        ids = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)
        self.pad = next((int(token) for token in ids if token is not None), 0)

    @property
    def bare_prefix(self) -> int:
        """The token before a text that has none: BOS, else end of text (lm-evaluation-harness)."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise ModelError("the tokenizer has neither a BOS nor an EOS token to stand before a text")

    @property
    def decoder_start(self) -> int:
        """Id that the decoder of an encoder-decoder starts from."""
        if self._decoder_start is None:
            raise ModelError("the model's configuration names no decoder_start_token_id")
        return self._decoder_start

    def encode(self, text: str) -> list[int]:
        """Ids without special tokens.

        Equal ids are one object: thousands of rows repeat the same prompts, and each number of them would otherwise
        take four times the memory of its place in the row.
        """
        shared = self._numbers.setdefault
        return [shared(token, token) for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]]

    def decode(self, ids: Sequence[int]) -> str:
        """Text without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def context(self, context: str) -> tuple[str, list[int]]:
        """The text of a context as the model sees it, and the special tokens that go before it.

        A chat template usually writes BOS itself; then the tokenizer's must not come on top.
        """
        if not self.chat.apply:
            return context, self.prefix
        messages = [{"role": "user", "content": context}]
        if self.chat.system_instruction:
            messages.insert(0, {"role": "system", "content": self.chat.system_instruction})
        try:
            text = str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        except (ValueError, TypeError) as error:
            raise ModelError(f"the chat template cannot be applied: {error}") from error
        bos = self.tokenizer.bos_token
        return text, [] if bos and text.startswith(bos) else self.prefix

    def _leading(self, ids: Sequence[int], prefix: Sequence[int]) -> int:
        """Special tokens at the front that stay when a context is cut: the tokenizer's, or BOS from a chat template."""
        return len(prefix) or int(self.chat.apply and ids[:1] == [self.tokenizer.bos_token_id])

    def row(self, request: LoglikelihoodRequest) -> Row:
        """A continuation given its context, for a decoder."""
        context, prefix = self.context(request.context)
        head, tail = encode_pair(
            self.encode, context, request.continuation, prefix=prefix, bare_prefix=self.bare_prefix
        )
        return pair_row(head, tail, window=self.window, num_prefix=self._leading(head, prefix))

    def prompt(self, request: GenerationRequest) -> Row:
        """A prompt to generate from; for an encoder-decoder its source."""
        context, prefix = self.context(request.context)
        if self.architecture == "seq2seq":
            return prompt_row(*self.source(context))
        ids = [*prefix, *self.encode(context)] or [self.bare_prefix]
        room = self.window - request.max_new_tokens
        if room < 1:
            raise UnscorableError(
                f"an answer of up to {request.max_new_tokens} tokens leaves no room for a prompt in the model's window "
                f"of {self.window}; lower max_gen_toks"
            )
        excess = max(len(ids) - room, 0)
        if excess:
            kept = min(self._leading(ids, prefix), room - 1)
            ids = [*ids[:kept], *ids[kept + excess :]]
        return prompt_row(ids, excess)

    def source(self, context: str) -> tuple[list[int], int]:
        """Encoder input with the tokenizer's own special tokens, cut behind the input prefix; and how much was cut.

        What stays is the end of the text, where the question stands.
        """
        ids = list(self.tokenizer(self.input_prefix + context, add_special_tokens=True)["input_ids"])
        excess = max(len(ids) - self.window, 0)
        if excess:
            lead = int(ids[0] == self.tokenizer.bos_token_id)
            kept = min(lead + len(self.encode(self.input_prefix)), self.window - 1)
            ids = [*ids[:kept], *ids[kept + excess :]]
        return ids, excess

    def source_and_target(self, request: LoglikelihoodRequest) -> tuple[list[int], Row]:
        """Encoder ids and the decoder row, framed with the special tokens that training used.

        A leading BOS (BART writes one) is fed but not scored; the closing EOS is scored: an answer is
        whole only with its end.

        Raises:
            UnscorableError: nothing to score, or more than the window holds.
        """
        context, _ = self.context(request.context)
        source, cut = self.source(context)
        text = request.continuation.strip()
        if not text:
            raise UnscorableError("empty continuation")
        target = list(self.tokenizer(text_target=text, add_special_tokens=True)["input_ids"])
        lead = 1 if target[0] == self.tokenizer.bos_token_id else 0
        if len(target) > self.window:
            raise UnscorableError(f"target of {len(target)} tokens exceeds the model's window of {self.window}")
        return source, Row((self.decoder_start, *target), len(target) - lead, cut)

    def windows(self, request: RollingRequest) -> list[Row]:
        """Disjoint windows over a text."""
        if self.architecture != "causal":
            raise ModelError("rolling log-likelihood needs a causal model")
        return rolling_rows(self.encode(request.text), prefix=self.bare_prefix, window=self.window)

    def classified(self, request: ClassificationRequest) -> tuple[dict[str, list[int]], int]:
        """Encoded text or pair; the first text is cut from the right where both exceed the window."""
        pair = request.text_pair
        full = len(self.tokenizer(request.text, pair)["input_ids"])
        encoded = self.tokenizer(
            request.text,
            pair,
            truncation="longest_first" if pair is None or full > 2 * self.window else "only_first",
            max_length=self.window,
        )
        return dict(encoded), max(full - self.window, 0)


def attempt(make: Callable[[Any], Any], request: Request) -> Any:
    """What `make` gives, or why this one request cannot be run."""
    try:
        return make(request)
    except UnscorableError as error:
        return FailedResponse(str(error))


def _window(config: Any, tokenizer: Any, model: Any) -> int:
    for name in ("n_positions", "max_position_embeddings", "n_ctx", "max_sequence_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value - _unusable(model, value)
    limit = int(getattr(tokenizer, "model_max_length", 0) or 0)
    return limit if 0 < limit < UNBOUNDED else DEFAULT_WINDOW


def _unusable(model: Any, size: int) -> int:
    """Rows at the front of a model's table of so many positions that no token can have.

    RoBERTa and its kin (XLM-R, CamemBERT, MPNet, Longformer) count positions from padding_idx + 1, the row of padding.
    """
    for name, part in () if model is None else model.named_modules():
        padding = getattr(part, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None and part.num_embeddings == size:
            return int(padding) + 1
    return 0


def _prefix(tokenizer: Any) -> list[int]:
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    special = tokenizer("a", add_special_tokens=True)["input_ids"]
    bos = tokenizer.bos_token_id
    if bos is not None and special[:1] == [bos] and plain[:1] != [bos]:
        return [bos]
    return []
