"""Models of Hugging Face transformers: causal, encoder-decoder, and encoders with a classification head."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from halueval.backends.base import Advance, Architecture, Batch, BatchResult, ChatSettings, ignore
from halueval.backends.classifier import Classifier
from halueval.backends.encoder_decoder import EncoderDecoder
from halueval.backends.loading import LocatedModel, adapter_changes_logits, load
from halueval.backends.padded import Padded
from halueval.backends.texts import Texts
from halueval.backends.trees import Trees
from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget
from halueval.engine.memory import cache_bytes_per_token, default_budget, peak_memory_bytes
from halueval.engine.products import pack_products
from halueval.engine.selfcheck import check_trees
from halueval.engine.utilisation import matmul_rate
from halueval.errors import ModelError
from halueval.schema import FailedResponse, Request
from halueval.source import cache_dir

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("halueval")

PROBES = ("The capital of France is Paris, and that of Italy is Rome.", "It was not true, or was it?")


class HuggingFaceBackend:
    """A transformers model behind the backend protocol.

    Args:
        located: files of the model.
        device: resolved device, e.g. `cpu` or `cuda:0`.
        dtype: resolved dtype name.
        chat: whether and how prompts are wrapped in the chat template.
        trust_remote_code: run code that comes with the model.
    """

    def __init__(
        self,
        located: LocatedModel,
        *,
        device: str,
        dtype: str,
        chat: ChatSettings | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.warnings: list[str] = []
        self.architecture: Architecture = located.architecture
        self.device = device
        chat = chat or ChatSettings()
        model, tokenizer = load(located, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        # transformers types neither call nor attributes of a concrete model more closely than this.
        self.model: Any = model
        self.tokenizer: Any = tokenizer
        self.num_parameters: int | None = int(model.num_parameters())
        if chat.apply and not getattr(tokenizer, "chat_template", None):
            raise ModelError(f"model {located.spec.name}: has no chat template; leave out --apply-chat-template")
        self.texts = Texts(
            tokenizer,
            self.model.config,
            decoder_start=_decoder_start(self.model),
            architecture=self.architecture,
            chat=chat,
            input_prefix=located.spec.input_prefix,
            model=self.model,
        )
        if located.adapter is not None:
            self.check_adapter(self.model, str(located.adapter))
        self.packed_layers = pack_products(self.model)
        self.family = self._family()

    @property
    def window(self) -> int:
        """Tokens that the model can be fed at once."""
        return self.texts.window

    def _family(self) -> Trees | Padded | EncoderDecoder | Classifier:
        """How requests of this model are planned and run; for a decoder, found out by a probe."""
        if self.architecture == "classifier":
            return Classifier(self.model, self.texts)
        if self.architecture == "seq2seq":
            return EncoderDecoder(self.model, self.texts)
        kinds = check_trees(self.model, self.window, [self.texts.encode(text) for text in PROBES])
        if not isinstance(kinds, str):
            if kinds.remark:
                self.warnings.append(kinds.remark)
                logger.warning(self.warnings[-1])
            return Trees(self.model, self.texts, kinds)
        self.warnings.append(f"prefixes are not shared, batches are by length instead: {kinds}")
        logger.warning(self.warnings[-1])
        return Padded(self.model, self.texts)

    def check_adapter(self, adapted: Any, name: str) -> None:
        """Warn where an adapter changes nothing; `adapted` is the model with the adapter on it."""
        ids = self.tokenizer("The capital of France is Paris.", return_tensors="pt")["input_ids"]
        if self.architecture == "classifier" or adapter_changes_logits(adapted, cast("torch.Tensor", ids)):
            return
        self.warnings.append(
            f"adapter {name} changes no logit: the results are the base model's (was it trained, and for these "
            "module names?)"
        )
        logger.warning(self.warnings[-1])

    def budget(self, *, tokens: int | None, batch_size: int | None) -> Budget:
        """Limits of one forward pass; None means from the device's memory and the model's size."""
        config = self.model.config.get_text_config()
        element = next(self.model.parameters()).element_size()
        return default_budget(
            self.model.device,
            parameter_bytes=(self.num_parameters or 0) * element,
            cache_bytes_per_token=cache_bytes_per_token(config, element),
            vocab_size=int(config.vocab_size),
        ).limited(tokens, batch_size)

    def plan(self, requests: Sequence[Request], budget: Budget) -> list[Batch]:
        """Batches by shared prefixes where the model can, else by length, longest first."""
        return self.family.plan(requests, budget)

    def run(self, batch: Batch, advance: Advance = ignore) -> BatchResult:
        """Run one batch; where memory runs out, in halves."""
        accounting = Accounting()
        responses = self.family.run(batch, accounting, advance)
        accounting.requests += len(batch.requests)
        accounting.tokens_requested += batch.tokens
        accounting.prompts_truncated += sum(
            1 for r in responses if not isinstance(r, FailedResponse) and r.num_truncated
        )
        return BatchResult(responses, accounting)

    def matmul_rate(self) -> float | None:
        """Floating-point operations a second of a large matrix product in the weights' dtype, measured once."""
        cache = cache_dir() / "matmul-rates.json"
        return matmul_rate(self.model.device, self.model.dtype, cache, packed=self.packed_layers > 0)

    def peak_memory_bytes(self) -> int:
        """Largest memory used so far, on the model's device."""
        return peak_memory_bytes(self.model.device)


def _decoder_start(model: Any) -> int | None:
    for owner in (getattr(model, "generation_config", None), model.config):
        token = getattr(owner, "decoder_start_token_id", None)
        if token is not None:
            return int(token)
    return None
