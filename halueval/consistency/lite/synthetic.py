"""Consistent and inconsistent claims made from documents by rule, as FactCC does (Kryściński et al. 2020).

A consistent claim is one to three sentences of the document or of its right summary, whole or shortened. An
inconsistent one is such a claim with one error: a name, number, date or pronoun exchanged, a negation put in or taken
out, a word exchanged, the end of another sentence, a detail or a whole sentence of another document. Both kinds get
the same noise. No person's judgement is used anywhere.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from halueval.consistency.base import Pair
from halueval.scorers.entities import Entity, find_entities
from halueval.text import split_sentences

_AUXILIARY = re.compile(r"\b(is|was|are|were|will|can|has|have|had|would|could|should|did|does|may|must)\b(?! not)")
_NEGATED = re.compile(r"\b(is|was|are|were|will|can|has|have|had|would|could|should|did|does|may|must) not\b")
_SWAPS = {"he": "she", "she": "he", "his": "her", "her": "his", "him": "her", "they": "he", "their": "his"}
_PRONOUN = re.compile(rf"\b({'|'.join(_SWAPS)})\b", re.IGNORECASE)
_ASIDE = re.compile(r"\s*\([^)]*\)|,[^,]{3,60},")
_OPENING = re.compile(r"^[^,]{3,50}, (?=\w)")
_DETAIL = re.compile(r"\b(?:in|at|on|for|after|with|from|during|because of|near) (?:the )?[\w'-]+(?: [\w'-]+){0,4}")
_WORD = re.compile(r"\b[a-z]{5,}\b")
_JOIN = re.compile(r"\b(?:and|but|after|before|because|when|while|to|in|at|on|for|with|that|who|which)\b")
_MARK = re.compile(r"([.,!?;:()\"])(?=[\s\"]|$)")
CONSISTENT = "none"
NOISE = 0.15
"""Share of claims in which a word is dropped or doubled, which is no error of fact."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document, and a summary of it that is right, where there is one."""

    text: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A pair, whether its claim is consistent, and by what it was made inconsistent."""

    pair: Pair
    consistent: bool
    error: str


def make_examples(documents: Sequence[Document], *, per_document: int, seed: int) -> list[Example]:
    """Examples, as many consistent as inconsistent ones.

    Args:
        documents: at least two.
        per_document: claims made of each; half of them get an error where one can be made.
        seed: of all choices.
    """
    rng = random.Random(seed)  # noqa: S311  # choices, not secrets
    out = []
    for i, document in enumerate(documents):
        other = documents[(i + 1 + rng.randrange(len(documents) - 1)) % len(documents)]
        for _ in range(per_document):
            claim = _claim(document, rng)
            if claim is None:
                continue
            made = _with_error(claim, document, other, rng)
            if made is None:
                continue
            wrong, error = made
            dress = rng.choice((str, str.lower, tokenised, lambda text: tokenised(text.lower())))
            for text, name in ((claim, CONSISTENT), (wrong, error)):
                pair = Pair(dress(document.text), dress(_noisy(text, rng)))
                out.append(Example(pair, name == CONSISTENT, name))
    return out


def _claim(document: Document, rng: random.Random) -> str | None:
    summarised = document.summary and rng.random() < 0.85
    sentences = [s for s in split_sentences(document.summary if summarised else document.text) if len(s.split()) > 4]
    if not sentences:
        return None
    count = rng.choices((1, 2, 3), (6, 3, 1))[0]
    start = rng.randrange(max(len(sentences) - count, 0) + 1)
    chosen = sentences[start : start + count]
    return " ".join(_shortened(sentence, rng) for sentence in chosen).strip() or None


def _shortened(sentence: str, rng: random.Random) -> str:
    if rng.random() < 0.4:
        sentence = _ASIDE.sub("", sentence, count=1)
    if rng.random() < 0.3:
        cut = _OPENING.sub("", sentence)
        sentence = cut[:1].upper() + cut[1:]
    parts = sentence.split(", ")
    if len(parts) > 2 and rng.random() < 0.3:
        sentence = ", ".join(parts[:-1]).rstrip(".") + "."
    return sentence


def _noisy(claim: str, rng: random.Random) -> str:
    words = claim.split()
    if len(words) > 5 and rng.random() < NOISE:
        at = rng.randrange(1, len(words) - 1)
        if rng.random() < 0.5:
            words.insert(at, words[at])
        elif words[at].islower():
            del words[at]
    return " ".join(words)


def tokenised(text: str) -> str:
    """With white space around marks, as many corpora are stored."""
    return _MARK.sub(r" \1 ", text)


Change = Callable[[str, Document, Document, random.Random], str | None]


def _with_error(claim: str, document: Document, other: Document, rng: random.Random) -> tuple[str, str] | None:
    """The claim with an error, and the error's name; None where none could be made."""
    names = list(ERRORS)
    while names:
        name = rng.choices(names, [ERRORS[n][1] for n in names])[0]
        names.remove(name)
        wrong = ERRORS[name][0](claim, document, other, rng)
        if wrong and wrong.strip() and wrong != claim:
            return wrong, name
    return None


