"""What `results/` holds: the tables are those of its runs, and `make leaderboard` runs what is not there."""

import importlib.util
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_runs import write_run

from halueval.cli.main import cli
from halueval.leaderboard.build import build_board
from halueval.leaderboard.settings import BoardSpec, read_spec

RESULTS = Path(__file__).parents[2] / "results"
FILES = {"markdown": "LEADERBOARD.md", "json": "leaderboard.json", "csv": "leaderboard.csv"}


@pytest.fixture
def generate():
    spec = importlib.util.spec_from_file_location("results_generate", RESULTS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_tables_are_those_of_the_committed_runs():
    options = [part for kind, name in FILES.items() for part in (f"--{kind}", str(RESULTS / name))]
    made = CliRunner().invoke(
        cli, ["leaderboard", "--results", str(RESULTS), *options, "--check"], standalone_mode=False
    )
    assert made.return_value == 0, made.output


def test_the_committed_board_has_every_run_that_its_settings_name():
    spec = read_spec(None, [RESULTS])
    made = build_board([RESULTS], spec, verify=True)
    runs = {model.name: sorted(model.runs) for model in made.models}
    assert {name: runs.get(name) for name in (*spec.models, *spec.recipes)} == {
        name: sorted(spec.tasks) for name in (*spec.models, *spec.recipes)
    }


def test_a_recipe_is_trained_only_where_a_run_of_it_is_missing(generate, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "HERE", tmp_path)
    for task in ("one", "two"):
        write_run(tmp_path, "here", task)
    write_run(tmp_path, "half", "one")
    spec = BoardSpec(tasks=["one", "two"])
    assert generate.lacking(["here", "half", "new"], spec) == ["half", "new"]


def test_models_are_run_as_the_settings_say_and_a_failure_stops_everything(generate, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "HERE", tmp_path)
    (tmp_path / "leaderboard.yaml").write_text(
        "limit: 5\ndtype: float32\nmodels: [alpha, beta]\nrecipes: [tuned]\ntasks: [one, two]\n"
    )
    calls = []

    def record(command, check):
        calls.append(command[3:])
        return subprocess.CompletedProcess(command, 3 if "beta" in command else 0)

    monkeypatch.setattr(generate.subprocess, "run", record)
    monkeypatch.setattr("sys.argv", ["generate.py"])
    with pytest.raises(SystemExit) as ended:
        generate.main()
    assert ended.value.code == 3
    assert [call[:3] for call in calls] == [["run", "--model", "alpha"], ["run", "--model", "beta"]]
    assert calls[0][3:] == ["--task", "one,two", "--output", str(tmp_path), "--limit", "5", "--dtype", "float32"]
