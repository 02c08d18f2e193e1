"""What `halueval.diff` returns: the record, its tables as data frames, and the other forms of output."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from halueval.compare.gates import check_gates, parse_gate
from halueval.compare.record import DiffRecord, GateResult, comparisons
from halueval.compare.table import Table
from halueval.report.diff_markdown import render_markdown
from halueval.report.junit import render_junit

if TYPE_CHECKING:
    import pandas as pd


class Diff:
    """A comparison of a base with one or several candidates.

    Attributes:
        record: everything, as `halueval diff --json` writes it; see `halueval.compare.record`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self.record: DiffRecord = table.record

    def __repr__(self) -> str:
        return f"<Diff {self.headline}>"

    @property
    def headline(self) -> str:
        """The comparison in plain words, a line for each candidate."""
        return "\n".join(comparison["headline"] for comparison in comparisons(self.record))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a figure, indexed by candidate, task and metric."""
        import pandas as pd

        rows = [
            {"candidate_label": c["candidate"]["label"], "task": name, "metric": metric, **figure}
            for c in comparisons(self.record)
            for name, task in c["tasks"].items()
            for metric, figure in task["metrics"].items()
        ]
        return pd.DataFrame(rows).set_index(["candidate_label", "task", "metric"])

    @cached_property
    def rates(self) -> pd.DataFrame:
        """One row a rate (`induced_rate` … `net_rate`), indexed by candidate, task and rate."""
        import pandas as pd

        rows = [
            {"candidate_label": c["candidate"]["label"], "task": name, "rate": key, **value}  # type: ignore[dict-item]  # every key in *_rate of TaskDiff is a Rate
            for c in comparisons(self.record)
            for name, task in c["tasks"].items()
            for key, value in task.items()
            if key.endswith("_rate")
        ]
        return pd.DataFrame(rows).set_index(["candidate_label", "task", "rate"])

    @cached_property
    def transitions(self) -> pd.DataFrame:
        """Counts of pairs by candidate, task, base's state (rows) and candidate's state (columns)."""
        import pandas as pd

        rows = [
            {"candidate_label": c["candidate"]["label"], "task": name, "base": state, **counts}
            for c in comparisons(self.record)
            for name, task in c["tasks"].items()
            for state, counts in task["transitions"].items()
        ]
        return pd.DataFrame(rows).set_index(["candidate_label", "task", "base"])

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a pair: task, prompt, target, transition, and each side's state and response.

        Raises:
            DataError: a samples file that was changed meanwhile.
        """
        import pandas as pd

        rows = []
        for name, samples in self._table.samples_by_task().items():
            for sample in samples:
                flat = {k: v for k, v in sample.items() if k not in ("base", "candidate", "group")}
                sides = {f"{side}.{k}": v for side in ("base", "candidate") for k, v in sample[side].items()}
                groups = {f"group.{k}": v for k, v in sample["group"].items()}
                rows.append({"task": name, **flat, **sides, **groups})
        return pd.DataFrame(rows)

    def check(self, *gates: str) -> list[GateResult]:
        """Judge gates, written as for `--fail-on`, and keep the results in the record.

        Raises:
            UsageError: a gate that cannot be read, or names what is not there.
        """
        self.record["gates"] = check_gates(self.record, [parse_gate(gate) for gate in gates])
        return self.record["gates"]

    def to_markdown(self) -> str:
        """Headline, table, details folded: fit for a pull request."""
        return render_markdown(self.record)

    def to_junit(self) -> str:
        """JUnit XML of the gates."""
        return render_junit(self.record)

    def to_html(self) -> Iterator[str]:
        """One self-contained page with every sample, in pieces to be written one after another.

        Raises:
            DataError: a samples file that was changed meanwhile.
        """
        from halueval.report.diff_html import render_html

        return render_html(self.record, self._table.samples_by_task())
