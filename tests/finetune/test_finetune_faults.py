"""Broken weights, full disks and death at a bad moment: what stays, and that the same call goes on."""

import errno
import math
from types import SimpleNamespace

import pytest
from safetensors import SafetensorError
from tuning import make_place, train

from halueval.errors import IncompleteError, TrainingError


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


def test_weights_that_give_no_number_are_no_good_checkpoint(place):
    # The loss of step 2 would be none, and it is the weights after step 1 that are broken.
    said = r"step 1: the weights are not finite; there is no checkpoint before it; try a lower"
    with pytest.raises(TrainingError, match=said):
        train(place, "out", learning_rate=1e38, checkpoint_every=1, precision="float32", max_grad_norm=0)
    assert not (place.root / "out").exists()


@pytest.mark.parametrize(("value", "said"), [(3e38, "step 4: the loss is nan"), (math.nan, "step 3: the weights are")])
def test_the_checkpoint_before_broken_weights_stays_and_training_goes_on_from_it(place, monkeypatch, value, said):
    from halueval.finetune.trainers import Conductor

    on_step_end = Conductor.on_step_end

    def breaking(self, args, state, control, **kwargs):
        on_step_end(self, args, state, control, **kwargs)
        if state.global_step == 3:
            kwargs["model"].model.norm.weight.data.fill_(value)

    once = {"checkpoint_every": 1, "keep_checkpoints": 1, "precision": "float32"}
    monkeypatch.setattr(Conductor, "on_step_end", breaking)
    with pytest.raises(TrainingError, match=rf"{said}.*the last good checkpoint is .*step-2; try a lower"):
        train(place, "out", **once)
    assert [path.name for path in (place.root / "out" / "checkpoints").iterdir()] == ["step-2"]
    assert not (place.root / "out" / "halueval.yaml").exists()
    monkeypatch.undo()
    resumed = train(place, "out", **once)
    assert [checkpoint.step for checkpoint in resumed.checkpoints] == [6]
    assert resumed.weights_sha256 == train(place, "whole", precision="float32").weights_sha256


def test_stopped_early_and_killed_it_does_not_go_on_past_the_stop(place, monkeypatch):
    # A checkpoint of the stopping step, and death before the record: what was decided is in the checkpoint's log.
    from halueval.finetune.session import Training

    early = {
        "epochs": 12,
        "learning_rate": 0.03,
        "checkpoint_every": 1,
        "development": {"share": 0.3},
        "early_stopping": {"patience": 2},
    }
    whole = train(place, "whole", **early)
    assert whole.stopped_early

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_write_final", die)
    with pytest.raises(KeyboardInterrupt):
        train(place, "killed", **early)
    monkeypatch.undo()
    resumed = train(place, "killed", **early)
    for name in ("steps", "epochs", "stopped_early", "best_step", "weights_sha256", "loss"):
        assert getattr(resumed, name) == getattr(whole, name), name
    for name in ("losses", "development_losses"):
        assert resumed.document[name] == whole.document[name]
    files = {path.relative_to(whole.path) for path in whole.path.rglob("*.safetensors")}
    assert files == {path.relative_to(resumed.path) for path in resumed.path.rglob("*.safetensors")}
    assert all((whole.path / file).read_bytes() == (resumed.path / file).read_bytes() for file in files)


def test_a_full_disk_keeps_what_there_is_and_the_same_call_goes_on(place, monkeypatch):
    from halueval.finetune import session as module

    save, calls = module.save_weights, []

    def full(model, located, directory):
        calls.append(directory)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(model, located, directory)

    monkeypatch.setattr(module, "save_weights", full)
    with pytest.raises(IncompleteError, match=r"step-4: no space for the checkpoint: .*goes on from step 2"):
        train(place, "out", checkpoint_every=2)
    assert [path.name for path in (place.root / "out" / "checkpoints").iterdir()] == ["step-2"]
    resumed = train(place, "out", checkpoint_every=2)
    assert resumed.weights_sha256 == train(place, "whole").weights_sha256


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("Error: No space left on device (os error 28)")],
)
def test_a_disk_that_is_full_at_the_end_leaves_a_training_to_go_on_with(place, monkeypatch, error):
    from halueval.finetune import session as module

    save = module.save_weights

    def full(model, located, directory):
        if directory.name == "out":
            raise error
        save(model, located, directory)

    monkeypatch.setattr(module, "save_weights", full)
    said = r"out: the weights cannot be written: .*No space left.*same command goes on from step 6"
    with pytest.raises(IncompleteError, match=said):
        train(place, "out", checkpoint_every=3)
    monkeypatch.undo()
    assert train(place, "out", checkpoint_every=3).steps == 6


def test_a_disk_that_is_full_for_the_record_is_no_bad_input(place, monkeypatch):
    from halueval import store

    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.tempfile, "mkstemp", full)
    with pytest.raises(IncompleteError, match="No space left on device; make room, and repeat"):
        store.write_atomically(place.root / "finetune.json", [b"{}"])


def test_too_little_space_is_told_before_writing(place, monkeypatch):
    import shutil

    free = [10**9, 1000]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free.pop(0)))
    with pytest.raises(IncompleteError, match=r"step-2: no space for the checkpoint: it needs .* and 1 kB are free"):
        train(place, "out", checkpoint_every=2)
    free.append(1000)
    with pytest.raises(IncompleteError, match=r"no space for the weights: they need .* and 1 kB are free"):
        train(place, "other")
    assert not (place.root / "other").exists()
