"""The facts that a text states: its clauses, split by rule, or what a language model lists.

The rule splits sentences at semicolons, and at "and", "but", "while", "whereas" and "although" where a clause with a
subject of its own follows, or a verb, to which the subject is repeated ("She was born in Rome and was raised in Paris"
gives two). It knows verbs by a list of auxiliaries and by the ending -ed. Chinese is split at semicolons and commas,
and other languages at semicolons. That is coarser than what people or a large model call atomic: a clause may hold
several facts, pronouns stay, and figures of the two ways do not compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from halueval.consistency.base import Advance
from halueval.schema import GenerationRequest, GenerationResponse
from halueval.sentences import sentences
from halueval.text import is_cjk, is_english

if TYPE_CHECKING:
    from halueval.backends.base import Backend
    from halueval.backends.loading import LocatedModel

RULES_VERSION = 2
"""Raised whenever the rule would split otherwise."""

_JOINTS = frozenset({"and", "but", "while", "whereas", "although"})
_AUXILIARIES = frozenset(
    {"is", "are", "was", "were", "has", "had", "have", "did", "does", "do", "will", "would", "can"}
    | {"could", "may", "might", "must", "should", "became", "won", "wrote", "went", "made", "took", "began", "left"}
)
_OPENERS = frozenset(
    {"he", "she", "it", "they", "we", "i", "you", "this", "that", "these", "those", "the", "his"}
    | {"her", "its", "their", "there", "a", "an"}
)
_REACH = 8
"""Words within which a clause must show its verb."""
_CJK_CUT = re.compile(r"[；;，]")
_SHORTEST_CJK = 4


def split_facts(text: str, language: str = "en") -> list[str]:
    """The clauses of a text, in order; a sentence that cannot be split is one."""
    out: list[str] = []
    for sentence in sentences(text, language):
        if is_cjk(language):
            out += _cjk(sentence)
            continue
        for part in re.split(r";\s", sentence):
            if part.strip():
                out += _clauses(part.split()) if is_english(language) else [part.strip()]
    return out


def _cjk(sentence: str) -> list[str]:
    """Parts between commas; one of less than four characters stays with the part before."""
    out: list[str] = []
    for part in (p.strip() for p in _CJK_CUT.split(sentence)):
        if out and len(part) < _SHORTEST_CJK:
            out[-1] += f"，{part}" if part else ""
        elif part:
            out.append(part)
    return out


def _clauses(words: list[str]) -> list[str]:
    out: list[str] = []
    current: list[str] = []
    for i, word in enumerate(words):
        if word.lower() in _JOINTS and (subject := _goes_on(current, words[i + 1 : i + 1 + _REACH])) is not None:
            out.append(" ".join(current).rstrip(","))
            current = list(subject)
        else:
            current.append(word)
    return [*out, " ".join(current)]


def _goes_on(before: Sequence[str], after: Sequence[str]) -> Sequence[str] | None:
    """What the clause after a joint lacks: its subject, or nothing; None where no clause follows."""
    verb = next((i for i, word in enumerate(before) if _is_verb(word)), 0)
    if not verb or len(after) < 2:
        return None
    if _is_verb(after[0]):
        return before[:verb] if verb <= _REACH else None
    opens = after[0].lower() in _OPENERS or after[0][0].isupper()
    return [] if opens and any(_is_verb(word) for word in after[1:]) else None


def _is_verb(word: str) -> bool:
    plain = word.strip(",.:;\"'()").lower()
    return plain in _AUXILIARIES or (plain.endswith("ed") and len(plain) > 4 and word[0].islower())


PROMPT = """List the separate facts that a sentence states. Write each fact as a short sentence of its own that names \
what it is about, one on a line, each line beginning with "- ". Write nothing else.

Sentence: Built in 1889 by Gustave Eiffel's company, the tower is 330 metres high.
- The tower was built in 1889.
- The tower was built by Gustave Eiffel's company.
- The tower is 330 metres high.

Sentence: {sentence}
"""


def parse_facts(answer: str) -> list[str] | None:
    """The facts of a model's answer, or None where it is anything but a list of lines that begin with "- "."""
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    if not lines or not all(line.startswith("- ") and line[2:].strip() for line in lines):
        return None
    return [line[2:].strip() for line in lines]


class FactsModel:
    """A local instruct model that lists facts, loaded when first asked.

    Args:
        model: name of a card, directory or hub id; its chat template is used where it has one.
        device: as `--device`.
        dtype: as `--dtype`.
        max_new_tokens: of an answer; one that is cut off counts as failed.
    """

    def __init__(self, model: str, device: str = "auto", dtype: str = "auto", max_new_tokens: int = 256) -> None:
        self.model, self._device, self._dtype, self._tokens = model, device, dtype, max_new_tokens
        self._backend: Backend | None = None
        self._located: LocatedModel | None = None

    def ask(self, sentences: Sequence[str], advance: Advance = lambda _: None) -> list[list[str] | None]:
        """The facts of each sentence; None where the answer was no list, was cut off, or could not be had.

        Args:
            sentences: in any number; equal ones are asked once.
            advance: is told of distinct sentences as their batch is answered.

        Raises:
            UsageError: unknown model, device or dtype.
            ModelError: the model cannot be loaded, or generates no text.
        """
        distinct = list(dict.fromkeys(sentences))
        if not distinct:
            return []
        backend = self._backend or self._open()
        requests = [GenerationRequest(PROMPT.format(sentence=s), ("\n\n",), self._tokens) for s in distinct]
        found: dict[str, list[str] | None] = {}
        for batch in backend.plan(requests, backend.budget(tokens=None, batch_size=None)):
            for i, response in zip(batch.indices, backend.run(batch).responses, strict=True):
                if isinstance(response, GenerationResponse) and response.finish_reason != "length":
                    found[distinct[i]] = parse_facts(response.text)
                else:
                    found[distinct[i]] = None
            advance(len(batch.indices))
        return [found[sentence] for sentence in sentences]

    @property
    def located(self) -> LocatedModel:
        """The model's files and their digest.

        Raises:
            ModelError, SourceError, UsageError: they cannot be had.
        """
        from halueval.backends.loading import locate
        from halueval.registry import Registry

        if self._located is None:
            self._located = locate(Registry().model(self.model), adapter=None)
        return self._located

    @property
    def dtype(self) -> str:
        """Precision of the weights, resolved."""
        from halueval.backends.devices import resolve_device, resolve_dtype

        return resolve_dtype(self._dtype, self.located.spec, resolve_device(self._device))

    def _open(self) -> Backend:
        from halueval.backends.base import ChatSettings
        from halueval.backends.devices import resolve_device
        from halueval.backends.huggingface import HuggingFaceBackend
        from halueval.errors import ModelError

        located = self.located
        if located.architecture == "classifier":
            raise ModelError(f"model {self.model}: is a classifier; facts_model must generate text")
        device = resolve_device(self._device)
        dtype = self.dtype
        chat = ChatSettings(apply=located.identity(dtype).chat_template_sha256 is not None)
        self._backend = HuggingFaceBackend(located, device=device, dtype=dtype, chat=chat)
        return self._backend
