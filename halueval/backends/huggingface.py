"""Models of Hugging Face transformers: causal, encoder-decoder, and encoders with a classification head."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from halueval.backends.base import Architecture, BatchResult, ChatSettings
from halueval.backends.loading import LocatedModel, adapter_changes_logits, load
from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget, Cost, plan_batches
from halueval.engine.encoding import Row, UnscorableError, encode_pair, pair_row, rolling_rows
from halueval.engine.generation import Prompt, generate_batch
from halueval.engine.loglikelihood import TokenScores, score_decoder_rows, score_encoder_decoder_rows
from halueval.engine.memory import default_budget, peak_memory_bytes, run_halving
from halueval.engine.trie import plan_trees, score_tree, sharing_problem
from halueval.errors import ModelError
from halueval.schema import (
    ClassificationRequest,
    ClassificationResponse,
    FailedResponse,
    GenerationRequest,
    LoglikelihoodRequest,
    LoglikelihoodResponse,
    Request,
    Response,
    RollingRequest,
)

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("halueval")

UNBOUNDED = 1_000_000
"""Tokenizers that know no limit say so with a number beyond this."""

DEFAULT_WINDOW = 2048


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
        self.chat = chat or ChatSettings()
        model, tokenizer = load(located, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        # transformers types neither call nor attributes of a concrete model more closely than this.
        self.model: Any = model
        self.tokenizer: Any = tokenizer
        self.num_parameters: int | None = int(model.num_parameters())
        self.window = self._window()
        self.input_prefix = located.spec.input_prefix
        if self.chat.apply and not getattr(tokenizer, "chat_template", None):
            raise ModelError(f"model {located.spec.name}: has no chat template; leave out --apply-chat-template")
        if self.architecture == "seq2seq":
            self.tokenizer.truncation_side = "left"  # keeps the end of the source, where the question stands
        self._sharing: bool | None = None
        self.prefix = self._prefix()
        self.pad = self._pad()
        if located.adapter is not None:
            self._check_adapter(str(located.adapter))

    # --- what the tokenizer and the configuration say -------------------------------------------------

    def _window(self) -> int:
        """Tokens that the model can be fed at once."""
        config = self.model.config
        for name in ("n_positions", "max_position_embeddings", "n_ctx", "max_sequence_length"):
            value = getattr(config, name, None)
            if isinstance(value, int) and value > 0:
                # RoBERTa counts positions from padding_idx + 1, so two of them can never be used.
                return value - 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else value
        limit = int(getattr(self.tokenizer, "model_max_length", 0) or 0)
        return limit if 0 < limit < UNBOUNDED else DEFAULT_WINDOW

    def _prefix(self) -> list[int]:
        """Special tokens that this tokenizer itself puts before a text (BOS, or nothing)."""
        plain = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        special = self.tokenizer("a", add_special_tokens=True)["input_ids"]
        bos = self.tokenizer.bos_token_id
        if bos is not None and special[:1] == [bos] and plain[:1] != [bos]:
            return [bos]
        return []

    def _pad(self) -> int:
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, self.tokenizer.bos_token_id):
            if token is not None:
                return int(token)
        return 0  # masked everywhere, so that any id in the vocabulary serves

    @property
    def bare_prefix(self) -> int:
        """The token before a text that has none: BOS, else end of text (lm-evaluation-harness)."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise ModelError("the tokenizer has neither a BOS nor an EOS token to stand before a text")

    def _check_adapter(self, name: str) -> None:
        ids = self.tokenizer("The capital of France is Paris.", return_tensors="pt")["input_ids"]
        if self.architecture == "classifier" or adapter_changes_logits(self.model, cast("torch.Tensor", ids)):
            return
        self.warnings.append(
            f"adapter {name} changes no logit: the results are the base model's (was it trained, and for these "
            "module names?)"
        )
        logger.warning(self.warnings[-1])

    # --- the protocol ---------------------------------------------------------------------------------

    def budget(self, *, tokens: int | None, batch_size: int | None) -> Budget:
        """Limits of one forward pass; None means from the device's memory and the model's size."""
        config = self.model.config.get_text_config()
        layers = int(getattr(config, "num_hidden_layers", 12))
        width = int(getattr(config, "hidden_size", 768))
        element = next(self.model.parameters()).element_size()
        auto = default_budget(
            self.model.device,
            parameter_bytes=(self.num_parameters or 0) * element,
            cache_bytes_per_token=2 * layers * width * element,
            vocab_size=int(config.vocab_size),
        )
        if batch_size is not None and tokens is None:
            return Budget(tokens=2**62, scored=auto.scored, batch_size=batch_size)
        return Budget(tokens=tokens or auto.tokens, scored=auto.scored, batch_size=batch_size)

    def plan(self, requests: Sequence[Request], budget: Budget) -> list[list[int]]:
        """Batches by shared prefixes where the model can, else by length, longest first."""
        if self._shares(requests):
            rows = [_attempt(self._row, request) for request in requests]
            good = [i for i, row in enumerate(rows) if isinstance(row, Row)]
            failed = [i for i, row in enumerate(rows) if not isinstance(row, Row)]
            batches = [[good[j] for j in batch] for batch in plan_trees([rows[i] for i in good], budget)]
            return [*batches, failed] if failed else batches
        return plan_batches([self._cost(request) for request in requests], budget)

    def _shares(self, requests: Sequence[Request]) -> bool:
        """Whether these requests are run as trees of shared prefixes."""
        return (
            self.architecture == "causal" and isinstance(requests[0], LoglikelihoodRequest) and self.shares_prefixes()
        )

    def shares_prefixes(self) -> bool:
        """Whether the model takes a tree, found out once by comparing a probe with the plain path."""
        if self._sharing is None:
            reason = sharing_problem(self.model, self.window, self._probe())
            self._sharing = reason is None
            if reason:
                self.warnings.append(f"prefixes are not shared, batches are by length instead: {reason}")
                logger.warning(self.warnings[-1])
        return self._sharing

    def _probe(self) -> list[Row]:
        """Rows that share some, much and nothing."""
        texts = [("The capital of France is", " Paris"), ("The capital of France is", " not Rome"), ("It was", " true")]
        return [self._row(LoglikelihoodRequest(*pair)) for pair in texts]

    def _cost(self, request: Request) -> Cost:
        if isinstance(request, ClassificationRequest):
            return Cost(len(self._classifier_ids(request)[0]["input_ids"]), 1)
        if isinstance(request, GenerationRequest):
            return Cost(len(self._prompt(request).ids) + request.max_new_tokens, 1)
        try:
            if isinstance(request, RollingRequest):
                rows = self._rolling_rows(request)
                return Cost(sum(len(r.ids) for r in rows), sum(r.num_scored for r in rows))
            if self.architecture == "seq2seq":
                source, target = self._source_and_target(request)
                return Cost(len(source) + len(target.ids), target.num_scored)
            row = self._row(request)
        except UnscorableError:
            return Cost(0, 0)
        return Cost(len(row.ids), row.num_scored)

    def run(self, requests: Sequence[Request]) -> BatchResult:
        """Run one batch of requests of one type; out-of-memory halves it and goes on."""
        accounting = Accounting()
        runners: dict[type[Any], Callable[..., list[Response]]] = {
            LoglikelihoodRequest: self._loglikelihood,
            RollingRequest: self._rolling,
            GenerationRequest: self._generate,
            ClassificationRequest: self._classify,
        }
        run = partial(runners[type(requests[0])], accounting=accounting)
        responses: list[Response] = list(run_halving(run, requests, self.model.device))
        accounting.requests += len(requests)
        accounting.tokens_requested += sum(self._cost(request).tokens for request in requests)
        accounting.prompts_truncated += sum(
            1 for r in responses if not isinstance(r, FailedResponse) and r.num_truncated
        )
        return BatchResult(responses, accounting)

    def peak_memory_bytes(self) -> int:
        """Largest memory used so far, on the model's device."""
        return peak_memory_bytes(self.model.device)

    # --- prompts to tokens ----------------------------------------------------------------------------

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _context(self, context: str) -> tuple[str, list[int]]:
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

    def _row(self, request: LoglikelihoodRequest) -> Row:
        context, prefix = self._context(request.context)
        head, tail = encode_pair(
            self._encode, context, request.continuation, prefix=prefix, bare_prefix=self.bare_prefix
        )
        return pair_row(head, tail, window=self.window, num_prefix=len(prefix))

    def _prompt(self, request: GenerationRequest) -> Prompt:
        context, prefix = self._context(request.context)
        if self.architecture == "seq2seq":
            ids, cut = self._source_ids(context)
            return Prompt(tuple(ids), cut)
        ids = [*prefix, *self._encode(context)] or [self.bare_prefix]
        room = max(self.window - request.max_new_tokens, 1)
        excess = max(len(ids) - room, 0)
        if excess:
            kept = min(len(prefix), room - 1)
            ids = [*ids[:kept], *ids[kept + excess :]]
        return Prompt(tuple(ids), excess)

    def _source_ids(self, context: str) -> tuple[list[int], int]:
        """Encoder input with the tokenizer's own special tokens; cut from the left of the text."""
        text = self.input_prefix + context
        full = len(self.tokenizer(text, add_special_tokens=True)["input_ids"])
        ids = self.tokenizer(text, add_special_tokens=True, truncation=True, max_length=self.window)["input_ids"]
        return list(ids), full - len(ids)

    def _source_and_target(self, request: LoglikelihoodRequest) -> tuple[list[int], Row]:
        """Encoder ids and the decoder row, framed with the special tokens that training used.

        A leading BOS (BART writes one) is fed but not scored; the closing EOS is scored: an answer is
        whole only with its end.
        """
        context, _ = self._context(request.context)
        source, cut = self._source_ids(context)
        text = request.continuation.strip()
        if not text:
            raise UnscorableError("empty continuation")
        target = list(self.tokenizer(text_target=text, add_special_tokens=True)["input_ids"])
        lead = 1 if target[0] == self.tokenizer.bos_token_id else 0
        if len(target) > self.window:
            raise UnscorableError(f"target of {len(target)} tokens exceeds the model's window of {self.window}")
        return source, Row((self._decoder_start(), *target), len(target) - lead, cut)

    def _rolling_rows(self, request: RollingRequest) -> list[Row]:
        if self.architecture != "causal":
            raise ModelError("rolling log-likelihood needs a causal model")
        return rolling_rows(self._encode(request.text), prefix=self.bare_prefix, window=self.window)

    # --- one batch of each type -----------------------------------------------------------------------

    def _loglikelihood(self, requests: Sequence[LoglikelihoodRequest], *, accounting: Accounting) -> list[Response]:
        if self.architecture == "seq2seq":
            return self._conditional(requests, accounting=accounting)
        rows = [_attempt(self._row, request) for request in requests]
        good = [row for row in rows if isinstance(row, Row)]
        scores = iter(self._score_rows(good, accounting) if good else ())
        return [
            row
            if isinstance(row, FailedResponse)
            else _loglikelihood_response(next(scores), row.num_scored, row.num_truncated)
            for row in rows
        ]

    def _score_rows(self, rows: Sequence[Row], accounting: Accounting) -> list[TokenScores]:
        if self.shares_prefixes():
            return score_tree(self.model, rows, accounting=accounting)
        return score_decoder_rows(self.model, rows, pad=self.pad, accounting=accounting)

    def _conditional(self, requests: Sequence[LoglikelihoodRequest], *, accounting: Accounting) -> list[Response]:
        pairs = [_attempt(self._source_and_target, request) for request in requests]
        good = [pair for pair in pairs if not isinstance(pair, FailedResponse)]
        scores = iter(
            score_encoder_decoder_rows(
                self.model,
                [source for source, _ in good],
                [target for _, target in good],
                pad=self.pad,
                accounting=accounting,
            )
            if good
            else ()
        )
        return [
            pair
            if isinstance(pair, FailedResponse)
            else _loglikelihood_response(next(scores), pair[1].num_scored, pair[1].num_truncated)
            for pair in pairs
        ]

    def _decoder_start(self) -> int:
        for owner in (self.model.generation_config, self.model.config):
            token = getattr(owner, "decoder_start_token_id", None)
            if token is not None:
                return int(token)
        raise ModelError("the model's configuration names no decoder_start_token_id")

    def _rolling(self, requests: Sequence[RollingRequest], *, accounting: Accounting) -> list[Response]:
        """Windows of all texts together, packed by length; each text's are added up."""
        windows = [_attempt(self._rolling_rows, request) for request in requests]
        flat = [(i, row) for i, rows in enumerate(windows) if not isinstance(rows, FailedResponse) for row in rows]
        sums: list[list[float]] = [[] for _ in requests]
        greedy = [True] * len(requests)
        costs = [Cost(len(row.ids), row.num_scored) for _, row in flat]
        for batch in plan_batches(costs, self.budget(tokens=None, batch_size=None)):
            rows = [flat[j][1] for j in batch]
            scored = score_decoder_rows(self.model, rows, pad=self.pad, accounting=accounting)
            for j, score in zip(batch, scored, strict=True):
                sums[flat[j][0]].extend(score.logprobs)
                greedy[flat[j][0]] &= score.is_greedy
        return [
            rows
            if isinstance(rows, FailedResponse)
            else LoglikelihoodResponse(math.fsum(values), len(values), is_greedy)
            for rows, values, is_greedy in zip(windows, sums, greedy, strict=True)
        ]

    def _generate(self, requests: Sequence[GenerationRequest], *, accounting: Accounting) -> list[Response]:
        return list(
            generate_batch(
                self.model,
                requests,
                [self._prompt(request) for request in requests],
                pad=self.pad,
                decode=self._decode,
                accounting=accounting,
            )
        )

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def _classifier_ids(self, request: ClassificationRequest) -> tuple[dict[str, list[int]], int]:
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

    def _classify(self, requests: Sequence[ClassificationRequest], *, accounting: Accounting) -> list[Response]:
        import torch

        encoded = [self._classifier_ids(request) for request in requests]
        batch = self.tokenizer.pad([ids for ids, _ in encoded], return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            logprobs = self.model(**batch).logits.float().log_softmax(-1).tolist()
        real = sum(len(ids["input_ids"]) for ids, _ in encoded)
        accounting.forward_passes += 1
        accounting.tokens_computed += real
        accounting.tokens_padding += int(batch["input_ids"].numel()) - real
        names = self.model.config.id2label
        return [
            ClassificationResponse({str(names[i]): value for i, value in enumerate(row)}, len(ids["input_ids"]), cut)
            for row, (ids, cut) in zip(logprobs, encoded, strict=True)
        ]


def _attempt(make: Callable[[Any], Any], request: Request) -> Any:
    """What `make` gives, or why this one request cannot be run."""
    try:
        return make(request)
    except UnscorableError as error:
        return FailedResponse(str(error))


def _loglikelihood_response(score: Any, num_tokens: int, num_truncated: int) -> LoglikelihoodResponse:
    return LoglikelihoodResponse(math.fsum(score.logprobs), num_tokens, score.is_greedy, num_truncated)
