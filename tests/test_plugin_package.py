"""The plugin of docs/plugin.md, installed with pip and used through the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "tests" / "plugin"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return shutil.copytree(PLUGIN, tmp_path_factory.mktemp("source") / "plugin")


@pytest.fixture(scope="module")
def site(source, tmp_path_factory):
    """Where pip put the plugin; nothing is downloaded."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def halueval(site, tmp_path):
    def call(*arguments):
        path = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, "-m", "halueval", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
        )

    return call


def test_its_task_and_its_figure_are_listed(halueval):
    listed = halueval("tasks", "ls")
    assert re.search(r"^moons\tqa\ten\t", listed.stdout, re.MULTILINE), listed.stderr
    shown = halueval("scorers", "show", "hedge_rate")
    assert "answers that say they are unsure" in shown.stdout, shown.stderr


def test_a_run_reports_its_figure_with_an_interval(halueval, models, tmp_path):
    done = halueval("run", "-m", models("causal"), "-t", "moons", "--limit", "12", "-o", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").glob("*/moons/*/run.json")
    figure = json.loads(path.read_text(encoding="utf-8"))["metrics"]["hedge_rate"]
    assert figure["n_scored"] + figure["n_unscored"] == 12
    # A random model hedges in no answer: the rate is 0, and Wilson's interval of n such answers ends at z²/(n + z²).
    n, z2 = figure["n_scored"], 1.959964**2
    assert figure["value"] == 0
    assert figure["ci_low"] == 0
    assert figure["ci_high"] == pytest.approx(z2 / (n + z2), abs=1e-4)
    assert figure["ci_method"] == "wilson"


def test_the_tutorial_shows_the_files_as_they_are():
    text = (ROOT / "docs" / "plugin.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for name in ("pyproject.toml", "halueval_moons/hedging.py", "halueval_moons/tasks/moons.yaml"):
        assert (PLUGIN / name).read_text(encoding="utf-8") in blocks, name
    assert (PLUGIN / "test_hedging.py").read_text(encoding="utf-8") in blocks


def test_the_tests_that_the_tutorial_shows_pass(source, site):
    path = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_hedging.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=source,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
