"""Reading samples by chunks: the same columns wherever a chunk ends, and the line of a row at fault."""

from __future__ import annotations

import math

import numpy as np
import planted
import pytest

from halueval.compare import columns as module
from halueval.compare.columns import read_columns
from halueval.errors import DataError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("columns")
    return planted.run_of(planted.facts_task(root, 7), root, wrong={2}, silent={4})


def test_chunks_leave_no_trace(run, monkeypatch):
    whole = read_columns(run)
    monkeypatch.setattr(module, "_CHUNK", 3)
    parts = read_columns(run)
    for name in ("sample_ids", "keys", "target_hashes", "clusters", "answers", "groups"):
        assert getattr(parts, name) == getattr(whole, name)
    for name in ("state", "confidence", "tokens", "characters", "choice_nll", "flags"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    for name in ("scores", "left_out", "stats"):
        ours, theirs = getattr(parts, name), getattr(whole, name)
        assert list(ours) == list(theirs)
        for figure in ours:
            np.testing.assert_array_equal(ours[figure], theirs[figure])


def test_figures_and_statistics_that_some_rows_lack(run, tmp_path, monkeypatch):
    rows = planted.rows_of(run)
    rows[4]["scores"]["late"] = 0.5
    rows[4]["stats"] = {"late": [1, 2], "uneven": [1]}
    rows[5]["stats"] = {"uneven": [1, 2]}
    rows[6]["scores"]["late"] = None
    rows[6]["reasons"] = {"late": "abstained"}
    monkeypatch.setattr(module, "_CHUNK", 3)
    found = read_columns(planted.rewrite(run, tmp_path / "changed", rows))
    np.testing.assert_array_equal(found.scores["late"], [math.nan] * 4 + [0.5] + [math.nan] * 2)
    assert found.left_out["late"].tolist() == [False] * 6 + [True]
    assert found.stats["late"].tolist() == [[0, 0]] * 4 + [[1, 2]] + [[0, 0]] * 2
    assert "uneven" not in found.stats


@pytest.mark.parametrize("change", [{"state": "dreaming"}, {"confidence": "high"}, {"confidence": [0.5]}, {"flags": 3}])
def test_the_line_of_a_row_at_fault_is_named(run, tmp_path, monkeypatch, change):
    rows = planted.rows_of(run)
    rows[5].update(change)
    monkeypatch.setattr(module, "_CHUNK", 4)
    with pytest.raises(DataError, match="line 6: is no sample of a run"):
        read_columns(planted.rewrite(run, tmp_path / "broken", rows))
