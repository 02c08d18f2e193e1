"""What was measured once holds for every process of the machine, and for no other machine."""

import json

import pytest
import torch

from halueval.engine import measured
from halueval.engine.measured import decided


@pytest.fixture
def asked():
    """Measures that answer in turn, and how many were asked."""

    class Measures(list):
        def __call__(self, *answers):
            return lambda: self.append(1) or answers[len(self) - 1]

    return Measures()


def test_the_first_answer_stands_though_a_second_measure_would_differ(asked):
    measure = asked(True, False)
    assert [decided("q", measure), decided("q", measure)] == [True, True]
    assert len(asked) == 1
    assert decided("another", lambda: False) is False


def test_another_processor_number_of_threads_or_torch_is_asked_anew(asked, monkeypatch, tmp_path):
    measure = asked(True, False, True, False)
    assert decided("q", measure)
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel name\t: Another 9000\n")
    monkeypatch.setattr(measured, "CPU_FACTS", facts)
    assert not decided("q", measure)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert decided("q", measure)
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert not decided("q", measure)


def test_a_process_that_was_quicker_is_believed(monkeypatch):
    def slow():
        assert decided("q", lambda: False) is False  # meanwhile
        return True

    assert decided("q", slow) is False


def test_a_damaged_answer_is_measured_again(asked):
    measure = asked(True, False)
    assert decided("q", measure)
    (path,) = (measured.cache_dir() / "measured").glob("*.json")
    path.write_text(json.dumps({"answer": "perhaps"}))
    assert not decided("q", measure)
    assert json.loads(path.read_text())["answer"] is False


def test_a_cache_that_cannot_be_written_is_gone_without(asked, monkeypatch, tmp_path):
    file = tmp_path / "a file"
    file.write_text("")
    monkeypatch.setenv("HALUEVAL_CACHE", str(file))
    measure = asked(True, False)
    assert [decided("q", measure), decided("q", measure)] == [True, False]
