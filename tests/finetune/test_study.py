"""The whole study with a tiny model: it goes on after an interruption, and ends in the same record."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from tuning import write_labels, write_task

from benchmarks.study.__main__ import parse, write_page
from benchmarks.study.facts import Fact
from benchmarks.study.law import HeldOut
from benchmarks.study.run import Watch, make_record, read_record, study, write_record
from benchmarks.study.settings import Settings
from benchmarks.study.trainings import Point, Trained
from halueval.errors import DataError
from halueval.finetune.progress import SilentTraining
from halueval.job import SilentObserver
from halueval.known import LabelHeader


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
    settings = Settings(model=str(base), task=str(task), facts=16, train=2, shares=(0.0, 1.0), seeds=(0,), epochs=2,
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
    assert [(t["share"], t["seed"]) for t in whole["trainings"]] == [(0, 0), (1, 0)]
    assert not list((tmp_path / "cut" / "training").glob("**/*.safetensors"))
    with pytest.raises(DataError, match="another study"):
        study(replace(settings, epochs=3), tmp_path / "cut", labels, watch())


def test_too_few_facts_are_told_before_anything_is_run(tmp_path, little):
    settings, labels = little
    with pytest.raises(DataError, match=r"6 known facts .* 4 of the 8 .* raise --facts"):
        study(replace(settings, train=6), tmp_path / "few", labels, watch(Stopping))
    assert not (tmp_path / "few" / "results").exists()


def answered(settings):
    """A record of trainings that nobody made: each fitted all known facts, and the unknown ones half by half."""
    known = np.arange(90) % 2 == 0
    held_out = HeldOut(known=known, development=np.arange(90) < 30)
    trained = []
    for seed in settings.seeds:
        for share in settings.shares:
            unknown = round(8 * share)
            texts = ["1" * (60 - 20 * k - unknown - seed) for k in range(2)]
            points = [
                Point(k + 1, 1.0, 8 - unknown, unknown // (2 - k), text.ljust(90, "0")) for k, text in enumerate(texts)
            ]
            trained.append(Trained("id", share, seed, 8 - unknown, unknown, "w", 60.0, tuple(points)))
    facts = [Fact(f"{i}", "r", f"q{i}", ("a",), "MaybeKnown" if i % 2 else "Unknown") for i in range(180)]
    header = LabelHeader("tiny", "w", None, "little", "t", "d", {"num_prompts": 10, "num_draws": 16})
    return make_record(settings, header, facts, trained, held_out, "1" * 90)


def test_page_says_what_the_record_says(tmp_path):
    settings = Settings(train=8, shares=(0.0, 0.5, 1.0), seeds=(0, 1), epochs=2, evaluated=(1, 2), n_resamples=50)
    write_record(tmp_path / "study.json", answered(settings))
    record = read_record(tmp_path / "study.json")
    figure = {"value": -8.25, "ci_low": -9.0, "ci_high": -7.5, "reason": None}
    record["outcomes"]["known"]["law"]["unknown_fitted"] = figure
    written = write_page(tmp_path / "docs", record)
    page = written[0].read_text()
    assert "-8.2 [-9.0, -7.5] (negative)" in page
    assert "90 MaybeKnown" in page
    assert "90 can be trained on, 30 say when to stop, 60 are measured (30 of them known)" in page
    # Without unknown facts the first 60 of 90 are right after one epoch, with seed 1 the first 59: of the 30 known test
    # facts (30, 32 … 88) 15 and 15. After two epochs 40 and 39: 5 and 5. Development says 15 at both, so the earlier.
    (row,) = (line for line in page.splitlines() if line.startswith("| 0% |"))
    assert [cell.split()[0] for cell in row.split("|")[2:5]] == ["50.0", "16.7", "-33.3"]
    assert row.split("|")[5:7] == [" 1, 1 ", " 16 of 16 known "]
    assert "0 of 0" not in page
    assert "nan" not in page
    assert [path.name for path in written[1:]] == ["study-curves.svg", "study-law.svg"]
    for drawing in written[1:]:
        assert ElementTree.parse(drawing).getroot().tag.endswith("svg")
        assert f"images/{drawing.name}" in page


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
