"""`halueval calibrate` on the command line: table, files, and bad input in one line."""

import json
import re

import pytest
from calibrated import rewritten, run_choices
from hostile import HOSTILE

FAST = ("--n-resamples", 100)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_choices(tmp_path_factory.mktemp("cli"), calibration="contextual")


def test_table_on_standard_output(invoke, run):
    done = invoke("calibrate", run.path, *FAST)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.match(r"moods by fake: figures of \d+ choices, fitted on \d+ others, of 300 samples$", lines[0])
    assert any(
        re.match(r"  adaptive ECE, equal mass ↓ +as is +0\.\d{4} \(floor 0\.\d{4}\) +\[", line) for line in lines
    )
    assert any(line.split()[:3] == ["contextual", "+", "temperature"] for line in lines)
    assert any(re.match(r"temperature: .*; T = \d\.\d{4} \[\d\.\d{4}, \d\.\d{4}\]$", line) for line in lines)
    assert "Reliability, as is" in lines
    bars = [line for line in lines if re.match(r"   0\.\d{3}  ?[01]\.\d{3} +\d+  [█·│]{40}$", line)]
    assert len(bars) == 30
    assert lines[-1].endswith("paired; the run itself chose by contextual")
    assert "nan" not in done.stdout.lower()
    assert "\x1b" not in done.stdout


def test_json_is_the_record(invoke, run):
    record = json.loads(invoke("calibrate", run.path / "run.json", "--json", "--bins", 7, *FAST).stdout)
    assert (record["schema_version"], record["bins"], record["n"]["total"]) == (1, 7, 300)
    assert len(record["variants"][0]["curve"]) == 7
    assert record["run_id"] == run.run_id


def test_files(invoke, run, tmp_path):
    page, text = tmp_path / "page.html", tmp_path / "text.md"
    done = invoke("calibrate", run.path, "--html", page, "--markdown", text, "-q", *FAST)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    markdown = text.read_text(encoding="utf-8")
    assert "| Figure | Variant | Value | 95 % CI | Change | 95 % CI of change |" in markdown
    assert "<details><summary>Reliability, temperature</summary>" in markdown
    assert all(line.count(" | ") == 5 for line in markdown.splitlines() if line.startswith("| ECE"))
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert html.count('<svg class="plot reliability"') == html.count('<svg class="plot risk"') == 5
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_page_allows_nothing_but_its_style_sheet(invoke, run):
    html = invoke("calibrate", run.path, "--html", "-", *FAST).stdout
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)[1]
    assert policy.startswith("default-src &#39;none&#39;; style-src &#39;sha256-")
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "<script" not in html
    assert "style=" not in html


def test_hostile_names_stay_text(invoke, run, tmp_path):
    copy = rewritten(run, tmp_path / "copy", lambda rows: rows)
    path = copy.path / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["model"]["name"] = " ".join(HOSTILE[:60]) + " [red]x[/red] | `a` @everyone"
    path.write_text(json.dumps(record), encoding="utf-8")
    html = invoke("calibrate", copy.path, "--html", "-", *FAST).stdout
    for tag in ("<script", "<img", "<iframe", "<base", "<body onload", "<details open"):
        assert tag not in html
    # As text the words are there.
    assert "&lt;script&gt;" in html
    markdown = invoke("calibrate", copy.path, "--markdown", "-", *FAST).stdout
    assert "<script" not in markdown
    assert "@everyone" not in markdown
    assert "[red]x[/red]" in invoke("calibrate", copy.path, *FAST).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--html", "-"], "--json and --html both go to standard output"),
        (["--markdown", "x", "--html", "x"], "--html and --markdown both go to x"),
        (["--bins", "0"], "Invalid value for '--bins'"),
    ],
)
def test_options_that_cannot_be_right(invoke, run, options, message):
    done = invoke("calibrate", run.path, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_no_run(invoke, tmp_path):
    done = invoke("calibrate", tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no run.json; no such directory" in done.stderr


def test_changed_samples_are_refused(invoke, run, tmp_path):
    copy = rewritten(run, tmp_path / "copy", lambda rows: rows)
    with (copy.path / "samples.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    done = invoke("calibrate", copy.path)
    assert done.returncode == 2
    assert "was changed after the run" in done.stderr


def test_too_few_samples(invoke, tmp_path):
    done = invoke("calibrate", run_choices(tmp_path, n=12).path)
    assert done.returncode == 2
    assert "calibration needs at least 20 in each half: run the task with a larger --limit" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_run_takes_a_calibration(invoke):
    text = invoke("run", "--help").stdout
    assert "--calibration [none|contextual|domain|pmi|batch]" in text
    done = invoke("run", "-m", "x", "-t", "y", "--calibration", "magic")
    assert done.returncode == 2
    assert "'magic' is not one of" in done.stderr
