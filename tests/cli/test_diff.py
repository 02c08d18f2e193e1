"""`halueval diff` on the command line: outputs, gates, and bad input in one line."""

from __future__ import annotations

import json
import shutil
from xml.etree import ElementTree as ET

import planted
import pytest

import halueval

FAST = ("--n-resamples", 200)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return planted.planted_runs(tmp_path_factory)


def test_table_on_standard_output(invoke, runs):
    done = invoke("diff", runs["base"].path, runs["planted"].path, *FAST)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("Fine-tuning made the model hallucinate on 12 of the 150 questions")
    line = next(line for line in done.stdout.splitlines() if "exact_match" in line)
    assert line.split()[:6] == ["capitals", "exact_match", "↑", "0.7500", "0.6900", "-0.0600"]
    assert "mcnemar-exact" in line
    assert "\x1b" not in done.stdout


def test_model_names_are_looked_up_under_results(invoke, runs):
    done = invoke("diff", "base", "planted", "slight", "--results", runs["out"], "--json", "-", *FAST)
    record = json.loads(done.stdout)
    assert [record["candidate"]["label"], record["further"][0]["candidate"]["label"]] == ["planted", "slight"]
    task = record["tasks"]["capitals"]
    assert task["n_paired"] == 200
    assert {"base", "candidate", "delta", "ci_low", "ci_high", "p_value", "p_adjusted", "test", "mde"} <= set(
        task["metrics"]["exact_match"]
    )
    assert {"induced", "repaired"} == set(task["samples"])


def test_all_outputs_at_once(invoke, runs, tmp_path):
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "markdown", "html", "junit")}
    options = [part for kind, file in files.items() for part in (f"--{kind}", file)]
    done = invoke("diff", runs["base"].path, runs["planted"].path, *options, "--fail-on", "regression", "-q", *FAST)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "gate 'regression' failed on capitals for planted: significantly worse: "
        "net_rate +0.0600 (adjusted p 0.0004883), exact_match -0.0600 (adjusted p 0.0004883)"
    ]
    assert json.loads(files["json"].read_text())["gates"][0]["failed"]
    markdown = files["markdown"].read_text()
    assert "| **capitals** | **exact\\_match ↑** |" in markdown
    assert markdown.count("<details>") == markdown.count("</details>") == 1
    suite = ET.fromstring(files["junit"].read_text())
    assert suite.find(".//testcase[@classname='capitals']/failure") is not None
    assert files["html"].read_text().lower().startswith("<!doctype html>")


def test_gates_on_base_against_itself_never_fail(invoke, runs):
    gates = ("regression", "induced_rate.ci_low > 0", "exact_match.delta < -0.02", "token_f1.ci_high < 0")
    options = [part for gate in gates for part in ("--fail-on", gate)]
    done = invoke("diff", runs["base"].path, runs["base"].path, *options, *FAST)
    assert done.returncode == 0
    assert "No detectable change" in done.stdout
    assert "points with 80 % power" in done.stdout


def test_text_of_models_cannot_break_out_of_markdown(invoke, runs, tmp_path):
    hostile = " <script>alert(1)</script> | [x](http://evil) `a` @everyone **b**"
    bad = planted.run_of(runs["task"], tmp_path, wrong=[0], text=hostile, weights="h", name="<b>h|x")
    good = planted.run_of(runs["task"], tmp_path)
    done = invoke("diff", good.path, bad.path, "--markdown", "-", *FAST)
    assert "<script" not in done.stdout
    assert "<b>" not in done.stdout
    assert "@everyone" not in done.stdout
    assert "http://" not in done.stdout
    assert "\\[x\\](" in done.stdout


