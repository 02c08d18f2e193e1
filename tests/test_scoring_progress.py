"""What a run tells of the work that comes after the model's answers: checkers, one by one."""

import pytest
from runs import SUMMARY, identity, prepared, write_task

from halueval.backends.fake import FakeBackend
from halueval.consistency.base import ConsistencyScorer, Verdict
from halueval.errors import ModelError
from halueval.job import ModelHandle, RunSettings
from halueval.runner import run_task

ROWS = [{"text": f"{name} went home.", "short": f"{name} went home."} for name in ("Ann", "Bob", "Cid", "Dot")]


class Slow(ConsistencyScorer):
    """Takes one pair at a time, and cannot take Dot."""

    name = "slow"
    breaks = False

    def verdicts(self, pairs, advance):
        out = []
        for pair in pairs:
            if self.breaks and "Dot" in pair.source:
                raise ModelError("the endpoint cannot be reached")
            out.append(Verdict(1.0))
            advance(1)
        return out


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.told = []

    def begin(self, title, total, done):
        self.told.append([title, total, done, 0, False])

    def advance(self, requests):
        self.told[-1][3] += requests

    def end(self):
        self.told[-1][4] = True


def observed(task, tmp_path, backend):
    settings = RunSettings(output=tmp_path / "out", n_resamples=200)
    observer = Recorder()
    handle = ModelHandle(identity(), lambda: backend)
    run_task(prepared(task, settings), handle, settings, observer)
    return observer.told


def test_each_checker_is_told_with_its_number_of_responses(tmp_path, monkeypatch):
    monkeypatch.setattr("halueval.checking.create", lambda name, options: Slow())
    task = write_task(tmp_path, rows=ROWS, **SUMMARY)
    silent = FakeBackend(lambda prompt: "" if "Bob" in prompt else " He went home.")
    asking, *checking = observed(task, tmp_path, silent)
    assert asking == ["fake · letters", 8, 0, 8, True]
    assert checking[0] == ["fake · letters · consistency by slow", 3, 0, 3, True]


def test_a_checker_that_fails_leaves_no_bar_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("halueval.checking.create", lambda name, options: Slow())
    monkeypatch.setattr(Slow, "breaks", True)
    settings = RunSettings(output=tmp_path / "out", n_resamples=200)
    observer, backend = Recorder(), FakeBackend(lambda prompt: " Gone.")
    ready = prepared(write_task(tmp_path, rows=ROWS, **SUMMARY), settings)
    with pytest.raises(ModelError, match="cannot be reached"):
        run_task(ready, ModelHandle(identity(), lambda: backend), settings, observer)
    assert observer.told[-1][0] == "fake · letters · consistency by slow"
    assert observer.told[-1][4]
