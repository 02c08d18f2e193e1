"""Class probabilities of a premise and a hypothesis under any sequence-classification model of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from halueval.consistency.labels import BY_OPTION, EXAMPLE, Role, UnknownLabelsError, roles_of, shown, split_labels
from halueval.consistency.local_model import Encoded, LocalModel, Scored, in_batches, no_room
from halueval.errors import ModelError
from halueval.schema import FailedResponse


class PairClassifier:
    """A model with a classification head over pairs of texts.

    Where a pair exceeds the window the premise is cut from its end, and never the hypothesis.

    Args:
        model: see `LocalModel`.
        scorer: name of the scorer, for errors.
        device: see `LocalModel`.
        dtype: see `LocalModel`.
        batch_size: pairs of a pass; None for as many as a budget of tokens holds.
        labels: what the outputs mean, in their order; None to read it from `id2label` of the configuration.
        max_length: tokens of a pair at most. Only a model without absolute positions (DeBERTa) can be given more
            than its configuration says.
        advice: what a user writes where neither `labels` nor the configuration says what the outputs mean.
    """

    def __init__(
        self,
        model: str | None,
        *,
        scorer: str,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int | None = None,
        labels: str | Sequence[str] | None = None,
        max_length: int | None = None,
        advice: str = BY_OPTION,
    ) -> None:
        self.local = LocalModel(model, scorer=scorer, device=device, dtype=dtype)
        self.labels, self.max_length, self._batch_size = split_labels(labels), max_length, batch_size
        self._model, self._name, self._advice = None, str(model), advice
        self.count = lru_cache(maxsize=65_536)(self._count)

    @property
    def model(self) -> Any:
        """The model, checked to have a classification head.

        Raises:
            ModelError: it has none, or cannot be loaded.
        """
        if self._model is None:
            _ = self.local.output_names()
            self._model = self.local.load()[0]
        return self._model

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self.local.load()[1]

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """What each output means: by `labels`, else by the names of `id2label`, which a model card may translate.

        Nothing is loaded for it.

        Raises:
            ModelError: there is no such head, or `labels` does not fit it.
            UnknownLabelsError: the configuration does not say.
        """
        names = self.local.output_names()
        if self.labels is None:
            return roles_of(names, model=self.local.spec().name, advice=self._advice)
        if len(self.labels) != len(names):
            raise ModelError(f"model {self._name}: has {len(names)} outputs, but `labels` names {len(self.labels)}")
        return roles_of(self.labels, model=self._name, given=True)

    def lacks(self, *needed: Role) -> str | None:
        """Why no pair can be given these probabilities: the reason, in a line; None where they all can.

        Raises:
            ModelError: see `roles`.
        """
        try:
            roles = self.roles
        except UnknownLabelsError as error:
            return str(error)
        missing = [role for role in needed if role not in roles]
        if not missing:
            return None
        return (
            f"model {self.local.spec().name}: its outputs are {shown(roles)}; needed is P({missing[0]}): take a model "
            f"whose outputs are those of `{EXAMPLE}`"
        )

    @cached_property
    def window(self) -> int:
        """Tokens of a pair at most."""
        from halueval.backends.base import ChatSettings
        from halueval.backends.texts import Texts

        config, chat = self.model.config, ChatSettings()
        texts = Texts(
            self.tokenizer, config, decoder_start=None, architecture="classifier", chat=chat, model=self.model
        )
        if self.max_length is None:
            return texts.window
        relative = getattr(config, "position_biased_input", True) is False
        return self.max_length if relative else min(self.max_length, texts.window)

    def _count(self, text: str) -> int:
        """Tokens of a text without special ones."""
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def room(self, hypothesis: str) -> int:
        """Tokens of a premise that fit beside a hypothesis; zero or less where none does."""
        special = int(self.tokenizer.num_special_tokens_to_add(pair=True))
        return self.window - special - int(self.count(hypothesis))

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> list[Scored | FailedResponse]:
        """Probabilities of the head's classes for each premise and hypothesis, in the order of `roles`.

        Equal pairs are run once.

        Returns:
            In order; `FailedResponse` where the hypothesis alone fills the window or memory ran out.
        """
        window = self.window
        distinct = list(dict.fromkeys(pairs))
        encoded = [self._encode(*pair, window) for pair in distinct]
        found = dict(
            zip(distinct, in_batches(encoded, self._forward, self.model.device, self._batch_size), strict=True)
        )
        return [found[pair] for pair in pairs]

    def _encode(self, premise: str, hypothesis: str, window: int) -> Encoded | FailedResponse:
        whole = self.tokenizer(premise, hypothesis, verbose=False)
        excess = len(whole["input_ids"]) - window
        if excess <= 0:
            return Encoded(dict(whole))
        if self.room(hypothesis) < 1:
            return FailedResponse(no_room(int(self.count(hypothesis)), window))
        return Encoded(dict(self.tokenizer(premise, hypothesis, truncation="only_first", max_length=window)), excess)

    def _forward(self, inputs: list[Mapping[str, list[int]]]) -> list[list[float]]:
        import torch

        batch = self.tokenizer.pad([dict(ids) for ids in inputs], return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            rows: list[list[float]] = self.model(**batch).logits.float().softmax(-1).tolist()
        return rows

    def identity(self) -> dict[str, str | int]:
        """What determines its probabilities; see `LocalModel.identity`."""
        out: dict[str, str | int] = dict(self.local.identity())
        if self.labels is not None:
            out["labels"] = ",".join(self.labels)
        if self.max_length is not None:
            out["max_length"] = self.max_length
        return out
