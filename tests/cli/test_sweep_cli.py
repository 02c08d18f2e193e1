"""`halueval sweep` on the command line: what it lists, and bad input in one line."""

from __future__ import annotations

import pytest


def test_studies_that_ship_are_listed(invoke):
    done = invoke("sweep", "--list")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["all-arms", "cheap-arms"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "sweep needs a STUDY; `halueval sweep --list` shows what there is"),
        (("cheap-arm",), "unknown study 'cheap-arm'; did you mean 'cheap-arms'?"),
        (("./nowhere.yaml",), "study './nowhere.yaml': no such file"),
        (("cheap-arms", "--json", "-", "--html", "-"), "--json and --html both go to standard output"),
    ],
)
def test_bad_input_is_told_in_one_line(invoke, given, said):
    done = invoke("sweep", *given)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
