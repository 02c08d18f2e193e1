"""Names that are spelt differently: a small table, titles, initials, acronyms and plurals."""

from __future__ import annotations

import re
from collections.abc import Iterator

from halueval.answers.words import Words, singular, split
from halueval.text import is_cjk

_TABLE = (
    "USA|United States of America|United States|US|America|美国|美利坚合众国",
    "UK|United Kingdom|United Kingdom of Great Britain and Northern Ireland|Great Britain|Britain|英国",
    "USSR|Soviet Union|Union of Soviet Socialist Republics|苏联",
    "UAE|United Arab Emirates|阿联酋",
    "EU|European Union|欧盟",
    "UN|United Nations|联合国",
    "People's Republic of China|PRC|China|中国|中华人民共和国",
    "South Korea|Republic of Korea|韩国|大韩民国",
    "North Korea|DPRK|朝鲜",
    "Netherlands|Holland|荷兰",
    "Czech Republic|Czechia|捷克",
    "Myanmar|Burma|缅甸",
    "Türkiye|Turkey|土耳其",
    "Ivory Coast|Côte d'Ivoire|科特迪瓦",
    "New York City|NYC|纽约|纽约市",
    "Los Angeles|L.A.|洛杉矶",
    "Washington, D.C.|Washington DC|District of Columbia|华盛顿特区",
    "World War I|World War 1|World War One|First World War|WWI|WW1|一战|第一次世界大战",
    "World War II|World War 2|World War Two|Second World War|WWII|WW2|二战|第二次世界大战",
    "television|TV|电视",
)
_TITLE_WORDS = (
    "mr mrs ms miss dr prof professor sir dame lord lady king queen prince princess president emperor "
    "empress pope captain general colonel senator governor chancellor"
)
_TITLES = frozenset(_TITLE_WORDS.split())
_SMALL = frozenset(["of", "and", "the", "for", "in", "de", "la"])
_GOES_ON = frozenset(["V", "X", "Jr", "Sr", "ii", "iii", "iv", "vii", "viii", "ix"])
_ROMAN = re.compile(r"[IVX]{2,5}")


def _entries(language: str) -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """First word of a name → the names that begin so, longest first, each with its common form."""
    out: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for row in _TABLE:
        names = [split(name, language).forms for name in row.split("|")]
        for name in names:
            out.setdefault(name[0], []).append((name, names[0]))
    for found in out.values():
        found.sort(key=lambda pair: -len(pair[0]))
    return out


_TABLES = {False: _entries("en"), True: _entries("zh")}


def common(words: Words, language: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The words with names of the table in their common form, and for each the index of the word it came from."""
    table = _TABLES[is_cjk(language)]
    forms: list[str] = []
    origin: list[int] = []
    index = 0
    while index < len(words):
        for name, target in table.get(words.forms[index], ()):
            end = index + len(name)
            # "us" is a country in capitals only.
            if words.forms[index:end] == name and (name != ("us",) or words.items[index].raw.isupper()):
                forms += target
                origin += [index] * (len(target) - 1) + [end - 1]
                index = end
                break
        else:
            forms.append(words.forms[index])
            origin.append(index)
            index += 1
    return tuple(forms), tuple(origin)


def same_name(answer: Words, reference: Words, language: str) -> bool:
    """Whether two whole texts are one name, by any rule of the module."""
    left, right = common(answer, language)[0], common(reference, language)[0]
    if not left or not right:
        return False
    if left == right or "".join(left) == "".join(right):
        return True
    left, right = untitled(left), untitled(right)
    if left == right or _same_person(answer, reference):
        return True
    if _acronym(answer, reference) or _acronym(reference, answer):
        return True
    common_noun = all(word.raw.islower() for word in reference.items)
    return common_noun and (*left[:-1], singular(left[-1])) == (*right[:-1], singular(right[-1]))


def untitled(forms: tuple[str, ...]) -> tuple[str, ...]:
    """Without titles in front, as long as two words are left."""
    while len(forms) > 2 and forms[0] in _TITLES:
        forms = forms[1:]
    return forms


def _same_person(answer: Words, reference: Words) -> bool:
    left, right = list(_name_words(answer)), list(_name_words(reference))
    if min(len(left), len(right)) < 2 or left[-1] != right[-1] or len(left[-1]) < 2:
        return False
    if not _same_given(left[0], right[0]):
        return False
    left, right = left[1:-1], right[1:-1]
    if len(left) == len(right):
        return all(_same_given(a, b) for a, b in zip(left, right, strict=True))
    # A middle name may be left out only where it is an initial.
    return all(len(name) == 1 for name in left + right) and not (left and right)


def _same_given(left: str, right: str) -> bool:
    return left == right or (1 in (len(left), len(right)) and left[0] == right[0])


def _name_words(words: Words) -> Iterator[str]:
    """Words of a person's name, "J.F." as two; nothing where one has no capital or is a number."""
    raws = [word.raw for word in words.items]
    if any(not raw[0].isupper() and not raw[0].isdigit() for raw in raws) or any(raw[0].isdigit() for raw in raws):
        return
    for i, word in enumerate(words.items):
        if "." in word.raw or (i == 0 and len(word.raw) == 2 and word.raw.isupper() and len(words) > 1):
            yield from (letter for letter in word.form if letter.isalpha())
        elif i > 0 or word.form not in _TITLES:
            yield word.form


def _acronym(short: Words, long: Words) -> bool:
    if len(short) != 1 or len(long) < 3 or not short.items[0].raw.replace(".", "").isupper():
        return False
    letters = "".join(form[0] for form in long.forms if form not in _SMALL)
    every = "".join(form[0] for form in long.forms)
    return len(short.forms[0]) >= 3 and short.forms[0] in (letters, every)


def goes_on(words: Words, end: int) -> bool:
    """Whether a name that ends before word `end` begins another: "Rocky" in "Rocky II"."""
    if end >= len(words) or not words.attached(end):
        return False
    raw = words.items[end].raw
    return bool(_ROMAN.fullmatch(raw)) or raw in _GOES_ON or (raw.isdecimal() and len(raw) <= 2)