def refused(invoke, *arguments):
    done = invoke("diff", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_bad_input_is_one_line_and_exit_2(invoke, runs, tmp_path):
    base, other = runs["base"].path, runs["planted"].path
    (tmp_path / "empty").mkdir()
    assert "empty: holds no run.json" in refused(invoke, base, tmp_path / "empty")
    assert "is no run directory; it holds" in refused(invoke, base, runs["out"])
    assert "did you mean 'slight'" in refused(invoke, "base", "sligth", "--results", runs["out"])
    assert "write '[TASK:]FIGURE.FIELD OP NUMBER'" in refused(invoke, base, other, "--fail-on", "exact_match")
    assert "no figure 'exactmatch.delta'" in refused(invoke, base, other, "--fail-on", "exactmatch.delta<0", *FAST)
    assert "no such key" in refused(invoke, base, other, "--allow-mismatch", "colour")
    assert "both go to standard output" in refused(invoke, base, other, "--json", "-", "--html", "-")
    assert "--alpha" in refused(invoke, base, other, "--alpha", "0")
    assert "Missing argument" in refused(invoke, base)
    assert "cannot be written" in refused(invoke, base, other, "--json", "/proc/nowhere/x.json", *FAST)


def test_unfinished_changed_and_other_runs(invoke, runs, tmp_path):
    for name in ("unfinished", "changed", "nonsense"):
        shutil.copytree(runs["planted"].path, tmp_path / name)
    (tmp_path / "unfinished" / "run.json").unlink()
    assert "the run is unfinished" in refused(invoke, runs["base"].path, tmp_path / "unfinished")
    with (tmp_path / "changed" / "samples.jsonl").open("a") as file:
        file.write("{}\n")
    assert "was changed after the run" in refused(invoke, runs["base"].path, tmp_path / "changed")
    nonsense = planted.rewrite(runs["planted"], tmp_path / "rows", [{"prompt": "x"}])
    assert "line 1: is no sample of a run" in refused(invoke, runs["base"].path, nonsense.path)
    rivers = planted.facts_task(tmp_path / "rivers", 5, task="rivers")
    other = planted.run_of(rivers, tmp_path, name="other")
    assert "have no task in common: capitals and rivers" in refused(invoke, runs["base"].path, other.path)


def test_a_mismatch_is_refused_with_how_to_rerun(invoke, runs, tmp_path):
    short = planted.run_of(runs["task"], tmp_path, name="short", weights="x", limit=50)
    line = refused(invoke, runs["base"].path, short.path)
    assert "limit is none in the base and 50 in the candidate: rerun the candidate without --limit" in line
    done = invoke("diff", runs["base"].path, short.path, "--allow-mismatch", "limit", *FAST)
    assert done.returncode == 0
    assert "capitals (!)" in done.stdout
    assert "150 samples have no partner" in done.stdout


def test_python_api(runs):
    made = halueval.diff(runs["base"], [runs["planted"].path, "slight"], results=runs["out"], n_resamples=200)
    assert made.headline.count("\n") == 1
    assert made.metrics.loc[("planted", "capitals", "exact_match"), "delta"] == pytest.approx(-0.06)
    assert made.rates.loc[("planted", "capitals", "induced_rate"), "count"] == 12
    assert made.transitions.loc[("planted", "capitals", "correct"), "hallucinated"] == 12
    assert (made.samples["transition"] == "induced").sum() == 14
    assert made.to_markdown().startswith("## base against 2 candidates")
    assert [r["failed"] for r in made.check("regression")] == [True, False]


def test_several_candidates_stand_in_one_table_over_tasks(invoke, runs):
    done = invoke("diff", runs["base"].path, runs["planted"].path, runs["slight"].path, *FAST)
    table = done.stdout.partition("base against 2 candidates")[2].partition("Fine-tuning made")[0].splitlines()
    heads = [line for line in table if "Candidate" in line and "Verdict" in line]
    assert len(heads) == 1
    claims = [line.split() for line in table if "hallucinated" in line or "exact_match" in line]
    assert [line[0] for line in claims[::2]] == ["capitals", "capitals"]
    assert [line[1] for line in claims[::2]] == ["planted", "slight"]
    assert claims[0][-1] == "worse"
    text = invoke("diff", runs["base"].path, runs["planted"].path, runs["slight"].path, "--markdown", "-", *FAST).stdout
    before = text.partition("### base → planted")[0].replace("**", "")
    assert before.count("| capitals | planted |") == before.count("| capitals | slight |") == 1


def test_confidence_and_form_are_in_the_terminals_and_markdowns_tables(invoke, runs):
    for extra in ((), ("--markdown", "-")):
        shown = invoke("diff", runs["base"].path, runs["planted"].path, *extra, *FAST).stdout
        for words in ("ECE", "chance alone", "Brier", "NLL, nats", "Form and likelihood", "response"):
            assert words in shown, (extra, words)


def test_a_name_that_stood_for_several_weights_means_those_run_last(invoke, runs, tmp_path):
    rivers = planted.facts_task(tmp_path / "rivers", 5, task="rivers")
    for name, weights in (("old", "w"), ("final", "old weights")):
        planted.run_of(rivers, tmp_path / "out", name=name, weights=weights)
    planted.run_of(runs["task"], tmp_path / "out", name="old", weights="w")
    new = planted.run_of(runs["task"], tmp_path / "out", name="final", weights="new weights", wrong=[1])
    later = new.record | {"finished_at": "2099-01-01T00:00:00+00:00"}
    (new.path / "run.json").write_text(json.dumps(later))
    done = invoke("diff", "old", "final", "--results", tmp_path / "out", "--json", "-", *FAST)
    record = json.loads(done.stdout)
    assert list(record["tasks"]) == ["capitals"]
    assert "final has runs of 2 different weights; those run last are used" in record["notes"][0]
    assert "which have no run of rivers" in record["notes"][0]
