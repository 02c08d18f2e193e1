"""Normalisation and segmentation of text, by language, and the detection of refusals.

Three families of languages are told apart, by the primary subtag of a language tag (`zh-Hant` is `zh`):

- English: SQuAD's official rule (`evaluate-v2.0.py`): lower-case, drop `string.punctuation`, drop the
  words a, an, the, squeeze white space.
- Chinese, Japanese, Korean: mixed segmentation as in CMRC 2018's evaluator: each CJK character stands
  alone, Latin words and numbers stay whole, Western and CJK punctuation is dropped. SQuAD's rule would
  leave a Chinese sentence one single token, and rouge-score's tokenizer would erase it.
- All others: lower-case, drop every character of a Unicode punctuation category, squeeze. Letters are
  never lost, and articles stay, since "die" or "la" are not always articles.

Thai, Lao, Khmer and Burmese have no spaces either but are not segmented here: exact match is right for
them, token-wise figures see one long token.
"""

from __future__ import annotations

import re
import string
import unicodedata
from functools import lru_cache
from typing import Any

from halueval.errors import ConfigError

_CHINESE_TAGS = frozenset({"zh", "zho", "chi", "cmn", "yue"})
_KOREAN_TAGS = frozenset({"ko", "kor"})
_CJK_TAGS = _CHINESE_TAGS | _KOREAN_TAGS | {"ja", "jpn"}
_ENGLISH_TAGS = frozenset({"en", "eng"})

