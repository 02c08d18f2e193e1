"""The printed table of uncertainty, and what the command line refuses and does with a small model."""

import io
import json
from pathlib import Path

import pytest
from runs import run_fake, write_task
from small_models import save_causal
from unsure import SETTINGS, backend

from halueval.errors import ModelError
from halueval.report.tables import print_runs
from halueval.uncertainty.measures import COSINE, MEASURES


def printed(run, width=120):
    out = io.StringIO()
    if width < 120:
        out.isatty = lambda: True
    print_runs([run], out)
    return out.getvalue()


def test_the_table_has_every_figure_and_says_what_chance_is(tmp_path):
    run, _ = run_fake(write_task(tmp_path), tmp_path / "out", backend(), uncertainty=SETTINGS)
    text = printed(run)
    assert "by chance AUROC is 0.5, AURAC the accuracy (0.4444), PRR 0" in text
    (line,) = (line for line in text.splitlines() if line.split()[:1] == ["exact_match_entropy"])
    # Four right, then five wrong: (4 + 4/5 + 4/6 + 4/7 + 4/8 + 4/9) / 9.
    assert line.split() == ["exact_match_entropy", "1.0000", "–", "0.7758", "1.0000", "–", "9", "0"]
    assert "…" not in text


def test_a_narrow_terminal_gets_fewer_columns_and_no_cut_cell(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    run, _ = run_fake(write_task(tmp_path), tmp_path / "out", backend(), uncertainty=SETTINGS)
    text = printed(run, width=80)
    assert "…" not in text
    assert "PRR of" not in text
    (line,) = (line for line in text.splitlines() if line.split()[:1] == ["exact_match_entropy"])
    assert line.split() == ["exact_match_entropy", "1.0000", "–", "9", "0"]


def test_without_uncertainty_there_is_no_such_table(tmp_path):
    run, _ = run_fake(write_task(tmp_path), tmp_path / "out", backend())
    assert "AUROC" not in printed(run)


@pytest.fixture
def without_encoder(monkeypatch):
    """No test fetches the encoder."""

    def missing(_):
        raise ModelError("not here")

    monkeypatch.setattr("halueval.uncertainty.settings.packaged_encoder", missing)


def test_a_small_model_end_to_end(tmp_path, invoke, without_encoder):
    # A window that holds all draws in the prompt that asks whether the answer is true.
    model = save_causal(tmp_path / "model", window=1024)
    arguments = ["run", "-m", model, "-t", write_task(tmp_path), "-o", tmp_path / "out"]
    done = invoke(*arguments, "--uncertainty", "--num-draws", 3, "--draw-temperature", 1.5, "--json")
    assert done.returncode == 0, done.stderr
    assert "figures that compare meanings are left out: no sentence encoder: not here" in done.stderr
    (record,) = json.loads(done.stdout)
    settings = record["identity"]["uncertainty"]
    assert (settings["num_draws"], settings["temperature"]) == (3, 1.5)
    (samples,) = (tmp_path / "out").rglob("samples.jsonl")
    for row in map(json.loads, samples.read_text(encoding="utf-8").splitlines()):
        assert len(row["draws"]) == 3
        assert row["uncertainty"]["sequence_nll"] > 0
        assert 0 < row["uncertainty"]["mean_token_entropy"] <= row["uncertainty"]["max_token_entropy"]
        assert 0 < row["uncertainty"]["p_false"] < 1
    assert "uncertainty of right answers" in invoke(*arguments, "--uncertainty", "--num-draws", 3).stdout


@pytest.mark.parametrize("option", [("--num-draws", 3), ("--draw-temperature", 0.5), ("--uncertainty-nli", "any")])
def test_draws_without_uncertainty_are_refused(tmp_path, invoke, option):
    done = invoke("run", "-m", "any", "-t", write_task(tmp_path), "-o", tmp_path / "out", *option)
    assert done.returncode == 2
    said = "--num-draws, --draw-temperature and --uncertainty-nli need --uncertainty, which draws further answers"
    assert done.stderr == f"halueval: {said}\n"
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def small(models):
    """Built before standard error is looked at, on which the building leaves its progress."""
    return models("causal")


def test_uncertainty_of_a_task_that_does_not_generate_is_refused_before_anything(small, tmp_path, invoke):
    done = invoke("run", "-m", small, "-t", "rte", "--uncertainty", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--uncertainty is for question answering by generation; task" in done.stderr
    assert not (tmp_path / "out").exists()


def test_every_figure_is_explained():
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    section = text.split("## Uncertainty\n")[1].split("\n## ")[0]
    assert [name for name in MEASURES if f"`{name}`" not in section] == []
    assert f"cosine ≥ {COSINE}" in section
