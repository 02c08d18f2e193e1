"""One file a workload; `ALL` is the order in which they run."""

from benchmarks.engine.context import Workload
from benchmarks.engine.workloads import (
    conditional,
    draws,
    halueval_qa,
    memory,
    nq_open,
    rolling,
    scaling,
    truthfulqa,
)

ALL: tuple[Workload, ...] = (
    truthfulqa.WORKLOAD,
    nq_open.WORKLOAD,
    nq_open.SAME,
    rolling.WORKLOAD,
    halueval_qa.WORKLOAD,
    draws.WORKLOAD,
    conditional.WORKLOAD,
    scaling.WORKLOAD,
    memory.WORKLOAD,
)
