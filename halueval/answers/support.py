"""Whether an answer supports a reference: equal, a number, a date, an alias, or contained.

The rules are tried in this order, and the first that holds decides:

- `equal`: after normalisation, as exact match does;
- `number`: the same number with the same unit, conversions included; a reference that says "about" is met within
  5 %, one that gives a range by any number or range within it;
- `date`: at least as precise as the reference and agreeing in all that it states;
- `alias`: accents, hyphens, titles, initials, acronyms, plural, a small table of countries and the like, and the
  variants that a reference gives in parentheses or behind a slash;
- `yes or no`: the answer begins with the reference and does not hold the other;
- `contained`: the reference's words, number or date stand in an answer that is at most `max_extra` words longer,
  and none of the guards of `contain` refuses.

Texts longer than 2,000 characters are compared for equality only. The question is not read: an answer that repeats
the reference from it is taken for support, and a surname alone or a part of the reference is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from halueval.answers import dates, numbers
from halueval.answers.contain import places, refusal, says_much
from halueval.answers.names import common, same_name, untitled
from halueval.answers.words import MAX_CHARS, Words, split
from halueval.text import is_cjk, normalize_answer, squeeze

RULES_VERSION = 1
"""Raised whenever a decision could change; part of the identity of runs that grade by support."""

MAX_EXTRA_WORDS = 25
"""About one long sentence."""
MAX_EXTRA_CHARACTERS = 40
"""The same in CJK languages, whose words are characters."""
MAX_QUANTITIES = 50
"""An answer of more numbers than this names none in particular."""


@dataclass(frozen=True, slots=True)
class Support:
    """The decision about an answer.

    Attributes:
        supported: whether it supports one of the references.
        rule: that decided; `none` where no rule holds, else what spoke against the nearest ("denied", …).
        reference: which one it supports, None where none.
    """

    supported: bool
    rule: str
    reference: str | None = None


def support(answer: str, references: Sequence[str], language: str = "en", *, max_extra: int | None = None) -> Support:
    """Decide whether an answer supports any of the references.

    Args:
        answer: any text; it may be long and hostile.
        references: gold answers; empty ones support nothing.
        language: language tag of the task.
        max_extra: words that the answer may have beyond the reference; None for 25 (CJK: 40 characters).
    """
    given = [reference for reference in references if reference.strip()]
    if not answer.strip() or not given:
        return Support(False, "empty")
    normal, plain = normalize_answer(answer, language), squeeze(answer).lower()
    for reference in given:
        wanted = normalize_answer(reference, language)
        if (normal == wanted) if normal and wanted else plain == squeeze(reference).lower():
            return Support(True, "equal", reference)
    if len(answer) > MAX_CHARS:
        return Support(False, "too long")
    grader = _Grader(answer, language, max_extra)
    for rule, holds in grader.rules():
        for reference in given:
            if len(reference) <= MAX_CHARS and any(holds(v) for v in variants(reference)):
                return Support(True, rule, reference)
    return Support(False, grader.refused or "none")


_PARENTHESES = re.compile(r"[(（]([^()（）]{1,200})[)）]")


def variants(reference: str) -> list[str]:
    """A reference, and the forms that it gives itself: without parentheses, an acronym in them, sides of a slash."""
    out = [reference]
    bare = squeeze(_PARENTHESES.sub(" ", reference))
    if bare and bare != reference:
        out.append(bare)
        inside = [m.strip() for m in _PARENTHESES.findall(reference)]
        out += [m for m in inside if m.isupper() and same_name(split(m), split(bare), "en")]
    sides = [side.strip() for side in reference.split("/")]
    if len(sides) > 1 and all(len(side) >= 3 and not any(c.isdigit() for c in side) for side in sides):
        out += sides
    return out


class _Grader:
    """One answer, prepared once for all its references."""

    def __init__(self, answer: str, language: str, max_extra: int | None) -> None:
        self._language, self._cjk = language, is_cjk(language)
        self._extra = max_extra if max_extra is not None else MAX_EXTRA_CHARACTERS if self._cjk else MAX_EXTRA_WORDS
        self._words = split(answer, language)
        self._forms, self._origin = common(self._words, language)
        self._quantity, self._date = numbers.whole_quantity(self._words), dates.whole_date(self._words)
        self.refused: str | None = None

    def rules(self) -> list[tuple[str, Callable[[str], bool]]]:
        return [
            ("number", self._number),
            ("date", self._same_date),
            ("alias", lambda text: same_name(self._words, split(text, self._language), self._language)),
            ("yes or no", self._yes_or_no),
            ("contained", self._contained),
        ]

    def _number(self, text: str) -> bool:
        wanted = _number_wanted(split(text, self._language))
        return bool(wanted and self._quantity and numbers.agrees(self._quantity, wanted))

    def _same_date(self, text: str) -> bool:
        wanted = dates.whole_date(split(text, self._language))
        return bool(wanted and self._date and dates.agrees(self._date, wanted))

    def _yes_or_no(self, text: str) -> bool:
        wanted = split(text, self._language).forms
        if wanted not in {("yes",), ("no",)} or len(self._words) > self._extra:
            return False
        other = "no" if wanted == ("yes",) else "yes"
        return self._forms[:1] == wanted and other not in self._forms

    def _contained(self, text: str) -> bool:
        reference = split(text, self._language)
        if len(self._words) - len(reference) > self._extra:
            self.refused = self.refused or "too long"
            return False
        quantity, date = _number_wanted(reference), dates.whole_date(reference)
        if quantity or date:
            spans = self._numbers(quantity) if quantity else []
            return any(self._stands(*span) for span in (*spans, *(self._dates(date) if date else [])))
        wanted = untitled(common(reference, self._language)[0])
        if not wanted or not says_much(wanted, self._cjk):
            return False
        found = places(self._forms, wanted)
        return any(self._stands(self._origin[at], self._origin[at + len(wanted) - 1] + 1) for at in found)

    def _stands(self, first: int, last: int) -> bool:
        reason = refusal(self._words, first, last)
        self.refused = self.refused or reason
        return reason is None

    def _numbers(self, wanted: numbers.Quantity) -> list[tuple[int, int]]:
        found = numbers.quantities(self._words)
        if len(found) > MAX_QUANTITIES:
            return []
        right = [each for each in found if numbers.agrees(each, wanted)]
        if any(_same_thing(each, chosen) and not numbers.agrees(each, wanted) for each in found for chosen in right):
            self.refused = self.refused or "one of several candidates"
            return []
        return [(each.first, each.last) for each in right]

    def _dates(self, wanted: dates.Date) -> list[tuple[int, int]]:
        return [(each.first, each.last) for each in dates.dates(self._words) if dates.agrees(each, wanted)]


def _number_wanted(reference: Words) -> numbers.Quantity | None:
    """The number that a reference is; a span of years is none, or each year within would do."""
    date = dates.whole_date(reference)
    return None if date and date.end else numbers.whole_quantity(reference)


def _same_thing(one: numbers.Quantity, other: numbers.Quantity) -> bool:
    """Whether two numbers count the same: one unit, or one noun."""
    named = one.unit or one.noun
    return bool(named) and (one.unit, one.noun) == (other.unit, other.noun)
