"""The built wheel, in a clean environment, with the sources gone."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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
    assert not [name for name in names if name.startswith(("tests/", "results/")) or "__pycache__" in name]


def test_it_runs_in_a_clean_environment_without_extras(wheel, tmp_path):
    """Dependencies are lent by this environment, except the extras: peft must not be needed."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    lent = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    # Appended after the wheel's own directory; the editable install of this checkout is left out on purpose.
    (Path(site) / "lent.py").write_text(
        "import sys\n"
        f"sys.path.append({lent!r})\n"
        "class NoExtras:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('peft', 'sentencepiece'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoExtras())\n"
    )
    (Path(site) / "lent.pth").write_text("import lent\n")

    def run(*arguments):
        command = [python, "-m", "halueval", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    where = subprocess.run(
        [python, "-c", "import halueval; print(halueval.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    ).stdout
    assert where.startswith(site)
    assert "Commands:" in run("--help")
    assert "facts_qa" in run("tasks", "ls")
    assert "smollm2-135m-instruct" in run("models", "ls")
    assert "exact_match" in run("scorers", "ls")
    assert "wheel" not in run("tasks", "show", "facts_qa").splitlines()[0]
