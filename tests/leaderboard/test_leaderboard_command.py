"""`halueval leaderboard`: files, the same bytes every time, and --check."""

import csv
import io
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from made_runs import write_run

from halueval.cli.main import cli
from halueval.errors import DataError, UsageError
from halueval.report.leaderboard_markdown import BEGIN, END, between_markers

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b",
    "`x`",
    "[a](javascript:alert(1))",
    "=1+1",
    "a\nb",
    "\u202eevil",
    "{{x}}",
    "</details><!-- halueval:leaderboard:end -->",
    "half \ud800",
    "\x1b[2Jcleared",
    "@everyone www.example.org",
]


def run(*arguments):
    return CliRunner().invoke(cli, ["leaderboard", *map(str, arguments)], standalone_mode=False)


@pytest.fixture
def results(tmp_path):
    root = tmp_path / "results"
    write_run(root, "base", rate=(0.3, 0.2, 0.4))
    write_run(root, "tuned", rate=(0.6, 0.5, 0.7), base="base")
    write_run(root, "tuned", "other", rate=(0.6, 0.5, 0.7), base="base")
    write_run(root, "base", "other", rate=(0.5, 0.4, 0.6))
    return root


def test_the_table_is_printed_and_what_was_left_out_is_said(results):
    write_run(results, "short", limit=5)
    made = run("--results", results)
    assert made.return_value == 0
    assert "| base |  | 1. 40.0 % [32.9, 47.1] | 100.0 %" in made.stdout
    assert "| tuned | base | 2. 60.0 % [52.9, 67.1]" in made.stdout
    assert "left out: short/facts" in made.stderr


def test_a_file_keeps_what_stands_around_the_table(results, tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"# Ours\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    assert run("--results", results, "--markdown", file).return_value == 0
    text = file.read_text()
    assert text.startswith(f"# Ours\n\n{BEGIN}\n*means over 2 tasks: facts, other*\n")
    assert text.endswith(f"{END}\n\nThe end.\n")
    assert "old" not in text


def test_check_says_nothing_of_fresh_files_and_shows_what_is_stale(results, tmp_path):
    targets = ["--markdown", tmp_path / "L.md", "--json", tmp_path / "l.json", "--csv", tmp_path / "l.csv"]
    assert run("--results", results, *targets).return_value == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert run("--results", results, *targets, "--check", "-q").output == ""
    write_run(results, "third", rate=(0.1, 0.05, 0.2))
    made = run("--results", results, *targets, "--check")
    assert made.return_value == 1
    assert "+++ " in made.stdout
    assert "third" in made.stdout
    assert made.stderr.count("is stale") == 3
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_bytes_do_not_depend_on_time_zone_locale_or_the_order_of_files(results, tmp_path):
    shuffled = tmp_path / "shuffled"
    runs = sorted(path.parent for path in results.rglob("run.json"))
    random.Random(3).shuffle(runs)
    for path in runs:
        shutil.copytree(path, shuffled / path.relative_to(results))
    outputs = []
    for number, (root, zone, locale) in enumerate([(results, "UTC", "C"), (shuffled, "Asia/Tokyo", "C.UTF-8")]):
        out = tmp_path / f"out{number}"
        out.mkdir()
        command = [
            "leaderboard",
            "-q",
            "--results",
            str(root),
            "--markdown",
            "L.md",
            "--json",
            "l.json",
            "--csv",
            "l.csv",
        ]
        subprocess.run(
            [sys.executable, "-m", "halueval", *command],
            check=True,
            cwd=out,
            env={**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": str(number)},
        )
        outputs.append([(out / name).read_bytes() for name in ("L.md", "l.json", "l.csv")])
    assert outputs[0] == outputs[1]


def test_csv_and_json_hold_the_same_figures(results):
    rows = list(csv.DictReader(io.StringIO(run("-q", "--results", results, "--csv", "-").stdout)))
    record = json.loads(run("-q", "--results", results, "--json", "-").stdout)
    (row,) = [r for r in rows if (r["model"], r["task"], r["column"]) == ("tuned", "facts", "hallucination_rate")]
    entry = record["tasks"][0]["entries"][1]
    assert (
        (entry["model"], entry["cells"]["hallucination_rate"]["value"])
        == ("tuned", float(row["value"]))
        == ("tuned", 0.6)
    )
    assert {r["task"] for r in rows} == {"*", "facts", "other"}
    assert record["pairs"] == [{"base": "base", "candidate": "tuned"}]


def test_a_model_card_gets_a_model_index(results):
    card = yaml.safe_load(run("--results", results, "--model-card", "tuned").stdout)
    (index,) = card["model-index"]
    assert (card["base_model"], index["name"]) == ("base", "tuned")
    found = {(r["dataset"]["name"], m["type"]): m["value"] for r in index["results"] for m in r["metrics"]}
    assert found["facts", "hallucination_rate"] == 0.6
    assert found["other", "exact_match"] == 0.4
    with pytest.raises(UsageError, match=r"--model-card tunde: not on the board.*tuned"):
        raise run("--results", results, "--model-card", "tunde").exception


def test_hostile_names_are_text(tmp_path):
    for number, name in enumerate(HOSTILE):
        write_run(tmp_path, name, directory=tmp_path / str(number), weights=str(number))
    text = run("-q", "--results", tmp_path, "--markdown", "-").stdout
    rows = [line for line in text.splitlines() if line.startswith("| ") and "40.0 %" in line]
    assert len(rows) == 2 * len(HOSTILE)  # the overview and one task: no name breaks a line
    assert all(line.replace("\\|", "").count("|") == rows[0].replace("\\|", "").count("|") for line in rows)
    assert "<script>" not in text
    assert text.count(END) == 0
    assert not {"\u202e", "\x1b", "\ud800"} & set(text)
    assert "&lt;U+202E&gt;evil" in text
    assert "\\[a\\](javascript" in text
    lines = list(csv.DictReader(io.StringIO(run("-q", "--results", tmp_path, "--csv", "-").stdout)))
    assert "'=1+1" in {line["model"] for line in lines}


@pytest.mark.parametrize(
    ("text", "counts"),
    [("nothing here", "0 and 0"), (f"{BEGIN}\n{BEGIN}\n{END}", "2 and 1"), (f"{END}\n{BEGIN}", "1 and 1")],
)
def test_a_file_without_one_pair_of_markers_is_refused(text, counts):
    with pytest.raises(DataError, match=f"L.md: needs the lines .* {counts}"):
        between_markers(text, "table", "L.md")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--check"], "--check needs files"),
        (["--json", "a", "--csv", "a"], "a is named twice"),
        (["--model-card", "m", "--json", "a"], "--model-card goes to standard output"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(arguments, said):
    with pytest.raises(UsageError, match=said):
        raise run(*arguments).exception
