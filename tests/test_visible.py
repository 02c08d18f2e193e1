"""Text of others on one line, with nothing hidden in it."""

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from halueval.visible import visible


def test_what_steers_or_hides_is_shown_by_its_code_point():
    assert visible("a\u202eb\x1b[2J\ud800\u200b") == "a<U+202E>b<U+001B>[2J<U+D800><U+200B>"
    assert visible("  two\nlines\t\r\n and\u2028more ") == "two lines and more"


def test_what_people_write_stays_as_it_is():
    for text in ("plain", "naïve", "中文，标点", "👩\u200d🔬", "نمی\u200cخواهم", "ไทย"):
        assert visible(text) == text


@settings(deadline=None)  # no timed assertions
@given(st.text())
def test_the_result_is_one_line_without_control_characters(text):
    shown = visible(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in shown}
    assert visible(shown) == shown
