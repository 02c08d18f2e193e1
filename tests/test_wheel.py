"""The built wheel, in a clean environment, with the sources gone."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PINS = str(ROOT / "constraints.txt")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    target = tmp_path_factory.mktemp("wheel")
    # The build backend is in this environment already: nothing is downloaded.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = target.glob("halueval-*.whl")
    return built


def test_tasks_models_and_data_are_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "halueval/_data/tasks/facts_qa.yaml" in names
    assert "halueval/_data/tasks/facts/facts.jsonl" in names
    assert "halueval/_data/models/smollm2-135m-instruct.yaml" in names
    assert "halueval/annotated/sets/qags_xsum.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "results/")) or "__pycache__" in name]


@pytest.mark.slow
def test_it_runs_in_a_clean_environment_without_extras(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        PINS,
        str(wheel),
    ]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if "Failed to establish a new connection" in done.stderr or "No address associated" in done.stderr:
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr

    def run(*arguments):
        command = [tmp_path / "env" / "bin" / "halueval", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    def ask(code):
        command = [python, "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout.strip()

    assert ask("import halueval; print(halueval.__file__)").startswith(str(tmp_path))
    assert ask("import importlib.util as u; print(u.find_spec('peft'), u.find_spec('pytest'))") == "None None"
    # transformers reads GGUF, the embedded model's format, only with both of these.
    assert "None" not in ask("import importlib.util as u; print(u.find_spec('gguf'), u.find_spec('accelerate'))")
    assert "Commands:" in run("--help")
    assert "facts_qa" in run("tasks", "ls")
    assert "smollm2-135m-instruct" in run("models", "ls")
    assert "exact_match" in run("scorers", "ls")
    assert "Helsinki is the capital of which country?" in run("tasks", "show", "facts_qa")
