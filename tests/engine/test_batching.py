from hypothesis import given
from hypothesis import strategies as st

from halueval.engine.batching import Budget, Cost, plan_batches

costs = st.lists(st.builds(Cost, st.integers(0, 50), st.integers(0, 10)), max_size=40)


def test_longest_first_under_the_padded_budget():
    lengths = [Cost(3, 1), Cost(10, 1), Cost(4, 1), Cost(9, 1)]
    # 2 × 10 fits 20; a third row would make 30.
    assert plan_batches(lengths, Budget(20, 100)) == [[1, 3], [2, 0]]


def test_a_request_above_the_budget_stands_alone():
    assert plan_batches([Cost(50, 1), Cost(1, 1)], Budget(20, 100)) == [[0], [1]]


def test_scored_tokens_have_a_budget_of_their_own():
    assert plan_batches([Cost(1, 6), Cost(1, 6)], Budget(100, 10)) == [[0], [1]]


def test_batch_size_is_a_ceiling():
    assert [len(b) for b in plan_batches([Cost(1, 1)] * 5, Budget(100, 100, 2))] == [2, 2, 1]


@given(costs, st.integers(1, 200), st.integers(1, 50), st.one_of(st.none(), st.integers(1, 5)))
def test_every_request_once_and_within_the_budget(items, tokens, scored, size):
    batches = plan_batches(items, Budget(tokens, scored, size))
    assert sorted(i for batch in batches for i in batch) == list(range(len(items)))
    for batch in batches:
        if len(batch) > 1:
            assert len(batch) * max(items[i].tokens for i in batch) <= tokens
            assert sum(items[i].scored for i in batch) <= scored
        assert size is None or len(batch) <= size
