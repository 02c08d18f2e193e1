"""Numbers with units in a text, and whether one agrees with another.

Read are digits ("1,200", "1.5 million", "5bn", "12km"), English number words ("twenty-one", "two hundred and
five", "a dozen"), Chinese numerals (三百五十, 1.5万, 百分之十二), ordinals ("3rd", "third"), per cent, currencies,
and units of length, area, weight, volume and time, converted where the conversion is exact. An unknown word behind
a number is its noun ("12 teams").
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from halueval.answers.spelling import CHINESE, CHINESE_TENS, MAX_DIGITS, SCALES, chinese, spelt
from halueval.answers.units import ABOUT, BOUNDS, MEASURES, SIGNS, UNITS
from halueval.answers.words import Word, Words, singular

TOLERANCE = Fraction(1, 20)
"""Relative, where the reference says "about"; none elsewhere."""

_DIGITS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_GLUED = re.compile(r"(\d+)([a-z]{1,12}\d?)")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it was written, with its unit, from word `first` to before word `last`.

    `high` is the upper end of a range, else None; `loose` tells a range that a number within satisfies.
    `unit` is a known unit's dimension, `noun` the unknown words behind; at most one of them is not empty.
    """

    value: Fraction
    first: int
    last: int
    factor: Fraction = Fraction(1)
    unit: str = ""
    noun: tuple[str, ...] = ()
    ordinal: bool = False
    about: bool = False
    bound: str = ""
    high: Fraction | None = None
    loose: bool = False


def agrees(answer: Quantity, reference: Quantity) -> bool:
    """Whether a quantity of an answer says what the reference says, at least as precisely."""
    if answer.ordinal != reference.ordinal or not _same_unit(answer, reference):
        return False
    if answer.bound and answer.bound != reference.bound:
        return False
    ours, theirs = (answer.factor, reference.factor) if reference.unit else (Fraction(1), Fraction(1))
    low, high = answer.value * ours, (answer.value if answer.high is None else answer.high) * ours
    least = reference.value * theirs
    most = (reference.value if reference.high is None else reference.high) * theirs
    if reference.about:
        least, most = least - abs(least) * TOLERANCE, most + abs(most) * TOLERANCE
        return least <= low and high <= most
    if reference.high is not None and reference.loose:
        return least <= low and high <= most
    return (low, high) == (least, most)


def _same_unit(answer: Quantity, reference: Quantity) -> bool:
    if reference.unit:
        return answer.unit == reference.unit
    if reference.noun:
        return not answer.unit and (not answer.noun or answer.noun[-1] in reference.noun)
    return True


def quantities(words: Words) -> list[Quantity]:
    """All quantities of a text, in order, none within another."""
    out: list[Quantity] = []
    index = 0
    while index < len(words):
        found = quantity_at(words, index)
        if found is not None:
            out.append(found)
        index = max(index + 1, found.last - len(found.noun) if found else 0)
    return out


def whole_quantity(words: Words) -> Quantity | None:
    """The quantity that a text is, apart from "about" and the like; None where it is something else."""
    lead = next((i for i in range(len(words)) if words.forms[i] not in _LEADS), len(words))
    found = quantity_at(words, lead)
    if found is None or found.first > lead:
        return None
    if found.last == len(words):
        return found if all(w.raw.islower() or not w.raw.isascii() for w in _noun_words(words, found)) else None
    rest = words.items[found.last :]
    if found.unit or len(rest) + len(found.noun) > 3 or not all(word.raw.islower() for word in rest):
        return None
    if words.clause_ends(found.last):
        return None
    noun = (*found.noun, *(singular(word.form) for word in rest))
    return replace(found, noun=noun, last=len(words))


_LEADS = frozenset(w for phrase in (*ABOUT, *BOUNDS) for w in phrase) | {"between", "from", "in", "at", "for"}


def _noun_words(words: Words, found: Quantity) -> tuple[Word, ...]:
    return words.items[found.last - len(found.noun) : found.last]


