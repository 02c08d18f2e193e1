"""Whether a short reference stands in a longer answer, said and not denied.

The guards, each a reason to refuse: the answer is too many words longer; a negation before it in its clause or
right behind it; "or" near it in its sentence, or a slash beside it, which make it one of several candidates; a list of
three or more that it is one item of; a number that makes it another's name ("Rocky" in "Rocky II").
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from halueval.answers.names import goes_on
from halueval.answers.words import Words

_NEGATION_WORDS = (
    "not never no nor neither without except unlike cannot nobody none instead rather isnt wasnt arent "
    "werent dont doesnt didnt wont cant couldnt hasnt havent hadnt wouldnt shouldnt incorrect false wrong"
)
_NEGATIONS = frozenset(_NEGATION_WORDS.split())
_CHINESE_NEGATIONS = "不是 不在 不属 不为 不叫 不会 没有 并非 而非 绝非 并不 从未 从不"
_NEGATIONS_OF_TWO = {(pair[0], pair[1]) for pair in _CHINESE_NEGATIONS.split()} | {("other", "than")}
_BUT = frozenset({"but", "但", "而"})
_REACH = 6
"""Words before a match that may deny it."""
_BESIDE = 5
"""Words around a match in which "or" makes it one of several candidates."""
MAX_PLACES = 20
"""Places of a reference in an answer that are looked at; the rest are repetitions."""

_STOP_WORDS = (
    "a an the of in on at to for by from with and or is are was were be been it its he she they them his "
    "her this that these those i you we my your our their as but not no yes do does did has have had who "
    "what when where which there here than then so if us me him 的 了 是 在 和 与 有 不 他 她 它 我 你 这 那 一 个 人"
)
_STOP = frozenset(_STOP_WORDS.split())


def says_much(forms: tuple[str, ...], cjk: bool) -> bool:
    """Whether words are enough to be looked for: more than stop words and more than one letter or CJK character."""
    letters = sum(len(form) for form in forms)
    if cjk and len(forms) == 1 and not forms[0].isascii():
        return False
    return letters > 1 and not all(form in _STOP for form in forms)


def places(words: tuple[str, ...], wanted: tuple[str, ...]) -> Iterator[int]:
    """Where `wanted` stands in `words`, whole and contiguous."""
    found = 0
    for start in range(len(words) - len(wanted) + 1):
        if words[start] == wanted[0] and words[start : start + len(wanted)] == wanted:
            yield start
            found += 1
            if found == MAX_PLACES:
                return


def refusal(words: Words, first: int, last: int) -> str | None:
    """Why words `first` to before `last` of an answer are not what it says, or None."""
    if _denied(words, first, last):
        return "denied"
    if _alternative(words, first, last):
        return "one of several candidates"
    if _listed(words, first, last):
        return "one item of a list"
    return "part of another name" if goes_on(words, last) else None


def _denied(words: Words, first: int, last: int) -> bool:
    index = first
    while index > 0 and first - index < _REACH and not words.clause_ends(index) and words.forms[index - 1] not in _BUT:
        index -= 1
        form = words.forms[index]
        if form in _NEGATIONS and words.forms[index + 1 : index + 2] != ("only",):
            return True
        if words.forms[index : index + 2] in _NEGATIONS_OF_TWO:
            return True
    for index in range(last, min(last + 2, len(words))):
        if words.clause_ends(index):
            break
        if words.forms[index] in _NEGATIONS:
            return True
    return False


def _alternative(words: Words, first: int, last: int) -> bool:
    for edge in (first, last):
        if 0 < edge < len(words) and words.gaps[edge].strip() in {"/", "|", "vs."}:
            return True
    sentence = words.sentence(first)
    for index in range(max(sentence.start, first - _BESIDE), min(sentence.stop, last + _BESIDE)):
        if first <= index < last:
            continue
        form, after = words.forms[index], words.forms[index + 1 : index + 2]
        more_or_less = index > 0 and words.forms[index - 1] == "more" and after == ("less",)
        if form in {"or", "either"} and after != ("so",) and not more_or_less:
            return True
        if form == "或" and after != ("许",):
            return True
        if form == "还" and after == ("是",):
            return True
    return False


def _listed(words: Words, first: int, last: int) -> bool:
    """Whether it is an item of "red, green and blue": three items or more, all but the first of at most three words."""
    sentence = words.sentence(first)
    breaks = [i for i in sentence if i > sentence.start and set(words.gaps[i]) & set(",，、")]
    ends = [i for i in sentence if words.forms[i] in {"and", "和"}]
    if not breaks or not ends:
        return False
    final = ends[-1]
    if final + 1 >= sentence.stop or final <= breaks[-1] - 1:
        return False
    if breaks[-1] != final:
        breaks.append(final)
    if len(breaks) < 2:
        return False
    edges = [*breaks, sentence.stop]
    short = all(b - a - (words.forms[a] in {"and", "和"}) <= 3 for a, b in pairwise(edges))
    return short and not any(first < edge < last for edge in breaks)
