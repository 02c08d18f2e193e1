"""GitHub workflows: valid, safe against what a pull request can say, and the commands in them work."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from runs import identity, knows, run_fake, write_task

from halueval.backends.fake import FakeBackend

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def workflows(tmp_path_factory):
    """A repository with our workflows, and those that docs/ci.md has for copying."""
    root = tmp_path_factory.mktemp("repository")
    directory = root / ".github" / "workflows"
    directory.mkdir(parents=True)
    for path in WORKFLOWS:
        shutil.copy(path, directory)
    shutil.copy(ROOT / ".github" / "dependabot.yml", root / ".github")
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    shown = re.findall(r'^```yaml title="\.github/workflows/([\w-]+\.yml)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    assert shown, "docs/ci.md shows no workflow"
    for name, body in shown:
        (directory / name).write_text(body, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root


def tool(name):
    return str(Path(sys.executable).parent / name)


def run(*command, cwd):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=cwd)


def test_actionlint_finds_nothing(workflows):
    files = sorted((workflows / ".github" / "workflows").glob("*.yml"))
    assert len(files) == len(WORKFLOWS) + 1
    done = run(tool("actionlint"), "-no-color", *files, cwd=workflows)
    assert done.returncode == 0, done.stdout


def test_actionlint_would_find_a_mistake(workflows, tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text((workflows / ".github/workflows/ci.yml").read_text().replace("runs-on:", "run-on:"))
    assert "run-on" in run(tool("actionlint"), "-no-color", broken, cwd=tmp_path).stdout


def test_zizmor_finds_no_way_in(workflows):
    # Injection of templates, permissions that are not needed, credentials left behind, actions that are not pinned …
    done = run(tool("zizmor"), "--offline", "--persona=pedantic", "--quiet", "--color=never", ".", cwd=workflows)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_would_find_text_of_a_pull_request_in_a_script(workflows, tmp_path):
    path = tmp_path / "unsafe.yml"
    text = (workflows / ".github/workflows/ci.yml").read_text()
    path.write_text(text.replace("run: make check", "run: echo ${{ github.event.pull_request.title }} && make check"))
    done = run(tool("zizmor"), "--offline", "--quiet", "--color=never", path, cwd=tmp_path)
    assert done.returncode != 0
    assert "template-injection" in done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_jobs_that_run_no_code_of_a_pull_request_may_write(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    for name, job in jobs.items():
        writes = [scope for scope, value in job.get("permissions", {}).items() if value == "write"]
        used = [step.get("uses", "") for step in job["steps"]]
        if writes:
            # Nothing is checked out, so there is nothing of anybody's to run.
            assert not [action for action in used if action.startswith("actions/checkout@")], name


def test_the_matrix_is_what_pyproject_allows():
    allowed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    versions = jobs["test"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == allowed["requires-python"]
    told = [c.rpartition(" ")[2] for c in allowed["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert versions == told


def test_every_make_target_of_a_workflow_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    called = {name for path in WORKFLOWS for name in re.findall(r"(?:run:|^) +make ([\w-]+)", path.read_text(), re.M)}
    assert {"check", "test", "leaderboard", "leaderboard-check", "site-docs"} <= called
    assert called <= targets


# The report of a pull request


@pytest.fixture
def compare(tmp_path, monkeypatch):
    def call(gate="regression"):
        monkeypatch.setenv("HALUEVAL", f"{sys.executable} -m halueval")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("GATE", gate)
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
        script = ROOT / ".github" / "compare.sh"
        return run("bash", script, tmp_path / "before", tmp_path / "after", tmp_path / "report", cwd=tmp_path)

    return call


def make(tmp_path, side, *known, model="fake"):
    task = tmp_path / "capitals.yaml"
    if not task.exists():
        write_task(tmp_path)
    weights = identity(name=model, weights_sha256=" ".join(known) or "none")
    run_fake(task, tmp_path / side, FakeBackend(knows(*known)), model=weights)


COUNTRIES = ("France", "Italy", "Spain", "Japan", "Peru", "Kenya", "Norway", "Cuba", "Chad")


def test_a_model_that_got_worse_fails_the_gate_and_is_told(tmp_path, compare):
    make(tmp_path, "before", *COUNTRIES)
    make(tmp_path, "after")
    done = compare()
    assert done.returncode == 1, done.stderr
    report = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "**Gates**: 1 of 1 failed" in report
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == report
    assert "<html" in (tmp_path / "report" / "fake.html").read_text(encoding="utf-8")
    assert 'failures="1"' in (tmp_path / "report" / "fake.xml").read_text(encoding="utf-8")


def test_a_model_that_is_as_it_was_passes_and_a_new_one_is_not_compared(tmp_path, compare):
    for side in ("before", "after"):
        make(tmp_path, side, "France")
    make(tmp_path, "after", "Italy", model="new")
    done = compare()
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert report.count("**Gates**") == 1
    assert "new" not in report


def test_what_cannot_be_judged_has_not_passed(tmp_path, compare):
    make(tmp_path, "before", "France")
    make(tmp_path, "after", "France")
    done = compare(gate="no_such_figure.delta > 0")
    assert done.returncode == 2
    assert "no_such_figure" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_nothing_in_common_is_said(tmp_path, compare):
    (tmp_path / "before").mkdir()
    make(tmp_path, "after", "France")
    assert compare().returncode == 0
    assert "nothing to compare" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
