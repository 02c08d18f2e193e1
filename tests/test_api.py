"""The Python API on a small causal model."""

import doctest

import pytest
from runs import write_task

import halueval
from halueval.errors import DataError, UsageError


@pytest.fixture
def capitals(models, tmp_path):
    (run,) = halueval.run(str(models("causal")), str(write_task(tmp_path)), output=tmp_path / "out")
    return run


def test_run_gives_frames_of_metrics_and_samples(capitals):
    assert capitals.metrics.loc["exact_match", "n_scored"] == 10
    assert list(capitals.metrics.columns[:3]) == ["value", "ci_low", "ci_high"]
    assert len(capitals.samples) == 10
    assert capitals.samples["score.exact_match"].mean() == capitals.metrics.loc["exact_match", "value"]
    assert set(capitals.samples["group.country"]) >= {"France", "Fiji"}
    assert (capitals.samples["state"].value_counts().to_dict()) == {
        state: n for state, n in capitals.record["states"].items() if n
    }


def test_load_run_reads_a_directory_or_its_file(capitals):
    assert halueval.load_run(capitals.path).record == capitals.record
    assert halueval.load_run(str(capitals.path / "run.json")).run_id == capitals.run_id


def test_load_run_refuses_what_is_no_finished_run(capitals, tmp_path):
    with pytest.raises(DataError, match="no such directory"):
        halueval.load_run(tmp_path / "nowhere")
    (capitals.path / "samples.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="changed after the run"):
        _ = halueval.load_run(capitals.path).samples
    text = (capitals.path / "run.json").read_text()
    (capitals.path / "run.json").write_text(text.replace('"schema_version": 1', '"schema_version": 9', 1))
    with pytest.raises(DataError, match="schema version 9; this halueval reads version 1"):
        halueval.load_run(capitals.path)
    (capitals.path / "run.json").unlink()
    with pytest.raises(DataError, match="unfinished"):
        halueval.load_run(capitals.path)


def test_a_metric_that_a_task_cannot_give_is_refused(models, tmp_path):
    task = write_task(tmp_path, metric_list=["mc1"])
    with pytest.raises(UsageError, match=r"metric 'mc1' needs choices"):
        halueval.run(str(models("causal")), str(task), output=tmp_path / "out")


def test_documented_examples_hold():
    assert doctest.testmod(halueval, optionflags=doctest.ELLIPSIS).failed == 0
    from halueval import api

    result = doctest.testmod(api, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
