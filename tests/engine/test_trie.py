"""Plans over rows: every row once, every prefix once, whatever the order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halueval.engine.encoding import Row, prompt_row
from halueval.engine.packing import pack
from halueval.engine.trie import Limits, common_prefix, count_distinct, plan_passes


@st.composite
def token_rows(draw, tokens=4, longest=14):
    ids = draw(st.lists(st.integers(0, tokens - 1), min_size=2, max_size=longest))
    return Row(tuple(ids), draw(st.integers(0, len(ids) - 1)))


row_sets = st.lists(token_rows(), min_size=1, max_size=12)
limit_sets = st.builds(
    Limits, st.integers(1, 24), st.integers(1, 40), st.integers(1, 30), st.one_of(st.none(), st.integers(1, 4))
)


def prefixes(rows):
    return {row.fed[: i + 1] for row in rows for i in range(len(row.fed))}


@given(row_sets, limit_sets)
def test_every_row_is_in_one_pass_and_stands_on_its_own_root(rows, limits):
    passes = plan_passes(rows, limits)
    assert sorted(i for part in passes for i in part.rows) == list(range(len(rows)))
    for part in passes:
        for i in part.rows:
            root = part.root.ids if part.root else ()
            assert rows[i].fed[: len(root)] == root
            assert len(rows[i].fed) > len(root)


@given(row_sets, limit_sets)
def test_the_plan_depends_on_the_set_of_rows_and_not_on_their_order(rows, limits):
    def contents(given_rows):
        return [
            (
                part.root.ids if part.root else (),
                sorted((given_rows[i].ids, given_rows[i].num_scored) for i in part.rows),
            )
            for part in plan_passes(given_rows, limits)
        ]

    assert contents(rows) == contents(rows[::-1])


@given(row_sets, limit_sets)
def test_passes_and_roots_hold_every_prefix_and_stay_within_their_limits(rows, limits):
    passes = plan_passes(rows, limits)
    computed = set()
    for part in passes:
        for root in part.root.chain() if part.root else ():
            computed |= {root.ids[: i + 1] for i in range(root.start, len(root.ids))}
        mine = [rows[i] for i in part.rows]
        computed |= prefixes(mine)
        packed = pack(mine, len(part.root.ids) if part.root else 0)
        if len(mine) > 1:
            assert len(packed.tokens) <= max(limits.tokens, limits.whole)
            assert limits.rows is None or len(mine) <= limits.rows
            assert sum(max(row.num_scored, 1) for row in mine) <= limits.scored
    assert computed == prefixes(rows)


@given(row_sets)
def test_distinct_prefixes_are_counted(rows):
    assert count_distinct(rows) == len(prefixes(rows))


@given(row_sets, limit_sets)
def test_a_root_knows_what_is_scored_from_within_it(rows, limits):
    for part in plan_passes(rows, limits):
        known = {pair for root in (part.root.chain() if part.root else ()) for pair in root.wanted}
        for i in part.rows:
            row = rows[i]
            first = len(row.fed) - row.num_scored
            depth = len(part.root.ids) if part.root else 0
            assert {(at, row.ids[at + 1]) for at in range(first, depth)} <= known


def test_a_primer_is_computed_once_for_many_passes():
    primer = tuple(range(1000))
    rows = [Row((*primer, 5000 + i, *range(9)), 1) for i in range(100)]
    passes = plan_passes(rows, Limits(tokens=90, whole=1024, scored=2048))
    (root,) = {part.root for part in passes}
    assert root.ids == primer
    assert [len(part.rows) for part in passes] == [10] * 10


def test_primers_of_subjects_stand_on_what_all_of_them_share():
    system = tuple(range(100))
    rows = [Row((*system, *[10_000 + subject] * 50, 20_000 + i, 1), 1) for subject in range(3) for i in range(100)]
    passes = plan_passes(rows, Limits(tokens=40, whole=64, scored=2048))
    roots = list(dict.fromkeys(part.root for part in passes))
    assert [len(root.ids) for root in roots] == [150, 150, 150]
    assert {root.parent.ids for root in roots} == {system}


def test_a_short_stem_is_repeated_and_gets_no_pass_of_its_own():
    rows = [Row((7, 8, 100 + i, *range(i, i + 30), 1), 1) for i in range(10)]
    passes = plan_passes(rows, Limits(tokens=70, whole=128, scored=2048))
    assert {part.root for part in passes} == {None}
    assert [len(part.rows) for part in passes] == [2] * 5


def test_a_long_document_before_two_answers_is_one_pass():
    document = tuple(range(600))
    rows = [Row((*document, 5, 6), 1), Row((*document, 7, 8), 1)]
    (part,) = plan_passes(rows, Limits(tokens=256, whole=1024, scored=2048))
    assert (part.root, part.rows) == (None, (0, 1))


def test_equal_rows_beyond_the_limit_of_rows_are_split_by_number():
    rows = [Row((1, 2, 3), 1)] * 7
    assert [len(part.rows) for part in plan_passes(rows, Limits(64, 64, 64, rows=3))] == [3, 3, 1]


def test_a_prompt_that_others_begin_with_keeps_its_last_token_in_a_pass():
    stem = tuple(range(200))
    rows = [prompt_row(stem), *(prompt_row((*stem, i, *range(30))) for i in range(20))]
    for part in plan_passes(rows, Limits(tokens=64, whole=64, scored=2048)):
        assert all(len(rows[i].fed) > len(part.root.ids) for i in part.rows)


@pytest.mark.parametrize(
    ("a", "b", "shared"), [((1, 2, 3), (1, 2, 4), 2), ((), (1,), 0), ((1, 2), (1, 2, 3), 2), ((1,), (2,), 0)]
)
def test_common_prefix(a, b, shared):
    assert common_prefix(a, b) == shared


@given(st.lists(st.integers(0, 1), max_size=20), st.lists(st.integers(0, 1), max_size=20))
def test_common_prefix_is_where_two_lists_part(a, b):
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


def test_deeply_nested_rows_need_no_recursion():
    rows = [Row(tuple(range(i + 2)), 1) for i in range(1100)]
    passes = plan_passes(rows, Limits(tokens=64, whole=64, scored=64))
    assert sum(len(part.rows) for part in passes) == 1100
    assert len(passes[-1].root.chain()) > 10


def test_a_long_text_is_computed_as_a_root_in_pieces():
    text = Row(tuple(range(5000)), 4999)
    (part,) = plan_passes([text], Limits(tokens=384, whole=1024, scored=2048))
    assert part.root.ids == text.fed[:-1]
    assert len(part.root.wanted) == 4998
    (short,) = plan_passes([Row(tuple(range(1024)), 1023)], Limits(tokens=384, whole=1024, scored=2048))
    assert short.root is None
