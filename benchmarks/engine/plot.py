"""Draw `scaling.svg`: seconds and memory against rows. Runs in the environment that has matplotlib.

python plot.py results.json scaling.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(results: Path, out: Path) -> None:
    """Two panels over the points of the scaling workload."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "halueval"  # the same figures give the same file
    from matplotlib import pyplot

    points = json.loads(results.read_text(encoding="utf-8"))["scaling"]["points"]
    rows = [point["rows"] for point in points]
    seconds = [point["scoring_seconds"] for point in points]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.plot(rows, seconds, "o-", label="scoring")
    left.plot(rows, [seconds[0] * row / rows[0] for row in rows], "--", color="grey", label="linear from the first")
    left.set(xlabel="TruthfulQA rows, MC1 + MC2", ylabel="seconds", title="Time", xlim=(0, None), ylim=(0, None))
    left.legend(frameon=False)
    tokens = left.secondary_xaxis(-0.28, functions=(lambda x: x, lambda x: x))
    tokens.set_xticks(rows, [f"{point['tokens_computed'] / 1000:.0f}k" for point in points])
    tokens.set_xlabel("distinct tokens computed")
    memory = [point["peak_memory_bytes"] / 2**20 for point in points]
    right.plot(rows, memory, "o-")
    right.set(xlabel="TruthfulQA rows, MC1 + MC2", ylabel="MiB", title="Peak memory of the process")
    right.set(xlim=(0, None), ylim=(0, 1.15 * max(memory)))
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