_CJK = (
    "\u3005-\u3007"  # 々〆〇
    "\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana, without the middle dot
    "\u3100-\u312f"  # bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"  # Hangul
)
_CJK_CHAR = re.compile(f"[{_CJK}]")
_CJK_UNIT = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_WORD = re.compile(r"[^\W_]+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
# Full-width forms are the same letters and digits typed in an East Asian input mode; without this,
# "２０１２年" would not match "2012年".
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


@lru_cache(maxsize=256)
def primary_language(language: str) -> str:
    """The primary subtag, lower-cased: `"zh"` of `"zh-Hans"` or `"zh_CN"`; `"en"` of `""`."""
    return re.split(r"[-_]", language.strip().lower(), maxsplit=1)[0] or "en"


def is_cjk(language: str) -> bool:
    """Whether texts of the language are segmented character by character."""
    return primary_language(language) in _CJK_TAGS


def is_chinese(language: str) -> bool:
    """Whether a model is asked in Chinese: Japanese and Korean texts are asked about in English, as all others."""
    return primary_language(language) in _CHINESE_TAGS


def joint(language: str) -> str:
    """What stands between sentences, or before a continuation: nothing in Chinese and Japanese, else a space."""
    return "" if primary_language(language) in _CJK_TAGS - _KOREAN_TAGS else " "


def holds_cjk(text: str) -> bool:
    """Whether a text has a character that stands alone in CJK languages."""
    return _CJK_CHAR.search(text) is not None


def is_english(language: str) -> bool:
    """Whether SQuAD's official normalisation holds for the language."""
    return primary_language(language) in _ENGLISH_TAGS


def _drop_punctuation(text: str) -> str:
    """Drop Unicode punctuation, and the ASCII signs that SQuAD's rule counts as such (`$+<=>^|~` and `)."""
    kept = (c for c in text if not unicodedata.category(c).startswith("P"))
    return "".join(kept).translate(_ASCII_PUNCTUATION)


def tokens(text: str, language: str = "en") -> list[str]:
    """Normalised tokens: what token F1 counts and what exact match compares, joined by spaces.

    Args:
        text: any text.
        language: language tag; see the module's text for the three families.

    Returns:
        Lower-cased tokens without punctuation; empty for a text of punctuation or (English) articles.
    """
    if is_english(language):
        return _ARTICLES.sub(" ", text.lower().translate(_ASCII_PUNCTUATION)).split()
    folded = unicodedata.normalize("NFC", text)
    if is_cjk(language):
        return _CJK_UNIT.findall(_drop_punctuation(folded.translate(_HALF_WIDTH).lower()))
    return _drop_punctuation(folded.lower()).split()


def normalize_answer(text: str, language: str = "en") -> str:
    """An answer in the form in which answers are compared; `""` when nothing is left of it.

    For English it equals `normalize_answer` of SQuAD's evaluator. For CJK languages white space does not
    matter ("北京 大学" is "北京大学"), except that it separates Latin words.
    """
    return " ".join(tokens(text, language))


def same_answer(answer: str, reference: str, language: str = "en") -> bool:
    """Whether an answer equals a reference after normalisation.

    Where normalisation leaves nothing of one side ("The The", "+", "A"), the squeezed lower-case texts
    are compared instead; otherwise an empty answer would equal every such reference.
    """
    left, right = normalize_answer(answer, language), normalize_answer(reference, language)
    if left and right:
        return left == right
    return squeeze(answer).lower() == squeeze(reference).lower()


def holds_words(text: str, words: str) -> bool:
    """Whether `words` stand in `text` as they are but for case, not as a part of longer words.

    "Paris" is held by "It is Paris." and not by "Parisian". CJK characters are words of their own.
    """
    wanted = words.strip().casefold()
    inside = text.casefold()
    start = inside.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        if not (_joins(inside[start - 1 : start], wanted[0]) or _joins(wanted[-1], inside[end : end + 1])):
            return True
        start = inside.find(wanted, start + 1)
    return False


def _joins(left: str, right: str) -> bool:
    """Whether two neighbouring characters are of one word."""
    return all(c.isalnum() and not _CJK_CHAR.match(c) for c in (left, right))


def squeeze(text: str) -> str:
    """The text with every run of white space as one space, and none at the ends."""
    return " ".join(text.split())


def segment(text: str, language: str = "en") -> list[str]:
    """The words of a text as they stand, case and punctuation kept.

    Split at white space; in CJK languages each CJK character and each non-ASCII punctuation mark stands
    alone ("3.14" and "don't" stay whole).
    """
    if not is_cjk(language):
        return text.split()
    pieces: list[str] = []
    for chunk in text.split():
        pieces += _mixed_words(chunk)
    return pieces


def _mixed_words(chunk: str) -> list[str]:
    out: list[str] = []
    word = ""
    for char in chunk:
        alone = bool(_CJK_CHAR.match(char)) or (char > "\x7f" and unicodedata.category(char).startswith("P"))
        if not alone:
            word += char
            continue
        if word:
            out.append(word)
            word = ""
        out.append(char)
    return [*out, word] if word else out


def unicode_words(text: str, language: str = "en") -> list[str]:
    r"""Lower-cased runs of letters and digits (`\w+`, underscore excluded), CJK characters one by one.

    This is ROUGE's idea of a word, carried to other scripts: unlike `tokens`, a hyphen separates.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.translate(_HALF_WIDTH))
    runs = _WORD.findall(text.lower())
    return [unit for run in runs for unit in _CJK_UNIT.findall(run)] if is_cjk(language) else runs


def words(text: str) -> list[str]:
    r"""`re.split(r"\s+", text)`, the word count behind word perplexity.

    White space at an end adds an empty word, and an empty text has one: kept so, because published word
    perplexities (lm-evaluation-harness, WikiText) divide by exactly this count.
    """
    return re.split(r"\s+", text)


def num_bytes(text: str) -> int:
    """Length in UTF-8 bytes (a lone surrogate counts three, so that every string has a length)."""
    return len(text.encode("utf-8", "surrogatepass"))


_ABBREVIATION = re.compile(
    r"mrs?|ms|dr|prof|[sj]r|st|vs|etc|inc|ltd|co|corp|gen|col|sgt|capt|lt|rev|hon|gov|sen|rep|al|approx|dept"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|(?:[a-z]\.)+[a-z]|[a-hj-z]"
)
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s+[\"'“‘(\[]*[^\Wa-zß-öø-ÿ])|[。！？]+[”’」』）]*|\n+")
_CJK_SENTENCE_END = re.compile(r"[。！？!?…]+[”’」』）\"']*|\.(?=\s)|\n+")


def split_sentences(text: str, language: str = "en") -> list[str]:
    """Sentences by rule; no character but white space is lost.

    A sentence ends at `.`, `!` or `?` before white space and something that is not a lower-case letter,
    at `。！？…`, and at a line break. A full stop after a known abbreviation or a single initial ends
    nothing. In CJK languages no white space need follow.
    """
    out: list[str] = []
    start = 0
    pattern = _CJK_SENTENCE_END if is_cjk(language) else _SENTENCE_END
    for match in pattern.finditer(text):
        if match.group().startswith(".") and _is_abbreviation(text[start : match.start()]):
            continue
        out.append(text[start : match.end()].strip())
        start = match.end()
    out.append(text[start:].strip())
    return [sentence for sentence in out if sentence]


def _is_abbreviation(before: str) -> bool:
    last = before.rsplit(maxsplit=1)[-1:]
    return bool(last and _ABBREVIATION.fullmatch(last[0].lstrip("\"'“‘([").lower()))


@lru_cache(maxsize=65_536)
def label_form(text: str) -> str:
    """A class label as it is compared: lower-case, without punctuation at the ends, squeezed.

    Articles stay: under SQuAD's rule the label "A" would vanish.
    """
    folded = squeeze(unicodedata.normalize("NFC", text.translate(_HALF_WIDTH))).lower()
    return folded.strip(string.punctuation + string.whitespace + "。，、！？；：“”‘’（）【】《》")


# What a refusal looks like. Each pattern is anchored at the start of the answer, so that an answer that
# merely contains such words ("The Unknown Soldier") is none. `_WHOLE` must be all there is.
_WHOLE = (
    r"(?:it(?:'s| is) |the answer is |this is |that is )?(?:(?:un|not )known|unanswerable|not answerable"
    r"|unsure|not sure|no idea|no comment|no answer|n/a|idk|dunno|(?:can't|cannot) (?:answer|say|tell)"
    r"|(?:do not|don't) know|(?:in|not )(?:sufficient|enough) (?:information|info|context|evidence)"
    r"|(?:can't|cannot) be determined|not (?:specified|stated|mentioned|given|provided|available))"
    r"|不知道|不清楚|不确定|不了解|不明|未知|不详|无法(?:回答|确定|判断|得知)|不能回答|无从得知|不得而知|无可奉告"
    r"|没有答案|无答案|没有评论|(?:信息|材料)不足|(?:文中|原文|文章)?(?:未|没有)(?:提及|提到|说明)"
)
_ENGLISH_START = (
    r"(?:(?:sorry|unfortunately|(?:i'm|i am) (?:sorry|afraid)|i apologi[sz]e|my apologies)[^.!?]*?\b)?(?:"
    r"i (?:\w+ly |just )?(?:don't|do not) (?:\w+ly )?(?:know|remember|recall)\b"
    r"|i (?:have|had) no (?:idea|comment|answer|knowledge|information|clue|opinion)\b"
    r"|i(?:'m| am) (?:not (?:\w+ly )?(?:sure|certain|aware)|unsure|uncertain|unaware)\b"
    r"|i(?: can't| cannot| can not| won't| will not| couldn't| could not|(?:'m| am) (?:unable|not able) to)"
    r" (?:answer|say|tell|determine|provide|give|find|confirm|comment|verify|help (?:you|with)|assist|respond|identify"
    r"|recall|remember|know|fulfill|complete|do that)\b"
    r"|i (?:don't|do not) have (?:\w+ ){0,4}?(?:information|knowledge|answer|data|details|opinions?|access"
    r"|context|comment|idea|preferences?|feelings|experiences?|beliefs)\b"
    r"|as an? (?:ai|artificial intelligence|(?:large )?language model|virtual assistant|chatbot)\b[^.!?]*?"
    r"\bi(?: can't| cannot| can not| do not| don't| am not| am unable|'m not|'m unable| have no| lack)\b"
    r"|there (?:is|was)(?: not|n't) (?:enough|sufficient|any) (?:information|context|evidence|data)\b"
    r"|there (?:is|was) no (?:information|evidence|mention|way to (?:know|say|tell|determine))\b"
    r"|(?:it|this|that|the answer|(?:the|this|that|your) question) (?:(?:is|was) unanswerable"
    r"|(?:can't|cannot|can not|could not) be (?:determined|answered|known|inferred)"
    r"|is (?:impossible|not possible) to (?:know|say|tell|determine|answer))\b"
    r"|(?:the )?(?:answer|information) is (?:unknown|unavailable"
    r"|not (?:known|given|provided|available|specified|stated|mentioned|in the))\b"
    r"|the (?:\w+ )?(?:passage|text|context|document|article|paragraph) (?:does not|doesn't|did not|didn't) "
    r"(?:say|mention|state|specify|provide|contain|give|answer|include)\b)"
)
_CHINESE_START = (
    r"(?:(?:很|非常|十分|真的)?(?:抱歉|对不起|不好意思|遗憾)[^。！？!?]{0,40}?)?(?:"
    r"(?:我|本人)(?:们)?[也真的确实并目前暂时还完全]{0,6}不(?:太|是很|大|能)?(?:知道|清楚|了解|确定|晓得)"
    r"|(?:我|本人)?(?:们)?[也目前暂时还并真的]{0,4}(?:无法|不能|没办法|没有办法|没法|难以)"
    r"(?:直接|准确|确切|为您|为你|给您|给你|对此|就此)*(?:回答|提供|确定|判断|给出|告诉|确认|得知|评论|作答)"
    r"|(?:我|本人)(?:们)?(?:并)?(?:没有|无)(?:任何|相关|足够|的|关于此的)*(?:评论|意见|答案|信息|资料|数据|可奉告)"
    r"|(?:作为|身为)(?:一个|一名|一款|一种)?(?:人工智能|ai|大?型?语言模型|聊天机器人|虚拟助手)[^。！？!?]{0,40}?"
    r"(?:无法|不能|没办法|没有(?:能力|办法|权限|个人)|不知道|不清楚|不具备)"
    r"|(?:这个|这一|该|此|本)(?:道)?(?:问题|题目|题)(?:是)?(?:无法|不能|没法)(?:被)?(?:回答|确定|判断|作答)"
    r"|(?:根据|从)?(?:文中|文章|上文|原文|材料|文本|所给信息|提供的信息)[^。！？!?]{0,15}?(?:没有|未)(?:提到|提及|说明|给出))"
)
# "I don't know how, but he won": what follows the turn is an answer.
_TURN = re.compile(r"[^.!?。！？\n]*?(?:\b(?:but|however|though|although)\b|但|不过|然而|可是)")
_LEAD = re.compile(r"(?:[\s\"'“‘*#>\-]|(?:final )?answer\s*[:：]|a\s*[:：]|(?:答案?|回答)\s*[:：])+")
_REFUSAL_WINDOW = 400
_PATTERN_SECONDS = 1.0


def is_refusal(text: str, language: str = "en", extra_patterns: tuple[str, ...] = ()) -> bool:
    """Whether an answer declines to answer ("I don't know", "as an AI, I cannot …", "无法回答").

    Built-in patterns are English and Chinese and hold for tasks in any language, since models fall back
    to the language that they know best; Chinese ones are left out for Japanese and Korean, which share
    the characters but not the sense. They are anchored at the start of the answer (an opening quotation
    mark, list mark or "Answer:" aside). Judgement calls:

    - "I don't know how, but he won" is an answer: a *but* in the same sentence turns to one.
    - "I don't know. Perhaps Paris." is a refusal: the first sentence decides.
    - "Unknown" alone is a refusal, "The Unknown Soldier" and "Unknown Pleasures" are not.
    - "None", "无" and "Nobody" are answers.
    - A title that reads like a refusal from its first word ("I Don't Know How to Love Him") is taken for
      one: rare, and a reader of the samples sees it.

    Args:
        text: the answer.
        language: language tag of the task.
        extra_patterns: the task's own patterns, searched anywhere in the text, case ignored; they anchor
            themselves (`^…$`) where they must.

    Raises:
        ConfigError: an extra pattern does not compile, or takes more than a second on one answer.
    """
    lowered = squeeze(text[: 4 * _REFUSAL_WINDOW].replace("’", "'").lower())[:_REFUSAL_WINDOW]
    lead = _LEAD.match(lowered)
    body = lowered[lead.end() :] if lead else lowered
    if _compiled(_WHOLE).fullmatch(body.strip(" .,;:!?…'\"*。，！？；”’）)")):
        return True
    starts = [_ENGLISH_START]
    if primary_language(language) not in {"ja", "jpn", "ko", "kor"}:
        starts.append(_CHINESE_START)
    for pattern in starts:
        match = _compiled(pattern).match(body)
        if match and not _TURN.match(body, match.end()):
            return True
    return bool(extra_patterns) and _matches_any(text, extra_patterns)


@lru_cache(maxsize=8)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiled at first use: these patterns take a tenth of the command line's start-up otherwise."""
    return re.compile(pattern)


@lru_cache(maxsize=256)
def _compile(pattern: str) -> Any:
    import regex

    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise ConfigError(f"abstention: pattern {pattern!r} is no regular expression: {error}") from error


def _matches_any(text: str, patterns: tuple[str, ...]) -> bool:
    for pattern in patterns:
        try:
            if _compile(pattern).search(text, timeout=_PATTERN_SECONDS):
                return True
        except TimeoutError as error:
            raise ConfigError(
                f"abstention: pattern {pattern!r} takes more than {_PATTERN_SECONDS:g} s on one answer; "
                "write it without nested repetition"
            ) from error
    return False
