"""Texts as folded words with what stands between them: the common ground of the rules of support.

A word is a run of letters and digits; an apostrophe inside stays, a hyphen separates, "U.S." is one word and so
is "1,200". In CJK languages each CJK character is a word. Folding ignores case, compatibility forms (full width),
accents, apostrophes and a possessive s.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from halueval.text import is_cjk, is_english, segment

MAX_CHARS = 2000
"""Longer texts are compared for equality only: no short answer has so many characters."""

_WORD = re.compile(
    r"(?<![^\W_])(?:[^\W\d_]\.){1,10}[^\W\d_](?![^\W_])\.?"  # U.S., J.F.
    r"|\d+(?:[.,:]\d+)+"
    r"|[^\W_]+(?:['’][^\W_]+)*"
)
_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "’": "'", "ı": "i"}
)
_SHORT = {"saint": "st", "mount": "mt", "doctor": "dr", "mister": "mr", "fort": "ft", "versus": "vs"}
_SENTENCE_MARKS = frozenset("!?;。！？；\n")
_CLAUSE_MARKS = frozenset(",:()[]，、：（）—")
_ABBREVIATED = frozenset({"st", "mt", "dr", "mr", "mrs", "ms", "jr", "sr", "vs", "ft", "prof", "gen", "ca"})


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is compared, and as it was written."""

    form: str
    raw: str


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words and the texts around them.

    Attributes:
        items: n words.
        gaps: n + 1 texts; `gaps[i]` stands before word i, the last behind all.
        forms: the folded words alone.
    """

    items: tuple[Word, ...]
    gaps: tuple[str, ...]
    forms: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.items)

    def attached(self, index: int) -> bool:
        """Whether only spaces or hyphens, or nothing, stand between word `index` and the one before."""
        return 0 < index < len(self) and not self.gaps[index].strip(" -\u2010\u2011\t")

    def sentence_ends(self, index: int) -> bool:
        """Whether a sentence ends before word `index`."""
        if index <= 0 or index >= len(self):
            return True
        gap, last = self.gaps[index], self.items[index - 1]
        if _SENTENCE_MARKS & set(gap):
            return True
        return gap.startswith(".") and len(last.form) > 1 and last.form not in _ABBREVIATED

    def clause_ends(self, index: int) -> bool:
        """Whether a clause ends before word `index`."""
        return self.sentence_ends(index) or bool(_CLAUSE_MARKS & set(self.gaps[index])) or " - " in self.gaps[index]

    def sentence(self, index: int) -> range:
        """Indices of the words of the sentence that word `index` is in."""
        start, end = index, index + 1
        while not self.sentence_ends(start):
            start -= 1
        while not self.sentence_ends(end):
            end += 1
        return range(start, end)


def fold(word: str) -> str:
    """A word without case, accents, apostrophes and possessive s; never empty."""
    lowered = word.casefold().translate(_PLAIN_LETTERS)
    plain = "".join(c for c in unicodedata.normalize("NFKD", lowered) if not "\u0300" <= c <= "\u036f")
    plain = unicodedata.normalize("NFC", plain).removesuffix("'s").replace("'", "")
    if len(plain) > 1 and plain[0].isalpha():
        plain = plain.replace(".", "").replace(" ", "")
    return _SHORT.get(plain, plain) or word.casefold()


@lru_cache(maxsize=4096)
def split(text: str, language: str = "en") -> Words:
    """Split a text; articles are dropped in English, except where they may be names ("vitamin A", "A. Smith")."""
    folded = unicodedata.normalize("NFKC", text).replace("&", " and ")
    cjk = is_cjk(language)
    found: list[tuple[str, int]] = []
    for match in _WORD.finditer(folded):
        start = match.start()
        for piece in segment(match.group(), language) if cjk else [match.group()]:
            found.append((piece, start))
            start += len(piece)
    found = _joined_initials(found, folded)
    if is_english(language):
        found = [f for i, f in enumerate(found) if not _is_article(found, i, folded)]
    items = tuple(Word(fold(raw), raw) for raw, _ in found)
    edges = [0, *(start + len(raw) for raw, start in found)]
    starts = [*(start for _, start in found), len(folded)]
    gaps = tuple(_gap(folded[a:b]) for a, b in zip(edges, starts, strict=True))
    return Words(items, gaps, tuple(item.form for item in items))


def _joined_initials(found: list[tuple[str, int]], text: str) -> list[tuple[str, int]]:
    """Initials that follow each other as one word, so that "J. K." equals "J.K." as a word."""
    out: list[tuple[str, int]] = []
    single = False
    for raw, start in found:
        initial = len(raw) == 1 and raw.isupper()
        if initial and single and text[out[-1][1] + len(out[-1][0]) : start].strip() == ".":
            out[-1] = (text[out[-1][1] : start + 1], out[-1][1])
        else:
            out.append((raw, start))
        single = initial
    return out


def _is_article(found: list[tuple[str, int]], index: int, text: str) -> bool:
    raw, start = found[index]
    if raw.lower() not in {"a", "an", "the"} or index + 1 == len(found):
        return False
    if text[start + len(raw) : found[index + 1][1]].strip(" \t\n\"'“‘*"):
        return False
    return raw != "A" or index == 0 or bool(set(text[:start].rstrip()[-1:]) & set(".!?:\"'“‘*"))


def _gap(text: str) -> str:
    """A gap in which a dropped article stood is as if it had not been there."""
    return re.sub(r"\b(?:an?|the)\b", " ", text, flags=re.IGNORECASE)


def singular(form: str) -> str:
    """A plural's s taken off, roughly: "teams" and "team" become equal, and so do "cities" and "city"."""
    if len(form) > 4 and form.endswith("ies"):
        return form[:-3] + "y"
    if len(form) > 4 and form.endswith(("ches", "shes", "xes", "sses")):
        return form[:-2]
    return form[:-1] if len(form) > 3 and form.endswith("s") and not form.endswith(("ss", "us", "is")) else form
