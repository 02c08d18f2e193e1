"""The command line without a model: help, names, exit codes, start-up."""

import subprocess
import sys

import pytest


def halueval(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "halueval", *arguments], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["tasks", "ls"],
        ["models", "ls"],
        ["scorers", "ls"],
        ["scorers", "ls", "--consistency"],
        ["scorers", "show", "lite"],
        ["run", "--help"],
        ["validate-scorer", "--help"],
        ["calibrate", "--help"],
    ],
)
def test_nothing_heavy_is_imported_before_a_model_is_needed(arguments):
    code = (
        "import sys; from halueval.cli.main import main; sys.argv = ['halueval', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'transformers', 'datasets', 'pandas', 'evaluate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version():
    done = halueval("--version")
    assert done.stdout.startswith("halueval, version ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rum"], "no command 'rum'; did you mean 'run'?"),
        (["run", "-t", "facts_qa"], "Missing option '--model'"),
        (["run", "-m", "smollm2-135m-instruct", "-t", "facts_qa", "--limit", "0"], "0 is not in the range"),
        (["run", "-m", "smollm2-135m-instruct", "-t", "facts_qa", "--limt", "3"], "--limt"),
        (["run", "-m", "smollm2-135m-instruct", "-t", "facts_qa", "-b", "many"], "'many' is neither 'auto'"),
        (["run", "-m", "smollm2-135m-instruct", "-t", "facts_qa", "--dtype", "float8"], "float8"),
        (["run", "-m", "smollm2-135m-instruct", "-t", "fact_qa"], "unknown task 'fact_qa'; did you mean 'facts_qa'"),
        (["run", "-m", "smollm3-135m", "-t", "facts_qa"], "unknown model 'smollm3-135m'; did you mean 'smollm2-135m'"),
        (["run", "-m", ",", "-t", "facts_qa"], "need a name each"),
        (["tasks", "show", "fact_qa"], "did you mean 'facts_qa'"),
        (["models", "show", "smollm"], "unknown model 'smollm'"),
        (["scorers", "show", "exact_mach"], "did you mean 'exact_match'"),
        (["scorers", "show", "summac"], "did you mean 'summac_zs'"),
        (["pull", "fact_qa"], "did you mean 'facts_qa'"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2_and_nothing_is_written(invoke, monkeypatch, tmp_path, arguments, told):
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_options_may_be_spelt_with_underscores(invoke):
    done = invoke("run", "--model", "nothing-like-it", "--task", "facts_qa", "--batch_size", "4")
    assert "unknown model" in done.stderr
