"""What `halueval.explanation.explain` returns: the record and its forms of output."""

from __future__ import annotations

from halueval.explaining.record import ExplainRecord


class Explanation:
    """Measures beside the rates that they should explain.

    Attributes:
        record: everything, as `halueval explain --json` writes it; see `halueval.explaining.record`.
    """

    def __init__(self, record: ExplainRecord) -> None:
        self.record = record

    def __repr__(self) -> str:
        return f"<Explanation {self.record['base']['label']} → {self.record['candidate']['label']}>"

    def to_markdown(self) -> str:
        """Statements and tables, fit for a pull request."""
        from halueval.report.explain_markdown import render_markdown

        return render_markdown(self.record)

    def to_html(self) -> str:
        """One self-contained page."""
        from halueval.report.explain_html import render_explanation

        return render_explanation(self.record)
