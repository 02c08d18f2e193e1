"""Plots of many models as SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hostile import HOSTILE

from halueval.report.site.drawings import (
    MAX_ROWS,
    Axis,
    Estimate,
    Line,
    Point,
    bar,
    lines,
    percent,
    scatter,
    shares_axis,
    size_axis,
    size_words,
)

UNIT = Axis("share", 0.0, 1.0, (0.0, 0.5, 1.0), percent)
EXACT = Estimate(0.5, 0.4, 0.6)


def words(value):
    return f"{value:.2f}"


def test_an_axis_ends_in_a_round_share_above_all_values():
    assert [shares_axis("x", [top]).high for top in (0.0, 0.05, 0.11, 0.55, 0.61, 0.99, 1.0)] == [
        0.05,
        0.05,
        0.2,
        0.6,
        0.8,
        1.0,
        1.0,
    ]
    ticks = [list(map(percent, shares_axis("x", [top]).ticks)) for top in (0.3, 0.8, 1.0)]
    assert ticks == [["0", "10", "20", "30"], ["0", "20", "40", "60", "80"], ["0", "20", "40", "60", "80", "100"]]


def test_sizes_stand_on_a_logarithmic_scale():
    axis = size_axis("size", [135e6, 7e9])
    assert [axis.words(tick) for tick in axis.ticks] == ["100M", "1B", "10B"]
    assert axis.share(1e9) == pytest.approx(0.5)
    assert [size_words(n) for n in (134_515_008, 1_711_376_384, 999_999_999, 70e9, 512)] == [
        "135M",
        "1.71B",
        "1B",
        "70B",
        "512",
    ]


def test_a_bar_lies_where_its_interval_is():
    drawn = bar(Estimate(0.25, 0.1, 0.5), UNIT, "ece")
    assert 'class="interval ece"' in drawn
    assert '<path class="range" d="M10 6H50"/><circle cx="25"' in drawn
    assert 'class="range"' not in bar(Estimate(0.25, None, None), UNIT, "ece")


def test_a_forest_plot_tells_and_draws_each_row_up_to_a_bound():
    rows = [Line(f"model {i}", EXACT, group=i // 2) for i in range(MAX_ROWS + 5)]
    root = ElementTree.fromstring(lines("f", rows, "Hallucination", UNIT, words))
    assert len(root.findall(".//circle")) == MAX_ROWS
    assert len([e for e in root.findall(".//line") if e.get("class") == "between"]) == MAX_ROWS // 2 - 1
    assert root.find("desc").text.startswith("model 0 0.50 [0.40, 0.60]; model 1")


def test_a_scatter_plot_leads_from_a_base_to_what_came_of_it():
    points = [Point("b", "base", EXACT, EXACT), Point("t", "tuned", Estimate(1.0, None, None), EXACT, base="b")]
    root = ElementTree.fromstring(scatter("s", points, "Both", UNIT, UNIT, words))
    hints = [e.find("title").text for e in root.iter("path") if e.find("title") is not None]
    assert hints == ["base → tuned", "base: 50; 0.50 [0.40, 0.60]", "tuned: 100; 0.50 [0.40, 0.60]"]
    assert len([e for e in root.iter("path") if e.get("class") == "whisker"]) == 3


def test_labels_never_lie_over_one_another():
    points = [Point(str(i), f"a rather long name {i}", Estimate(0.5, 0.4, 0.6), EXACT) for i in range(30)]
    text = scatter("s", points, "Both", UNIT, UNIT, words)
    assert 1 <= text.count('class="point-label"') <= 4


@pytest.mark.parametrize("name", HOSTILE[:60:7])
def test_no_name_becomes_markup(name):
    line, point = Line(name, EXACT), Point("0", name, EXACT, EXACT)
    for drawn in (lines("f", [line], name, UNIT, words), scatter("s", [point], name, UNIT, UNIT, words)):
        assert not re.search("<(script|img|a|iframe|style|foreignObject)", drawn)
        assert "onerror=" not in re.sub("&#39;|&#34;", "", drawn) or "&lt;" in drawn
