"""The plots of the HTML page: places worked out by hand."""

from __future__ import annotations

from halueval.compare.record import STATES
from halueval.report.plots import Bin, ForestRow, flow, forest, reliability


def test_flow_is_as_thick_as_the_counts_and_says_them():
    """Hand-checked: 210 units of height over 4 samples are 52.5 each."""
    counts = {a: dict.fromkeys(STATES, 0) for a in STATES}
    counts["correct"]["hallucinated"], counts["correct"]["correct"] = 3, 1
    svg = str(flow("f", counts, "what <became>"))
    assert "3 of 4 correct to hallucinated" in svg
    assert "v157.50" in svg
    assert "what &lt;became&gt;" in svg


def test_forest_puts_each_difference_at_its_place():
    """Hand-checked: an axis of 392 units from −0.5 to +0.5 around 210; 0.25 lies at 210 + 98."""
    svg = str(forest("f", [ForestRow("a", "+25", 0.25, 0.0, 0.5, "worse"), ForestRow("b", "–", 0.0, None, None)], "t"))
    assert '<circle class="estimate worse" cx="308"' in svg
    assert '<line class="estimate worse" x1="210" y1="38" x2="406" y2="38"/>' in svg
    assert '<circle class="estimate" cx="210"' in svg
    assert "+50 pp" in svg


def test_reliability_curve_puts_perfect_bins_on_the_diagonal():
    """Hand-checked: the square of 300 units begins at (56, 12); half confident, half right is its centre."""
    svg = str(reliability("r", {"base": [Bin(0.5, 0.5, 4, 0.1, 0.9)]}, "t"))
    assert '<circle class="dot base" cx="206" cy="162"' in svg
    assert "50% confident, 50% right (n=4)" in svg
