import json
from dataclasses import asdict, replace

import pytest

from halueval.engine.accounting import Accounting
from halueval.engine.batching import Budget
from halueval.errors import IncompleteError, UsageError
from halueval.journal import Journal, decode_response, encode_response, request_key
from halueval.schema import (
    ClassificationResponse,
    FailedResponse,
    GenerationRequest,
    GenerationResponse,
    LoglikelihoodRequest,
    LoglikelihoodResponse,
    canonical_json,
    sha256_text,
)

BUDGET = Budget(100, 50)
ABOUT = {"device": "cpu", "num_parameters": 3, "warnings": []}


def filled(path):
    with Journal(path) as journal:
        journal.begin(BUDGET, ABOUT)
        journal.add({"a": LoglikelihoodResponse(-1.5, 2)}, Accounting(requests=1, tokens_computed=7), 0.5)
        journal.add({"b": GenerationResponse("Paris\ud800", 1, "eos", -0.25)}, Accounting(requests=1), 0.25)
    return path


@pytest.mark.parametrize(
    "response",
    [
        LoglikelihoodResponse(-1.25, 3, True, 2),
        GenerationResponse("a\n\u2028b\ud83d", 3, "length", -4.5, 1),
        ClassificationResponse({"yes": -0.1}, 4),
        FailedResponse("why"),
    ],
)
def test_responses_survive_json(response):
    assert decode_response(json.loads(json.dumps(encode_response(response)))) == response


def test_equal_requests_have_equal_keys_and_others_do_not():
    assert request_key(LoglikelihoodRequest("a", "b")) == request_key(LoglikelihoodRequest("a", "b"))
    assert request_key(LoglikelihoodRequest("a", "b")) != request_key(LoglikelihoodRequest("ab", ""))
    assert request_key(GenerationRequest("a", ("\n",), 5)) != request_key(GenerationRequest("a", ("\n",), 6))


def test_what_was_written_is_read_back_with_its_counters(tmp_path):
    with Journal(filled(tmp_path / "r.jsonl")) as journal:
        assert journal.responses == {
            "a": LoglikelihoodResponse(-1.5, 2),
            "b": GenerationResponse("Paris\ud800", 1, "eos", -0.25),
        }
        assert journal.accounting == Accounting(requests=2, tokens_computed=7)
        assert (journal.seconds, journal.budget, journal.backend) == (0.75, BUDGET, ABOUT)


def test_the_budget_of_the_first_attempt_stays(tmp_path):
    with Journal(filled(tmp_path / "r.jsonl")) as journal:
        assert journal.begin(Budget(1, 1), {}) == BUDGET


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_cut_by_a_kill_is_dropped_and_overwritten(tmp_path, cut):
    path = filled(tmp_path / "r.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal(path) as journal:
        assert set(journal.responses) == {"a"}
        journal.add({"b": GenerationResponse("Paris\ud800", 1, "eos", -0.25)}, Accounting(requests=1), 0.25)
    assert path.read_bytes() == whole


def test_a_header_cut_by_a_kill_starts_afresh(tmp_path):
    path = filled(tmp_path / "r.jsonl")
    path.write_bytes(path.read_bytes()[:10])
    with Journal(path) as journal:
        assert (journal.responses, journal.budget) == ({}, None)


def test_a_second_process_is_told(tmp_path):
    with (
        Journal(tmp_path / "r.jsonl"),
        pytest.raises(UsageError, match="another process"),
        Journal(tmp_path / "r.jsonl"),
    ):
        pass


def test_a_full_disk_keeps_what_stood_before(tmp_path, monkeypatch):
    path = filled(tmp_path / "r.jsonl")
    with Journal(path) as journal:

        def full(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(IncompleteError, match="No space left on device"):
            journal.add({"c": FailedResponse("x")}, Accounting(), 0)
        monkeypatch.undo()
        assert set(journal.responses) == {"a", "b"}


def test_a_journal_in_which_nothing_was_written_leaves_no_directories(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(RuntimeError), Journal(tmp_path / "out" / "model" / "task" / "responses" / "r.jsonl"):
        raise RuntimeError("weights that cannot be loaded")
    assert list((tmp_path / "out").iterdir()) == []


def test_entropies_count_in_a_key_only_where_they_are_asked_for():
    plain = GenerationRequest("a", ("b",), 3)
    assert request_key(replace(plain, entropies=True)) != request_key(plain)
    before = ["GenerationRequest", {k: v for k, v in asdict(plain).items() if k != "entropies"}]
    assert request_key(plain) == sha256_text(canonical_json(before))[:24]


def test_what_a_response_does_not_say_is_not_written():
    plain = GenerationResponse("a", 1, "eos", -0.5)
    assert "max_entropy" not in encode_response(plain)
    full = replace(plain, min_logprob=-0.5, mean_entropy=0.1, max_entropy=0.2)
    assert [decode_response(encode_response(r)) for r in (plain, full)] == [plain, full]
