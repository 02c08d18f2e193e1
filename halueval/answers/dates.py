"""Dates in a text, and whether one agrees with another, whose precision decides.

Read are English dates in all usual orders, ISO dates, Chinese 年月日, years with or without BC, decades ("1960s"),
centuries and spans of years ("1939–1945", "2010–11"). Of an all-number date other than ISO's the reading is
ambiguous where day and month are both at most 12: it is left unread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from halueval.answers.words import Words

YEARS_ABOUT = 5
"""Years by which an answer may differ where the reference says "about" or "circa"."""

_NAMES = "january february march april may june july august september october november december"
_MONTHS = {m: i for i, name in enumerate(_NAMES.split(), 1) for m in (name, name[:3])} | {"sept": 9}
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun"
_DAYS = frozenset(_WEEKDAYS.split())
_YEAR = re.compile(r"\d{4}")
_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
_DECADE = re.compile(r"(\d{3}0)s|(\d{4})'s")
_CENTURY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)")
_CENTURY_WORDS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
_CENTURIES = _CENTURY_WORDS.split()
_ABOUT = frozenset({"about", "around", "circa", "c", "ca", "approximately", "roughly", "约"})
_LEADS = _ABOUT | _DAYS | {"in", "on", "the", "year", "ad", "since", "from", "between", "at", "during", "于", "在"}


@dataclass(frozen=True, slots=True)
class Date:
    """A date from word `first` to before word `last`.

    `low` and `high` are the years that it may be in (BC negative), None where no year is stated; month and day
    are 0 where not stated. `end` is the other end of a span.
    """

    first: int
    last: int
    low: int | None
    high: int | None
    month: int = 0
    day: int = 0
    about: bool = False
    end: Date | None = None


def agrees(answer: Date, reference: Date) -> bool:
    """Whether an answer's date is at least as precise as the reference's and says the same."""
    if (answer.end is None) != (reference.end is None):
        return False
    if answer.end and reference.end and not agrees(answer.end, reference.end):
        return False
    if reference.low is not None and reference.high is not None:
        slack = YEARS_ABOUT if reference.about else 0
        if answer.low is None or answer.high is None:
            return False
        if answer.low < reference.low - slack or answer.high > reference.high + slack:
            return False
    return reference.month in (0, answer.month) and reference.day in (0, answer.day)


def dates(words: Words) -> list[Date]:
    """All dates of a text, in order, none within another."""
    out: list[Date] = []
    index = 0
    while index < len(words):
        found = date_at(words, index)
        if found is not None:
            out.append(found)
        index = max(index + 1, found.last if found else 0)
    return out


def whole_date(words: Words) -> Date | None:
    """The date that a text is, apart from "in", "circa", a weekday and the like; None where it is something else."""
    lead = next((i for i in range(len(words)) if words.forms[i] not in _LEADS), len(words))
    found = date_at(words, lead)
    return found if found is not None and found.last == len(words) else None


def date_at(words: Words, index: int) -> Date | None:
    """The date that begins at word `index`, with the other end of its span."""
    found = _single(words, index)
    if found is None:
        return None
    before = words.forms[max(0, index - 2) : index]
    found = replace(found, about=bool(_ABOUT & set(before)))
    last = found.last
    if last >= len(words) or found.low is None:
        return found
    dashed = words.gaps[last].strip() in {"-", "–", "—", "~"}
    worded = words.forms[last] in {"to", "until", "till", "through", "至", "到"} or (
        words.forms[last] == "and" and "between" in before
    )
    if not dashed and not worded:
        return found
    start = last if dashed else last + 1
    other = _single(words, start)
    if other is None and dashed and found.low == found.high and re.fullmatch(r"\d\d", words.forms[start]):
        year = found.low - found.low % 100 + int(words.forms[start])
        other = Date(start, start + 1, year, year) if year > found.low else None
    if other is None or other.high is None or other.high < found.low:
        return found
    return replace(found, last=other.last, end=other)


def _single(words: Words, index: int) -> Date | None:
    if index >= len(words):
        return None
    for read in (_iso, _chinese, _month_first, _day_first, _century, _decade, _year):
        found = read(words, index)
        if found is not None:
            return found
    return None


def _form(words: Words, index: int) -> str:
    return words.forms[index] if 0 <= index < len(words) else ""


def _near(words: Words, index: int) -> bool:
    """Whether only spaces, a comma or a full stop stand before word `index`."""
    return index < len(words) and not words.gaps[index].strip(" ,.\t")


def _day(form: str) -> int:
    match = _DAY.fullmatch(form)
    return int(match.group(1)) if match and 1 <= int(match.group(1)) <= 31 else 0


def _year_at(words: Words, index: int) -> tuple[int, int] | None:
    """Year and the index behind it, with BC or AD."""
    form = _form(words, index)
    era = _form(words, index + 1)
    if era in {"bc", "bce", "ad", "ce"} and re.fullmatch(r"\d{1,4}", form) and words.attached(index + 1):
        return (-int(form) if era.startswith("b") else int(form)), index + 2
    if _YEAR.fullmatch(form) and 1000 <= int(form) < 2200:
        return int(form), index + 1
    return None


def _iso(words: Words, index: int) -> Date | None:
    parts = [_form(words, i) for i in range(index, index + 3)]
    marks = {words.gaps[i] for i in (index + 1, index + 2) if i < len(words)}
    if not all(part.isdecimal() for part in parts) or len(marks) != 1 or not marks <= {"-", "/"}:
        return None
    first, second, third = (int(part[:6]) for part in parts)
    if len(parts[0]) == 4 and 1 <= second <= 12 and 1 <= third <= 31:
        return Date(index, index + 3, first, first, second, third)
    if len(parts[2]) == 4 and max(first, second) > 12 and min(first, second) >= 1 and min(first, second) <= 12:
        return (
            Date(index, index + 3, third, third, min(first, second), max(first, second))
            if max(first, second) <= 31
            else None
        )
    return None


def _chinese(words: Words, index: int) -> Date | None:
    values: dict[str, int] = {}
    last = index
    for mark in ("年", "月", "日号"):
        form, unit = _form(words, last), _form(words, last + 1)
        if form.isdecimal() and len(form) <= 4 and unit and unit in mark:
            values[mark], last = int(form), last + 2
    year, month, day = (values.get(mark, 0) for mark in ("年", "月", "日号"))
    if not (year >= 100 or month) or month > 12 or day > 31:
        return None
    return Date(index, last, year or None, year or None, month, day)


def _month_first(words: Words, index: int) -> Date | None:
    month = _MONTHS.get(_form(words, index), 0)
    if not month:
        return None
    day = _day(_form(words, index + 1)) if _near(words, index + 1) else 0
    after = index + 1 + bool(day)
    if _form(words, after) == "of":
        after += 1
    year = _year_at(words, after) if _near(words, after) else None
    if not day and not year:
        return None
    last = year[1] if year else index + 1 + bool(day)
    value = year[0] if year else None
    return Date(index, last, value, value, month, day)


def _day_first(words: Words, index: int) -> Date | None:
    day = _day(_form(words, index))
    after = index + 1 + (_form(words, index + 1) == "of")
    month = _MONTHS.get(_form(words, after), 0) if day else 0
    if not month or not _near(words, after):
        return None
    year = _year_at(words, after + 1) if _near(words, after + 1) else None
    value = year[0] if year else None
    return Date(index, year[1] if year else after + 1, value, value, month, day)


def _century(words: Words, index: int) -> Date | None:
    form, last = _form(words, index), index + 1
    match = _CENTURY.fullmatch(form)
    number = int(match.group(1)) if match else _CENTURIES.index(form) + 1 if form in _CENTURIES else 0
    if not number or _form(words, last) != "century":
        return None
    last += 1
    if _form(words, last) in {"bc", "bce"}:
        return Date(index, last + 1, -100 * number, -100 * (number - 1) - 1)
    last += _form(words, last) in {"ad", "ce"}
    return Date(index, last, 100 * (number - 1), 100 * number)


def _decade(words: Words, index: int) -> Date | None:
    match = _DECADE.fullmatch(_form(words, index))
    if match is None:
        return None
    start = int(match.group(1) or match.group(2))
    return Date(index, index + 1, start, start + (99 if start % 100 == 0 else 9))


def _year(words: Words, index: int) -> Date | None:
    found = _year_at(words, index)
    return Date(index, found[1], found[0], found[0]) if found else None
