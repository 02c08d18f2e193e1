"""The whole study with a tiny model: it goes on after an interruption, and ends in the same record."""

import json
from dataclasses import replace

import pytest
from tuning import write_labels, write_task

from benchmarks.study.__main__ import parse, write_page
from benchmarks.study.run import Watch, read_record, study, write_record
from benchmarks.study.settings import Settings
from halueval.errors import DataError
from halueval.finetune.progress import SilentTraining
from halueval.job import SilentObserver


class Stopping(SilentTraining):
    """Interrupts the training that is under way."""

    def step(self, step, loss):
        raise KeyboardInterrupt


@pytest.fixture
def little(tmp_path):
    import small_models
    import torch

    from halueval.backends.loading import locate
    from halueval.registry import Registry

    base = small_models.save_causal(tmp_path / "tiny")
    task = write_task(tmp_path / "tasks")
    weights = locate(Registry().model(str(base)), adapter=None).identity(torch.float32).weights_sha256
    labels = write_labels(tmp_path / "labels.jsonl", task, weights, 4)
    settings = Settings(model=str(base), task=str(task), facts=16, train=2, shares=(0.0, 1.0), seeds=(0, 1), epochs=2,
                        evaluated=(1, 2), batch_size=2, learning_rate=0.01, n_resamples=50)  # fmt: skip
    return settings, labels


def watch(training=SilentTraining):
    return Watch(lambda text: None, SilentObserver, training)


def test_study_goes_on_and_says_the_same(tmp_path, little):
    settings, labels = little
    whole = study(settings, tmp_path / "whole", labels, watch())
    made = iter([SilentTraining, Stopping])
    with pytest.raises(KeyboardInterrupt):
        study(settings, tmp_path / "cut", labels, watch(lambda: next(made)()))
    assert len(list((tmp_path / "cut" / "trained").glob("*.json"))) == 1
    again = study(settings, tmp_path / "cut", labels, watch())
    for record in (whole, again):
        record.pop("training_seconds")
        for one in record["trainings"]:
            one.pop("seconds")
    assert again == whole
    assert whole["facts"]["labelled"] == {"HighlyKnown": 8, "MaybeKnown": 0, "WeaklyKnown": 0, "Unknown": 8}
    assert [(t["share"], t["seed"]) for t in whole["trainings"]] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert not list((tmp_path / "cut" / "training").glob("**/*.safetensors"))
    with pytest.raises(DataError, match="another study"):
        study(replace(settings, epochs=3), tmp_path / "cut", labels, watch())


def test_page_says_what_the_record_says(tmp_path, little):
    settings, labels = little
    file = tmp_path / "study.json"
    write_record(file, study(settings, tmp_path / "work", labels, watch()))
    record = read_record(file)
    figure = {"value": -8.25, "ci_low": -9.0, "ci_high": -7.5, "reason": None}
    record["outcomes"]["known"]["law"]["unknown_fitted"] = figure
    written = write_page(tmp_path / "docs", record)
    page = written[0].read_text()
    assert "-8.2 [-9.0, -7.5] (negative)" in page
    assert "8 HighlyKnown" in page
    assert "nan" not in page.lower()
    for drawing in written[1:]:
        assert drawing.read_text().startswith("<svg ")
        assert drawing.name in page


def test_labels_of_another_base_are_refused(tmp_path, little):
    settings, labels = little
    lines = labels.read_text().splitlines()
    header = json.loads(lines[0])
    labels.write_text("\n".join([json.dumps({**header, "weights_sha256": "f" * 64}), *lines[1:]]) + "\n")
    with pytest.raises(DataError, match="the study needs those of little"):
        study(settings, tmp_path / "work", labels, watch())
    assert not (tmp_path / "work" / "trained").exists()


def test_record_of_another_version_is_refused(tmp_path):
    (tmp_path / "study.json").write_text('{"schema_version": 0}')
    with pytest.raises(DataError, match="make study"):
        read_record(tmp_path / "study.json")


def test_smoke_writes_nothing_of_the_real_study():
    options = parse(["--smoke"])
    assert options.out == options.docs == options.work
    assert options.work.name == "study-smoke"
