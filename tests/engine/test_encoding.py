import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.engine.encoding import Row, UnscorableError, encode_pair, pair_row, rolling_rows, split_at_join

ids = st.lists(st.integers(0, 9), max_size=40)


def characters(text):
    """A tokenizer of one id a character, with "ab" merged into one token."""
    out, i = [], 0
    while i < len(text):
        if text.startswith("ab", i):
            out.append(1000)
            i += 2
        else:
            out.append(ord(text[i]))
            i += 1
    return out


def test_continuation_is_the_rest_after_the_context():
    head, tail = encode_pair(characters, "x", "yz", prefix=[7], bare_prefix=9)
    assert (head, tail) == ([7, ord("x")], [ord("y"), ord("z")])


def test_a_merge_across_the_join_belongs_to_the_continuation():
    # "xa" + "b" tokenises as x, ab: cutting at len(tokens("xa")) = 2 would leave nothing to score.
    head, tail = encode_pair(characters, "xa", "b", prefix=[], bare_prefix=9)
    assert (head, tail) == ([ord("x")], [1000])


def test_white_space_at_the_end_of_the_context_is_scored_with_the_continuation():
    head, tail = encode_pair(characters, "x ", "y", prefix=[], bare_prefix=9)
    assert (head, tail) == ([ord("x")], [ord(" "), ord("y")])


def test_an_empty_context_is_led_by_the_prefix_or_its_stand_in():
    assert encode_pair(characters, "", "y", prefix=[7], bare_prefix=9)[0] == [7]
    assert encode_pair(characters, "", "y", prefix=[], bare_prefix=9)[0] == [9]


def test_an_empty_continuation_cannot_be_scored():
    with pytest.raises(UnscorableError, match="empty continuation"):
        encode_pair(characters, "x", "", prefix=[], bare_prefix=9)


@given(st.text("abx", max_size=12), st.text("abx", min_size=1, max_size=12))
def test_head_and_tail_are_the_whole_text_and_the_tail_is_never_empty(context, continuation):
    head, tail = encode_pair(characters, context, continuation, prefix=[7], bare_prefix=9)
    assert head[0] == 7
    assert head[1:] + tail == characters(context + continuation)
    assert tail


@given(ids, ids)
def test_the_split_never_leaves_an_empty_continuation(whole, context):
    if whole:
        assert 0 <= split_at_join(whole, context) < len(whole)


def test_truncation_cuts_the_left_of_the_context_and_keeps_the_prefix():
    # Window 4: five ids fit, the last of which is scored but not fed.
    row = pair_row([7, 1, 2, 3, 4], [5, 6], window=4, num_prefix=1)
    assert row == Row((7, 3, 4, 5, 6), 2, 2)


def test_a_prompt_exactly_as_long_as_the_window_is_left_alone():
    assert pair_row([7, 1, 2, 3], [5], window=4, num_prefix=1) == Row((7, 1, 2, 3, 5), 1, 0)


def test_a_continuation_longer_than_the_window_is_refused():
    with pytest.raises(UnscorableError, match="5 tokens exceeds the model's window of 4"):
        pair_row([7], [1, 2, 3, 4, 5], window=4, num_prefix=1)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_truncation_never_touches_the_continuation(head, tail):
    row = pair_row(head, tail, window=8, num_prefix=1)
    assert list(row.ids[-len(tail) :]) == tail
    assert len(row.ids) <= 9
    assert row.num_truncated == len(head) + len(tail) - len(row.ids)
    assert row.num_scored < len(row.ids)


def test_rolling_windows_worked_by_hand():
    # Window 4 over ten tokens: 0-3 after the prefix, 4-7 after token 3, then 8-9 with the context filled up.
    rows = rolling_rows(range(10), prefix=99, window=4)
    assert rows == [Row((99, 0, 1, 2, 3), 4), Row((3, 4, 5, 6, 7), 4), Row((5, 6, 7, 8, 9), 2)]


@given(st.lists(st.integers(0, 9), max_size=50), st.integers(1, 12))
def test_rolling_scores_every_token_exactly_once_in_order(tokens, window):
    rows = rolling_rows(tokens, prefix=99, window=window)
    assert [t for row in rows for t in row.ids[-row.num_scored :]] == tokens
    assert all(len(row.ids) <= window + 1 and row.num_scored < len(row.ids) for row in rows)
