import pytest
import torch

from halueval.engine.memory import OUT_OF_MEMORY, default_budget, is_out_of_memory, run_halving
from halueval.schema import FailedResponse

CPU = torch.device("cpu")


def test_a_batch_that_does_not_fit_is_halved_until_it_does():
    sizes = []

    def run(items):
        sizes.append(len(items))
        if len(items) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * 10 for item in items]

    assert run_halving(run, [1, 2, 3, 4, 5, 6, 7], CPU) == [10, 20, 30, 40, 50, 60, 70]
    assert sizes == [7, 3, 1, 2, 4, 2, 2]


def test_an_item_that_does_not_fit_alone_fails_with_the_reason_and_the_others_go_on():
    def run(items):
        if 3 in items:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return list(items)

    assert run_halving(run, [1, 2, 3, 4], CPU) == [1, 2, FailedResponse(OUT_OF_MEMORY), 4]


def test_other_errors_are_not_swallowed():
    def run(items):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        run_halving(run, [1, 2], CPU)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (…)"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_the_budget_leaves_room_for_a_large_vocabulary():
    small = default_budget(CPU, parameter_bytes=0, cache_bytes_per_token=1000, vocab_size=30_000)
    huge = default_budget(CPU, parameter_bytes=0, cache_bytes_per_token=1000, vocab_size=300_000_000)
    assert huge.scored < small.scored
    assert huge.scored >= 64
