"""Numbers in words: English ("two hundred and five", "a dozen", "third") and Chinese (三百五十, 1.5万).

What is read is a value, the index of the word behind it, whether it is an ordinal, and the unit that was glued to it,
which words never have.
"""

from __future__ import annotations

from fractions import Fraction

from halueval.answers.words import Words

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINAL_WORDS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
_UNITS = {word: value for value, word in enumerate(_SMALL.split()) if value < 10}
_TEENS = {word: value for value, word in enumerate(_SMALL.split()) if value >= 10}
_TENS = {word: 10 * value for value, word in enumerate(_TENS_WORDS.split(), 2)}
_ORDINALS = {word: value for value, word in enumerate(_ORDINAL_WORDS.split(), 1)} | {
    "thirtieth": 30,
    "fortieth": 40,
    "fiftieth": 50,
    "hundredth": 100,
    "thousandth": 1000,
}
SCALES = {
    "hundred": 100,
    "dozen": 12,
    "thousand": 1000,
    "million": 10**6,
    "mn": 10**6,
    "billion": 10**9,
    "bn": 10**9,
    "trillion": 10**12,
    "tn": 10**12,
    "百": 100,
    "千": 1000,
    "万": 10**4,
    "亿": 10**8,
}
CHINESE = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
CHINESE_TENS = {"十": 10, "百": 100, "千": 1000}
MAX_DIGITS = 30
"""Of a number, and numerals of a Chinese one."""


def spelt(words: Words, index: int) -> tuple[Fraction, int, bool, str] | None:
    """English number words: `total` counts finished thousands, `part` what is being read."""
    total, part, last, ordinal = 0, 0, index, False
    seen = smallest = 1000
    while last < len(words) and not ordinal and (last == index or _continues(words, last)):
        form = words.forms[last]
        size = _UNITS.get(form, _TEENS.get(form, _TENS.get(form)))
        rank = 1 if form in _UNITS else 10 if form in _TENS or form in _TEENS else 0
        if size is not None and rank < seen and not (seen == 10 and part % 100 in range(1, 20)):
            part, seen = part + size, rank
        elif form in SCALES and form.isascii() and (last > index or form == "dozen"):
            scale = SCALES[form]
            if scale in (100, 12):
                part, seen = (part or 1) * scale, 1000 if scale == 100 else 1
            elif scale < smallest or smallest == 1000:
                total, part, seen, smallest = total + (part or 1) * scale, 0, 1000, scale
            else:
                break
        elif form in _ORDINALS and (last == index or seen > 1):
            part, ordinal = part + _ORDINALS[form], True
        elif not (form == "and" and last > index and words.forms[last - 1] in SCALES and _goes_on(words, last + 1)):
            break
        last += 1
    if last == index or (last == index + 1 and words.forms[index] == "one" and words.forms[last : last + 1] == ("of",)):
        return None
    return Fraction(total + part), last, ordinal, ""


def _continues(words: Words, index: int) -> bool:
    """Whether word `index` may go on with a spelt number: "one thousand, eight hundred" too."""
    return words.attached(index) or (words.gaps[index].strip() == "," and words.forms[index - 1] in SCALES)


def _goes_on(words: Words, index: int) -> bool:
    form = words.forms[index] if index < len(words) else ""
    return form in _UNITS or form in _TEENS or form in _TENS


def chinese(words: Words, index: int) -> tuple[Fraction, int, bool, str] | None:
    """Chinese numerals: with units of ten, or digit by digit."""
    total = section = digit = 0
    last = index
    digits = ""
    while last < len(words) and (last == index or not words.gaps[last].strip()):
        form = words.forms[last]
        if form in CHINESE:
            digits += str(CHINESE[form])
            digit = CHINESE[form]
        elif form in CHINESE_TENS:
            section, digit = section + (digit or 1) * CHINESE_TENS[form], 0
        elif form in ("万", "亿"):
            total, section, digit = (total + section + digit) * SCALES[form], 0, 0
        else:
            break
        last += 1
    # 一九八四 is read digit by digit.
    value = int(digits) if len(digits) == last - index else total + section + digit
    return (Fraction(value), last, False, "") if last - index <= MAX_DIGITS else None
