"""A language model as judge: asked once for each claim, at temperature 0, for a verdict on the last line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, SentenceScore, Verdict
from halueval.consistency.endpoint import Endpoint
from halueval.consistency.local_model import LocalModel
from halueval.errors import ModelError, UsageError
from halueval.schema import FailedResponse, GenerationRequest, GenerationResponse, sha256_text
from halueval.sentences import sentences as split
from halueval.text import is_chinese

NO_VERDICT = "the judge's answer holds no verdict"
GROUP = 64
PROMPT_CUT = "the source exceeds the judge's window"

ENGLISH = """Decide whether a claim is factually consistent with a source.

Source:
<<SOURCE>>

<<QUESTION>>Claim:
<<CLAIM>>

The claim is consistent if the source states everything that it says or implies it. It is inconsistent if the source \
contradicts any part of it, or does not support some part. Judge by the source alone, whatever else you know.
Give your reasons in a few sentences. Then write one last line, which is exactly one of these two:
Verdict: consistent
Verdict: inconsistent"""

CHINESE = """请判断一个陈述在事实上是否与原文一致。

原文：
<<SOURCE>>

<<QUESTION>>陈述：
<<CLAIM>>

如果陈述的全部内容都由原文说明或可由原文推出，则为一致；只要有任何部分与原文矛盾，或得不到原文支持，则为不一致。只依据原文判断，不要使用其他知识。
先用几句话说明理由，然后另起一行写出结论。最后一行必须是以下两种之一：
结论：一致
结论：不一致"""

_VERDICT = re.compile(
    r"(?:verdict[:：]\s*(?P<english>consistent|inconsistent)|结论[:：]\s*(?P<chinese>一致|不一致))[.。]?",
    re.IGNORECASE,
)


def prompt(source: str, claim: str, question: str | None = None, language: str = "en") -> str:
    """What the judge is asked: in Chinese for Chinese texts, else in English."""
    chinese = is_chinese(language)
    asked = "" if not question else f"问题：\n{question}\n\n" if chinese else f"Question:\n{question}\n\n"
    slots = {"<<SOURCE>>": source, "<<QUESTION>>": asked, "<<CLAIM>>": claim}
    return re.sub("|".join(slots), lambda match: slots[match.group()], CHINESE if chinese else ENGLISH)


def parse(answer: str) -> float | None:
    """1 for consistent, 0 for inconsistent, None where the last line is no verdict.

    The last line that holds anything must be the verdict and nothing else, emphasis marks and a full stop aside: a
    word found anywhere would take "inconsistent", or the judge's doubts, for "consistent".
    """
    lines = [line.strip().strip("*_` ").strip() for line in answer.splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    found = _VERDICT.fullmatch(last)
    if found is None:
        return None
    return 1.0 if (found["english"] or found["chinese"]).lower() in ("consistent", "一致") else 0.0


@dataclass(frozen=True, slots=True)
class _Answer:
    value: float | None
    reason: str | None = None
    truncated: int = 0


class Judge(ConsistencyScorer):
    """1 where a language model says that the claim is consistent with the source, 0 where it says that it is not.

    The judge is a local model (its chat template is used where it has one) or a model behind an OpenAI-compatible
    endpoint. It should not be of the family under test: models favour their own kind. An answer without a verdict
    has no value and is counted in `parse_failures`; so is none made up for a prompt that exceeds a local model's
    window. How an endpoint cuts a prompt cannot be seen from here.

    Args:
        model: directory with safetensors, hub id or name of a model card; with `endpoint` the model's name there.
        endpoint: base address, `https://HOST/v1`.
        api_key_env: name of the environment variable that holds the endpoint's key.
        device: `auto`, `cpu`, `cuda`, `cuda:0` … or `mps`.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        batch_size: prompts of a pass; None for as many as memory holds.
        max_new_tokens: of an answer.
        timeout: seconds for one attempt at an endpoint.
        retries: further attempts there.
        concurrency: requests there at the same time.
        by_sentence: ask about each sentence of the claim; the value is the share judged consistent.
    """

    name = "judge"
    version = 2
    summary = "1 consistent, 0 inconsistent, by a language model with a fixed prompt; local or over the network"
    cost: Literal["rules", "model", "endpoint"] = "model"
    threshold = 0.5
    threshold_from = "the verdict is binary"
    group = GROUP

    def __init__(
        self,
        model: str | None = None,
        *,
        endpoint: str | None = None,
        api_key_env: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | None = None,
        max_new_tokens: int = 256,
        timeout: float = 60.0,
        retries: int = 4,
        concurrency: int = 4,
        by_sentence: bool = False,
    ) -> None:
        self.local = LocalModel(model, scorer=self.name, device=device, dtype=dtype)
        self._batch_size, self._tokens, self._concurrency = batch_size, max_new_tokens, concurrency
        self.by_sentence, self.parse_failures = by_sentence, 0
        self._backend: Any = None
        self._endpoint: Endpoint | None = None
        if endpoint is not None:
            if not model:
                raise UsageError("consistency scorer 'judge': `endpoint` needs `model`, the model's name there")
            self.cost = "endpoint"
            self._endpoint = Endpoint(endpoint, model, api_key_env=api_key_env, timeout=timeout, retries=retries)

    def verdicts(self, pairs: Sequence[Pair], advance: Advance) -> list[Verdict]:
        """Ask about each pair, or about each of its sentences, a group of pairs at a time."""
        out: list[Verdict] = []
        for start in range(0, len(pairs), GROUP):
            part = pairs[start : start + GROUP]
            texts = [tuple(split(p.claim, p.language)) if self.by_sentence else (p.claim,) for p in part]
            asked = [(p, text) for p, claim in zip(part, texts, strict=True) for text in claim]
            answers = iter(self._answers([prompt(p.source, text, p.question, p.language) for p, text in asked]))
            out += [self._verdict(claim, [next(answers) for _ in claim]) for claim in texts]
            advance(len(part))
        return out

    def _verdict(self, part: tuple[str, ...], answers: Sequence[_Answer]) -> Verdict:
        values = [answer.value for answer in answers if answer.value is not None]
        sentences = tuple(SentenceScore(t, a.value, a.reason) for t, a in zip(part, answers, strict=True))
        kept = sentences if self.by_sentence else ()
        truncated = max(answer.truncated for answer in answers)
        if len(values) < len(answers):
            return Verdict(None, next(a.reason for a in answers if a.value is None), kept, truncated)
        return Verdict(sum(values) / len(values), None, kept, truncated)

    def _answers(self, prompts: Sequence[str]) -> list[_Answer]:
        if self._endpoint is None:
            return self._local(prompts)
        ask = self._endpoint.ask
        with ThreadPoolExecutor(max(self._concurrency, 1)) as pool:
            said = list(pool.map(lambda text: ask(text, max_tokens=self._tokens), prompts))
        return [_Answer(None, s.reason) if isinstance(s, FailedResponse) else self._read(s) for s in said]

    def _read(self, text: str) -> _Answer:
        value = parse(text)
        if value is not None:
            return _Answer(value)
        self.parse_failures += 1
        return _Answer(None, NO_VERDICT)

    def _local(self, prompts: Sequence[str]) -> list[_Answer]:
        backend = self._load()
        requests = [GenerationRequest(text, (), self._tokens) for text in prompts]
        out: list[_Answer | None] = [None] * len(prompts)
        for batch in backend.plan(requests, backend.budget(tokens=None, batch_size=self._batch_size)):
            for i, response in zip(batch.indices, backend.run(batch).responses, strict=True):
                out[i] = self._response(response)
        return [answer for answer in out if answer is not None]

    def _response(self, response: GenerationResponse | FailedResponse) -> _Answer:
        if isinstance(response, FailedResponse):
            return _Answer(None, response.reason)
        if response.num_truncated:
            return _Answer(None, PROMPT_CUT, response.num_truncated)
        return self._read(response.text)

    def _load(self) -> Any:
        from halueval.backends.base import ChatSettings
        from halueval.backends.fingerprint import chat_template
        from halueval.backends.huggingface import HuggingFaceBackend

        if self._backend is None:
            located = self.local.located
            if located.architecture == "classifier":
                raise ModelError(
                    "consistency scorer 'judge' needs a model that writes; this one has a classification head"
                )
            chat = ChatSettings(apply=chat_template(located.directory) is not None)
            self._backend = HuggingFaceBackend(located, device=self.local.device, dtype=self.local.dtype, chat=chat)
        return self._backend

    @property
    def model_name(self) -> str:
        """Of the card, directory or hub id, or the name at the endpoint."""
        return self.local.spec().name if self._endpoint is None else self._endpoint.model

    def identity(self) -> dict[str, str | int]:
        """Name, version, prompts, limits, and the model: its digests, or its name and address."""
        out: dict[str, str | int] = {
            **super().identity(),
            "prompts_sha256": sha256_text(ENGLISH + CHINESE),
            "max_new_tokens": self._tokens,
            "by_sentence": int(self.by_sentence),
        }
        if self._endpoint is None:
            return {**out, **self.local.identity()}
        return {**out, "endpoint": self._endpoint.url, "model": self._endpoint.model}