def quantity_at(words: Words, index: int) -> Quantity | None:
    """The quantity that begins at word `index`, its range and unit included."""
    first = _single(words, index)
    if first is None:
        return None
    found = first
    joint = words.gaps[first.last].strip() if first.last < len(words) else ""
    joined = first.last < len(words) and words.forms[first.last] in {"to", "and", "到", "至"}
    between = index > 0 and words.forms[index - 1] in {"between", "from"}
    dashed = joint in {"-", "–", "—", "~"} and not first.noun
    if dashed or (joined and (between or words.forms[first.last] != "and")):
        second = _single(words, first.last + (0 if dashed else 1))
        if second and second.value > first.value and (not first.unit or first.unit == second.unit):
            named = bool(second.unit or second.noun)
            low = first.value * first.factor / second.factor if first.unit else first.value
            found = replace(second, value=low, first=first.first, high=second.value, loose=not dashed or named)
    return _qualified(words, found)


def _qualified(words: Words, found: Quantity) -> Quantity:
    before = words.forms[max(0, found.first - 3) : found.first]
    about = any(before[-len(p) :] == p for p in ABOUT) or words.gaps[found.first].rstrip().endswith(("~", "≈"))
    bound = next((kind for phrase, kind in BOUNDS.items() if before[-len(phrase) :] == phrase), "")
    return replace(found, about=about, bound=bound)


def _single(words: Words, index: int) -> Quantity | None:
    if index >= len(words):
        return None
    gap = words.gaps[index]
    sign = -1 if re.search(r"\s[-−]$" if index else r"(?:^|\s)[-−]$", gap) else 1
    currency = SIGNS.get(gap.strip()[-1:], "")
    percent = words.forms[index : index + 3] == ("百", "分", "之")
    read = _number(words, index + 3 * percent)
    if read is None:
        return None
    value, last, ordinal, glued = read
    base = Quantity(sign * value, index, last, ordinal=ordinal)
    sign_behind = words.gaps[last].lstrip()[:1]
    if percent or sign_behind in {"%", "‰"}:
        return replace(base, unit="‰" if sign_behind == "‰" else "%")
    if currency:
        named = UNITS.get((words.forms[last],)) if last < len(words) and words.attached(last) else None
        return replace(base, unit=currency, last=last + bool(named and named[0] == currency))
    if glued:
        unit, factor = UNITS[(glued,)]
        return replace(base, unit=unit, factor=factor)
    for size in (3, 2, 1):
        key = words.forms[last : last + size]
        if len(key) == size and key in UNITS and _together(words, last, size):
            unit, factor = UNITS[key]
            return replace(base, unit=unit, factor=factor, last=last + size)
    if last < len(words) and words.forms[last] in MEASURES and not words.gaps[last].strip():
        return replace(base, last=last + 1)
    if last < len(words) and words.attached(last) and _is_noun(words, last):
        return replace(base, noun=(singular(words.forms[last]),), last=last + 1)
    return base


def _together(words: Words, index: int, size: int) -> bool:
    """Whether the words of a unit follow the number and each other ("km/h")."""
    return not any(words.gaps[i].strip(" -/" if i > index else " -") for i in range(index, index + size))


_NO_NOUN_WORDS = (
    "of in on at to and or is are was were be by for from with that which who as but than the there has "
    "have had when while after before since until it he she they so not if per bc ad bce ce"
)
_NO_NOUN = frozenset(_NO_NOUN_WORDS.split())


def _is_noun(words: Words, index: int) -> bool:
    return words.forms[index].isalpha() and words.forms[index].isascii() and words.forms[index] not in _NO_NOUN


def _number(words: Words, index: int) -> tuple[Fraction, int, bool, str] | None:
    """Value, index behind, whether an ordinal, and a unit that was glued to the digits."""
    if index >= len(words):
        return None
    form = words.forms[index]
    if len(form) > MAX_DIGITS:
        return None
    if _DIGITS.fullmatch(form):
        value, last = Fraction(form.replace(",", "")), index + 1
        while last < len(words) and words.forms[last] in SCALES and not words.gaps[last].strip(" -"):
            value, last = value * SCALES[words.forms[last]], last + 1
        return value, last, False, ""
    if glued := _GLUED.fullmatch(form):
        value, suffix = Fraction(glued.group(1)), glued.group(2)
        if suffix in {"st", "nd", "rd", "th"}:
            return value, index + 1, True, ""
        scale = {"k": 1000, "bn": 10**9, "mn": 10**6, "b": 10**9}.get(suffix)
        money = words.gaps[index].strip()[-1:] in SIGNS
        if scale or (money and suffix == "m"):
            return value * (scale or 10**6), index + 1, False, ""
        return (value, index + 1, False, suffix) if (suffix,) in UNITS else None
    if form in CHINESE or form in CHINESE_TENS:
        return chinese(words, index)
    return spelt(words, index)