def _entities(text: str, kinds: Sequence[str], context: str = "") -> list[Entity]:
    return [entity for entity in find_entities(text, context=context) if entity.kind in kinds]


def _exchange(kinds: Sequence[str], abroad: float) -> Change:
    """Exchange an entity for another of its kind, from the same document or, with a probability, from another."""

    def change(claim: str, document: Document, other: Document, rng: random.Random) -> str | None:
        mine = _entities(claim, kinds, document.text)
        source = other.text if rng.random() < abroad else document.text
        keys = {entity.key for entity in mine}
        words = claim.lower()
        rest = [e for e in _entities(source, kinds) if e.key not in keys and e.text.lower() not in words]
        if not mine or not rest:
            return None
        out = rng.choice(mine)
        return claim[: out.start] + rng.choice(rest).text + claim[out.start + len(out.text) :]

    return change


def _pronoun(claim: str, _document: Document, _other: Document, rng: random.Random) -> str | None:
    found = list(_PRONOUN.finditer(claim))
    if not found:
        return None
    match = rng.choice(found)
    new = _SWAPS[match.group().lower()]
    new = new.capitalize() if match.group()[0].isupper() else new
    return claim[: match.start()] + new + claim[match.end() :]


def _negation(claim: str, _document: Document, _other: Document, rng: random.Random) -> str | None:
    if _NEGATED.search(claim):
        return _NEGATED.sub(r"\1", claim, count=1)
    found = list(_AUXILIARY.finditer(claim))
    if not found:
        return None
    match = rng.choice(found)
    return f"{claim[: match.end()]} not{claim[match.end() :]}"


def _word(claim: str, document: Document, other: Document, rng: random.Random) -> str | None:
    """Exchange a content word for one with the same ending."""
    found = list(_WORD.finditer(claim))
    if not found:
        return None
    match = rng.choice(found)
    source = (document if rng.random() < 0.4 else other).text
    ending = match.group()[-2:]
    rest = sorted({w for w in _WORD.findall(source) if w[-2:] == ending and w not in claim})
    return claim[: match.start()] + rng.choice(rest) + claim[match.end() :] if rest else None


def _other_end(claim: str, document: Document, other: Document, rng: random.Random) -> str | None:
    """Let a sentence end as another one does: words that the source has, in a relation that it has not."""
    joins = [m for m in _JOIN.finditer(claim) if 10 < m.start() < len(claim) - 5]
    source = (document if rng.random() < 0.6 else other).text
    ends = [s[m.start() :] for s in split_sentences(source) for m in _JOIN.finditer(s) if m.start() > 10]
    ends = [end for end in ends if end[:-1] not in claim and 3 <= len(end.split()) <= 15]
    return claim[: rng.choice(joins).start()] + rng.choice(ends) if joins and ends else None


def _detail(claim: str, _document: Document, other: Document, rng: random.Random) -> str | None:
    """Add a detail of another document."""
    found = _DETAIL.findall(other.text)
    return f"{claim.rstrip('. ')} {rng.choice(found)}." if found else None


def _other_sentence(claim: str, document: Document, other: Document, rng: random.Random) -> str | None:
    """A sentence of another document about a name of this one."""
    made = _claim(other, rng)
    names = _entities(document.text, ("name",))
    mine = _entities(made, ("name",), other.text) if made else []
    if made and names and mine:
        out = mine[0]
        made = made[: out.start] + rng.choice(names).text + made[out.start + len(out.text) :]
    return made


ERRORS: dict[str, tuple[Change, int]] = {
    "name": (_exchange(("name",), 0.3), 4),
    "number": (_exchange(("number",), 0.3), 2),
    "date": (_exchange(("date",), 0.3), 1),
    "pronoun": (_pronoun, 1),
    "negation": (_negation, 2),
    "word": (_word, 3),
    "other_end": (_other_end, 3),
    "detail": (_detail, 2),
    "other_sentence": (_other_sentence, 2),
}
"""How to make each error, and how often it is tried first."""
