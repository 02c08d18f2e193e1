"""Normalisation, segmentation and refusals."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.errors import ConfigError
from halueval.text import (
    holds_words,
    is_chinese,
    is_cjk,
    is_refusal,
    joint,
    label_form,
    normalize_answer,
    num_bytes,
    primary_language,
    same_answer,
    segment,
    split_sentences,
    tokens,
    unicode_words,
    words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Worked by hand from the four steps of SQuAD's evaluate-v2.0.
        ("The Cat's  an A-team!", "cats ateam"),
        ("a an the", ""),
        ("Theatre", "theatre"),
        ("  New\nYork ", "new york"),
        ("don’t", "don’t"),  # string.punctuation is ASCII: the curly apostrophe stays
        ("Zürich", "zürich"),
    ],
)
def test_english_answers_are_normalised_as_squad_does(text, expected):
    assert normalize_answer(text) == expected


@given(st.text(alphabet=string.printable))
def test_english_equals_the_four_steps_of_squad(text):
    # Ours is one pass over tokens; this is the published order of steps, on ASCII.
    dropped = "".join(c for c in text.lower() if c not in string.punctuation)
    assert normalize_answer(text) == " ".join(re.sub(r"\b(a|an|the)\b", " ", dropped).split())


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("北京，中国！", "zh", ["北", "京", "中", "国"]),
        ("iPhone 发布于New York。", "zh-Hans", ["iphone", "发", "布", "于", "new", "york"]),
        ("《红楼梦》", "zh_CN", ["红", "楼", "梦"]),
        ("２０１２年", "zh", ["2012", "年"]),
        ("東京タワー", "ja", list("東京タワー")),
        ("서울 특별시", "ko", list("서울특별시")),
        ("L'été à Zürich: naïve", "fr", ["lété", "à", "zürich", "naïve"]),
        ("Die Brücke", "de", ["die", "brücke"]),
        ("«Война и мир»", "ru", ["война", "и", "мир"]),
        ("The 北京", "en", ["北京"]),
    ],
)
def test_tokens_follow_the_language(text, language, expected):
    assert tokens(text, language) == expected


@given(st.text(), st.sampled_from(["en", "zh", "fr", "ko"]))
def test_normalising_twice_changes_nothing(text, language):
    # "ß".upper() and its like are why lower() is checked too: lower-casing is not idempotent everywhere.
    once = normalize_answer(text.lower(), language)
    assert normalize_answer(once, language) == once or "\u0307" in text.lower()


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Lo"]), min_size=1))
def test_no_letter_is_lost_outside_english(text):
    assert normalize_answer(text, "fr").replace(" ", "")


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("the Paris.", "Paris", True),
        ("", "+", False),  # both normalise to nothing
        ("-", "+", False),
        ("+", "+", True),
        ("The The", "the the", True),
        ("an", "A", False),
        ("", "The", False),
    ],
)
def test_what_normalises_to_nothing_is_compared_as_it_stands(answer, reference, same):
    assert same_answer(answer, reference) is same


def test_primary_language():
    assert [primary_language(tag) for tag in ("zh-Hant", "zh_CN", "EN", "")] == ["zh", "zh", "en", "en"]
    assert is_cjk("ja-JP")
    assert not is_cjk("jv")


def test_segment_keeps_case_and_punctuation():
    assert segment("He said: no.") == ["He", "said:", "no."]
    assert segment("他买了 iPhone，3.14。", "zh") == ["他", "买", "了", "iPhone", "，", "3.14", "。"]


def test_unicode_words_split_at_hyphens_as_rouge_does():
    assert unicode_words("Self-check l'Été", "fr") == ["self", "check", "l", "été"]
    assert unicode_words("北京ab", "zh") == ["北", "京", "ab"]


def test_words_count_as_the_published_word_perplexities_do():
    assert [len(words(t)) for t in ("a b  c", "", " a ", "a\n\nb")] == [3, 1, 3, 2]


def test_num_bytes():
    assert [num_bytes(t) for t in ("a", "é", "北", "😀", "\ud800")] == [1, 2, 3, 4, 3]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Mr. Smith met U.S. troops. They won.", "en", ["Mr. Smith met U.S. troops.", "They won."]),
        ("It cost 3.5 euros. really. Ok", "en", ["It cost 3.5 euros. really.", "Ok"]),
        ("“Stop!” He ran.\nThen", "en", ["“Stop!”", "He ran.", "Then"]),
        ("The answer is no. Next.", "en", ["The answer is no.", "Next."]),
        ("他说：“好。”然后走了。真的？", "zh", ["他说：“好。”", "然后走了。", "真的？"]),
        ("", "en", []),
    ],
)
def test_split_sentences(text, language, expected):
    assert split_sentences(text, language) == expected


@given(st.text(), st.sampled_from(["en", "zh"]))
def test_splitting_loses_nothing_but_white_space(text, language):
    assert "".join("".join(split_sentences(text, language)).split()) == "".join(text.split())


def test_label_form_keeps_articles():
    assert label_form(" (A). ") == "a"
    assert label_form("Ｂ。") == "b"


REFUSALS = [
    "I don't know",
    "I don’t know.",
    "I do not really know the answer to that.",
    "I have no comment.",
    "I have no idea who that was",
    "I cannot answer that question.",
    "I'm sorry, but I can't help with that.",
    "I am unable to determine this.",
    "As an AI language model, I do not have personal opinions.",
    "As an AI, I can't browse the web.",
    "Answer: unknown",
    "unanswerable",
    "N/A",
    '"No comment"',
    "I'm not sure.",
    "It cannot be determined from the passage.",
    "There is not enough information to answer.",
    "The passage does not mention her age.",
    "不知道",
    "我不知道。",
    "无法回答",
    "很抱歉，我无法回答这个问题。",
    "作为一个人工智能语言模型，我没有个人意见。",
    "我没有评论。",
    "这个问题无法回答。",
]
ANSWERS = [
    "The Unknown Soldier",
    "Unknown Pleasures",
    "I don't know how but he won",
    "I'm not sure, but I think it was Paris",
    "As an AI researcher, she wrote papers",
    "I'm afraid of Americans",
    "Sorry Not Sorry",
    "He said I don't know",
    "None",
    "Nobody",
    "I know",
    "No",
    "Paris. I cannot answer more.",
    "我不知道他怎么做到的，但他赢了",
    "我是一个人工智能模型，我没有教育经历及毕业院校。",
    "不知火舞",
    "无",
    "",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text):
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_are_no_refusals(text):
    assert not is_refusal(text)


def test_chinese_patterns_stay_out_of_japanese():
    assert is_refusal("我不能回答", "zh")
    assert not is_refusal("我不能回答", "ja")


def test_extra_patterns_search_anywhere_and_ignore_case():
    assert is_refusal("Well: PASS", extra_patterns=(r"\bpass$",))
    assert not is_refusal("compass", extra_patterns=(r"\bpass$",))


def test_a_broken_extra_pattern_is_named():
    with pytest.raises(ConfigError, match=r"'\(' is no regular expression"):
        is_refusal("x", extra_patterns=("(",))


def test_an_extra_pattern_that_runs_away_is_stopped(monkeypatch):
    monkeypatch.setattr("halueval.text._PATTERN_SECONDS", 0.05)
    with pytest.raises(ConfigError, match="takes more than"):
        is_refusal("a" * 60 + "b", extra_patterns=(r"(?:a|aa)+$",))


@given(st.text())
def test_refusal_detection_never_fails(text):
    assert is_refusal(text) in (True, False)


@pytest.mark.parametrize(
    ("text", "words", "held"),
    [
        ("It is Paris.", "paris", True),
        ("A Parisian café", "Paris", False),
        ("Parisian, no: Paris", "Paris", True),
        ("The answer is New York City", "New York", True),
        ("1999", "99", False),
        ("首都是北京市", "北京", True),
        ("", "x", False),
        ("x", " ", False),
        ("C++ it is", "C++", True),
    ],
)
def test_words_held_by_a_text(text, words, held):
    assert holds_words(text, words) is held


def test_korean_and_japanese_are_not_chinese_and_only_korean_parts_words_by_spaces():
    tags = ("zh", "zh_TW", "cmn", "ja", "jpn", "ko", "kor", "en", "")
    assert [is_chinese(tag) for tag in tags] == [True] * 3 + [False] * 6
    assert [joint(tag) for tag in tags] == [""] * 5 + [" "] * 4
