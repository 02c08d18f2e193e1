"""The language model behind likelihood scorers: any causal or encoder-decoder model that halueval can run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from halueval.errors import ModelError
from halueval.registry import Registry
from halueval.schema import FailedResponse, LoglikelihoodRequest, Request, Response, canonical_json, sha256_text

if TYPE_CHECKING:
    from halueval.backends.base import Architecture
    from halueval.backends.huggingface import HuggingFaceBackend
    from halueval.backends.loading import LocatedModel
    from halueval.backends.texts import Texts

DEFAULT_MODEL = "smollm2-135m-instruct"
REMEMBERED = 100_000
"""Answers that are kept: likelihood scorers of one model ask many of the same questions."""


class LanguageModel:
    """A model that is loaded when the first request is made, and remembers what it was asked.

    Args:
        model: card, directory or hub id.
        device: as `--device`.
        dtype: as `--dtype`.
    """

    def __init__(self, model: str, device: str, dtype: str) -> None:
        self.model, self._device, self._dtype = model, device, dtype
        self._backend: HuggingFaceBackend | None = None
        self._known: dict[Request, Response] = {}

    def ask(self, requests: Sequence[Request], advance: Callable[[int], None] = lambda _: None) -> list[Response]:
        """Answers in order; equal requests are run once, and prefixes once for all.

        Args:
            requests: of any type that the model can run.
            advance: is told of requests as they are answered, those known already included.

        Raises:
            UsageError: unknown model, device or dtype.
            ModelError: the model cannot be loaded.
        """
        backend = self._backend or self._open()
        if len(self._known) > REMEMBERED:
            self._known.clear()
        new = list(dict.fromkeys(request for request in requests if request not in self._known))
        if len(new) < len(requests):
            advance(len(requests) - len(new))
        for batch in backend.plan(new, backend.budget(tokens=None, batch_size=None)):
            result = backend.run(batch, advance)
            self._known.update(zip(batch.requests, result.responses, strict=True))
        return [self._known[request] for request in requests]

    def spans(self, context: str, continuation: str) -> list[tuple[int, int]]:
        """Where the tokens of a continuation stand in it, as the model reads both as one text.

        Args:
            context: without white space at its end.
            continuation: what follows.

        Returns:
            First character and that behind the last of each token that ends in the continuation, in order; a token that
            spans the join begins before 0.

        Raises:
            ModelError: the model's tokenizer does not know.
        """
        tokenizer = (self._backend or self._open()).tokenizer
        if not tokenizer.is_fast:
            raise ModelError(f"model {self.model}: its tokenizer does not say where tokens stand in a text")
        whole = tokenizer(context + continuation, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        at = len(context)
        return [(first - at, last - at) for first, last in whole["offset_mapping"] if last > at]

    def in_chat(self, text: str) -> str | None:
        """A user's message in the model's chat template, up to where the answer begins; None where it has none.

        A BOS that the tokenizer puts before every text is left out.

        Raises:
            ModelError: the template cannot be applied.
        """
        if self.chat_template_sha256 is None:
            return None
        backend = self._backend or self._open()
        templated = self._chat.context(text)[0]
        return templated.removeprefix(backend.tokenizer.bos_token) if backend.texts.prefix else templated

    @cached_property
    def _chat(self) -> Texts:
        from halueval.backends.base import ChatSettings
        from halueval.backends.texts import Texts

        backend = self._backend or self._open()
        return Texts(
            backend.tokenizer,
            backend.model.config,
            decoder_start=None,
            architecture=backend.architecture,
            chat=ChatSettings(apply=True),
        )

    def fit(self, source: str, requests: Callable[[str], Sequence[LoglikelihoodRequest]]) -> tuple[str, int] | None:
        """As much of the beginning of a source as fits into all requests that are made with it.

        Args:
            source: the text.
            requests: what would be asked with a source.

        Returns:
            What fits, and how many tokens were cut from its end; None where there is no room for a token of it.

        Raises:
            UnscorableError: a request cannot be made with any source: its continuation alone exceeds the window.
        """
        texts = (self._backend or self._open()).texts
        ids = texts.encode(source)
        text, kept = source, len(ids)
        while over := max(self._excess(texts, request) for request in requests(text)):
            kept -= over
            text = texts.decode(ids[: max(kept, 0)]).rstrip("\ufffd")
            if not text.strip():
                return None
        return text, len(ids) - kept

    def _excess(self, texts: Texts, request: LoglikelihoodRequest) -> int:
        row = texts.source_and_target(request)[1] if self.architecture == "seq2seq" else texts.row(request)
        return row.num_truncated

    @property
    def architecture(self) -> Architecture:
        """Of the model, which is loaded for it."""
        return (self._backend or self._open()).architecture

    @cached_property
    def _located(self) -> LocatedModel:
        from halueval.backends.loading import locate

        return locate(Registry().model(self.model), adapter=None)

    @cached_property
    def chat_template_sha256(self) -> str | None:
        """Digest of the model's chat template; None where it has none."""
        from halueval.backends.fingerprint import chat_template

        template = chat_template(self._located.directory)
        return None if template is None else sha256_text(template)

    @property
    def dtype(self) -> str:
        """Precision of the weights, resolved: `auto` is another one on another machine."""
        from halueval.backends.devices import resolve_device, resolve_dtype

        return resolve_dtype(self._dtype, self._located.spec, resolve_device(self._device))

    def identity(self) -> dict[str, str]:
        """What determines its answers, for which nothing is loaded: digests of its files, and precision.

        Not the chat template: a scorer that asks in it adds `chat_template_sha256`.
        """
        known = self._located.identity(self.dtype)
        return {**known.digests(but="chat_template_sha256"), "dtype": known.dtype}

    @property
    def digest(self) -> str:
        """Of the digests of `identity` together, without the precision."""
        return sha256_text(canonical_json({key: value for key, value in self.identity().items() if key != "dtype"}))

    def _open(self) -> HuggingFaceBackend:
        from halueval.backends.devices import resolve_device
        from halueval.backends.huggingface import HuggingFaceBackend

        device = resolve_device(self._device)
        self._backend = HuggingFaceBackend(self._located, device=device, dtype=self.dtype)
        return self._backend


@lru_cache(maxsize=2)
def shared_model(model: str, device: str, dtype: str) -> LanguageModel:
    """One model for all scorers that ask the same one."""
    return LanguageModel(model, device, dtype)


def failure(responses: Sequence[Response]) -> str | None:
    """Why one of some responses failed, or None."""
    return next((response.reason for response in responses if isinstance(response, FailedResponse)), None)
