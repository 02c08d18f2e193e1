r"""A rule-based finder of names, numbers and dates, and the test whether a text supports them.

It stands in for a named-entity tagger without a model to download; what it sees and what it misses:

- Numbers: digits with separators, decimals, magnitudes ("1.5 million", "£2bn", "3万") and per cent signs,
  English number words from two to ninety. Compared by value, so "1,200", "1200" and "1.2 thousand" are one.
- Dates: a month's name with a day or year beside it, ISO dates, Chinese 年月日. A date is supported by a
  date that agrees in every part that it states ("March 2015" by "21 March 2015").
- Names (scripts with capitals; not German, which capitalises all nouns): runs of capitalised words, with
  small words of names inside ("Bank of England"). The first word of a sentence is no evidence by itself:
  alone it counts only when it is an acronym or stands capitalised inside a sentence elsewhere, so a
  hallucinated one-word name that opens a sentence is missed rather than every opening word suspected.
  A name is supported where its words stand in the same order, side by side, in the text, case ignored.
- CJK languages: numbers, dates, titles in 《》, and words in Latin letters. Names of people and places in
  Chinese characters are not found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache

from halueval.text import is_cjk, is_english, primary_language, split_sentences

_MONTHS = "january february march april may june july august september october november december"
_MONTH = {m: i for i, name in enumerate(_MONTHS.split(), 1) for m in (name, name[:3])} | {"sept": 9}
_MONTH_PATTERN = "|".join(sorted(_MONTH, key=len, reverse=True))
_DATES = [
    re.compile(
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<month>{_MONTH_PATTERN})\b\.?(?:,? (?P<year>\d{{4}})\b)?",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?P<month>{_MONTH_PATTERN})\b\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!,?\d)(?:,? (?P<year>\d{{4}})\b)?",
        re.IGNORECASE,
    ),
    re.compile(rf"\b(?P<month>{_MONTH_PATTERN})\b\.?,? (?P<year>\d{{4}})\b(?P<day>)", re.IGNORECASE),
    re.compile(r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})\b"),
    re.compile(r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?"),
    re.compile(r"(?P<year>\d{4})年(?P<month>)(?P<day>)"),
]
_SCALES = {
    "hundred": 100,
    **dict.fromkeys(("thousand", "k", "千"), 1000),
    **dict.fromkeys(("million", "m", "mn"), 10**6),
    **dict.fromkeys(("billion", "bn"), 10**9),
    **dict.fromkeys(("trillion", "tn"), 10**12),
    "万": 10**4,
    "亿": 10**8,
}
_SCALE = r"(?:[ -]?(hundred|thousand|million|billion|trillion)|(bn|mn|tn|k|m)|([千万亿]))?(?![^\W\d_]*\d)"
_NUMBER = re.compile(
    rf"(?<![\w.,])(\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?){_SCALE}(?:st|nd|rd|th|s)?(?![a-zA-Z])", re.IGNORECASE
)
_CJK_NUMBER = re.compile(rf"(?<![0-9a-zA-Z.])(\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?){_SCALE}", re.IGNORECASE)
_SMALL = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_WORD_VALUES = {word: value for value, word in enumerate(_SMALL.split(), 2)} | {
    word: 10 * value for value, word in enumerate(_TENS.split(), 3)
}
_NUMBER_WORD = re.compile(rf"\b({'|'.join(sorted(_WORD_VALUES, key=len, reverse=True))})\b{_SCALE}", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_POSSESSIVE = re.compile(r"['’]s?$")
_WORD = re.compile(r"[^\W\d_](?:[\w'’&.-]*[^\W_])?")
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9'.+-]*")
_TITLE = re.compile(r"《([^》]{1,60})》")
_INSIDE = frozenset({"of", "the", "de", "la", "le", "du", "van", "von", "der", "den", "da", "di", "bin", "al"})
# Words that open sentences or are capitalised without naming anything.
_PLAIN_WORDS = (
    "i i'm i'll i've i'd a an the this that these those he she it they we you his her its their our my your who what "
    "when where why how which there here and but or nor so yet if as at by for from in into of on to with after "
    "before while since until although though because however meanwhile also then than not no yes is are was were be "
    "do does did has have had can could will would shall should may might must one all some any many most more each "
    "every both few other another such mr mrs ms dr sir"
)
_ARTICLE = re.compile(r"^(?:the|an?)\s+", re.IGNORECASE)
_PLAIN = frozenset(_PLAIN_WORDS.split())


@dataclass(frozen=True, slots=True)
class Entity:
    """Something a text states that another can support or not.

    `key` is what is compared: words of a name, the value of a number, (year, month, day) with 0 for a
    part that is not stated. `text` is how it was written, `start` where.
    """

    kind: str
    key: tuple[str, ...] | tuple[int, int, int] | Decimal
    text: str
    start: int


def find_entities(text: str, language: str = "en", context: str = "") -> tuple[Entity, ...]:
    """Distinct entities of a text, in the order in which they are found.

    Args:
        text: the text, e.g. a summary.
        language: language tag.
        context: another text (the source) that may show which opening words are names.
    """
    found = _dates(text)
    rest = _blank(text, found)
    numbers = _numbers(rest, language)
    found += numbers
    if is_cjk(language):
        found += [Entity("title", _key(m.group(1)), m.group(), m.start()) for m in _TITLE.finditer(rest)]
        found += [Entity("name", _key(m.group()), m.group(), m.start()) for m in _LATIN_WORD.finditer(rest)]
    elif primary_language(language) not in {"de", "deu", "ger"}:
        found += _names(_blank(rest, numbers), context, language)
    first: dict[object, Entity] = {}
    for entity in sorted(found, key=lambda e: e.start):
        first.setdefault((entity.kind, entity.key), entity)
    return tuple(first.values())


def named(kind: str, text: str, start: int) -> Entity | None:
    """What another finder found, to be compared word for word; None where it holds no word.

    Args:
        kind: anything but "number" and "date", which are compared by value.
        text: as it was written; an article before it and a possessive behind it do not count.
        start: where.
    """
    key = _key(_strip_possessive(_ARTICLE.sub("", text.strip())))
    return Entity(kind, key, text, start) if key else None


def _key(text: str) -> tuple[str, ...]:
    """Runs of letters and digits, lower-cased: "U.S.-led" and "US" still differ, "A-level" and "A level" do not."""
    return tuple(re.findall(r"[^\W_]+", text.lower()))


def _blank(text: str, found: list[Entity]) -> str:
    """The text with commas for what was found, so that it is not found again as something else."""
    for entity in found:
        text = text[: entity.start] + "," * len(entity.text) + text[entity.start + len(entity.text) :]
    return text


def _dates(text: str) -> list[Entity]:
    out: list[Entity] = []
    if not _DIGIT.search(text):
        return out
    taken: list[tuple[int, int]] = []
    for pattern in _DATES:
        for match in pattern.finditer(text):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            month = match["month"] or ""
            number = int(month) if month.isdigit() else _MONTH.get(month.lower(), 0)
            key = (int(match["year"] or 0), number, int(match["day"] or 0))
            if number <= 12 and key[2] <= 31:
                taken.append(match.span())
                out.append(Entity("date", key, match.group(), match.start()))
    return out


def _numbers(text: str, language: str) -> list[Entity]:
    pattern = _CJK_NUMBER if is_cjk(language) else _NUMBER
    out = []
    for match in pattern.finditer(text):
        value = Decimal(match.group(1).replace(",", "")) * _scale(match)
        out.append(Entity("number", value.normalize(), match.group(), match.start()))
    if is_english(language):
        for match in _NUMBER_WORD.finditer(text):
            number = Decimal(_WORD_VALUES[match.group(1).lower()]) * _scale(match)
            out.append(Entity("number", number.normalize(), match.group(), match.start()))
    return out


def _scale(match: re.Match[str]) -> int:
    unit = next((g for g in match.groups()[1:4] if g), "")
    return _SCALES.get(unit.lower(), 1)


def _is_capital(word: str) -> bool:
    return word[0].isupper() and word.lower().replace("’", "'") not in _PLAIN


def _strip_possessive(word: str) -> str:
    return _POSSESSIVE.sub("", word) if "'" in word or "’" in word else word


def _names(text: str, context: str, language: str) -> list[Entity]:
    out = []
    for run, start, opens in _runs(text, _sentence_starts(text, language)):
        acronym = len(run[0]) > 1 and run[0][:2].isupper()
        if opens and len(run) == 1 and not acronym:
            word = run[0].lower()
            if word not in _capitals_inside(context, language) and word not in _capitals_inside(text, language):
                continue
        written = " ".join(run)
        out.append(Entity("name", _key(written), written, start))
    return out


def _sentence_starts(text: str, language: str) -> set[int]:
    """Where the first word of each sentence begins."""
    starts, position = set(), 0
    for sentence in split_sentences(text, language):
        position = text.index(sentence, position)
        if first := _WORD.search(text, position):
            starts.add(first.start())
        position += len(sentence)
    return starts


def _runs(text: str, sentence_starts: set[int]) -> list[tuple[list[str], int, bool]]:
    """Runs of capitalised words: the words, where the run starts, and whether it opens a sentence."""
    out: list[tuple[list[str], int, bool]] = []
    run: list[str] = []
    small: list[str] = []  # lower-case words of a name, kept only when a capitalised one follows
    start = end = 0
    for match in _WORD.finditer(text):
        word = _strip_possessive(match.group())
        opens = match.start() in sentence_starts
        adjacent = bool(run) and not opens and text[end : match.start()].isspace()
        if not adjacent and run:
            out.append((run, start, start in sentence_starts))
            run = []
        if word and _is_capital(word):
            start = start if run else match.start()
            run, small, end = [*run, *(small if run else []), word], [], match.end()
            if match.group() != word:  # a possessive ends a name: in "Smith's Paris" are two
                end = -1
        elif run and word in _INSIDE and len(small) < 2:
            small, end = [*small, word], match.end()
        elif run:
            out.append((run, start, start in sentence_starts))
            run, small = [], []
    return [*out, (run, start, start in sentence_starts)] if run else out


@lru_cache(maxsize=64)
def _capitals_inside(text: str, language: str) -> frozenset[str]:
    """Words that stand capitalised elsewhere than at the start of a sentence, lower-cased.

    Remembered, since each sentence of a claim asks it of the same source.
    """
    out = set()
    for sentence in split_sentences(text, language):
        for written in _WORD.findall(sentence)[1:]:
            if written[0].isupper() and _is_capital(word := _strip_possessive(written)):
                out.add(word.lower())
    return frozenset(out)


class Support:
    """A text prepared for the question whether it supports entities; what is asked for first is found then, once."""

    def __init__(self, text: str, language: str = "en") -> None:
        """Look at nothing yet."""
        self._text, self._language = text, language
        # No spaces stand around words in CJK texts: "苹果iPhone手机" has the name "iPhone" too.
        self._space = "" if is_cjk(language) else " "

    @cached_property
    def _dates(self) -> list[tuple[object, ...]]:
        return [entity.key for entity in _dates(self._text) if isinstance(entity.key, tuple)]

    @cached_property
    def _numbers(self) -> set[object]:
        # A year or day of a date also supports the bare number.
        parts = {Decimal(part).normalize() for date in self._dates for part in date if isinstance(part, int)}
        return {entity.key for entity in _numbers(self._text, self._language)} | parts

    @cached_property
    def _words(self) -> str:
        return self._phrase(_key(self._text))

    def has(self, entity: Entity) -> bool:
        """Whether the text supports the entity."""
        if entity.kind == "date":
            stated = entity.key
            assert isinstance(stated, tuple)
            return any(all(a in (0, b) for a, b in zip(stated, date, strict=True)) for date in self._dates)
        if entity.kind == "number":
            return entity.key in self._numbers
        assert isinstance(entity.key, tuple)
        return self._phrase(entity.key) in self._words

    def _phrase(self, key: tuple[object, ...]) -> str:
        return self._space + self._space.join(str(word) for word in key) + self._space
