# ruff: noqa: F811  # fixtures that are imported
import threading

import pytest
from chat_server import KEY, said, server, slept  # noqa: F401

from halueval.consistency.endpoint import Endpoint
from halueval.errors import ModelError, UsageError
from halueval.schema import FailedResponse


def ask(server, **options):
    return Endpoint(server.url, "judge-1", **options).ask("Is it so?", max_tokens=7)


def test_a_chat_completion_is_asked_for_at_temperature_zero(server, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY + "\n")
    server.script = [said("Yes.")]
    assert ask(server, api_key_env="SOME_KEY") == "Yes."
    (request,) = server.seen
    assert request.path == "/v1/chat/completions"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "judge-1",
        "messages": [{"role": "user", "content": "Is it so?"}],
        "temperature": 0,
        "max_tokens": 7,
    }
    assert ask(server) == "Yes."
    assert "Authorization" not in server.seen[1].headers


def test_too_many_requests_and_server_errors_are_tried_again_with_growing_waits(server, slept):
    server.script = [(429, {}, {}), (503, {}, {}), (500, {}, {}), said("Yes.")]
    assert ask(server) == "Yes."
    assert slept == [1, 2, 4]


def test_retry_after_is_heeded_up_to_a_minute(server, slept):
    server.script = [(429, {}, {"Retry-After": "5"}), (429, {}, {"Retry-After": "900"}), said("Yes.")]
    assert ask(server) == "Yes."
    assert slept == [5, 60]
    server.script = [(429, {}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), said("Yes.")]
    assert ask(server) == "Yes."
    assert slept[2:] == [1]


def test_what_goes_on_failing_is_this_requests_own_fault(server, slept):
    server.script = [(503, {}, {})]
    found = ask(server, retries=2)
    assert isinstance(found, FailedResponse)
    assert "HTTP Error 503" in found.reason
    assert len(server.seen) == 3
    assert slept == [1, 2]


def test_a_refused_request_is_not_tried_again(server, slept):
    server.script = [(400, {"error": "context too long"}, {})]
    found = ask(server)
    assert isinstance(found, FailedResponse)
    assert "HTTP 400" in found.reason
    assert "context too long" in found.reason
    assert len(server.seen) == 1
    assert slept == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_model_or_address_ends_it(server, slept, status, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    server.script = [(status, {"error": f"Incorrect API key\nprovided: {KEY}"}, {})]
    with pytest.raises(ModelError, match=f"HTTP {status}") as caught:
        ask(server, api_key_env="SOME_KEY")
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert slept == []


def test_the_key_is_in_no_reason(server, slept, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    server.script = [(400, f"no: {KEY}".encode(), {})]
    assert KEY not in ask(server, api_key_env="SOME_KEY").reason
    assert KEY not in repr(vars(Endpoint(server.url, "m", api_key_env="SOME_KEY")))


def test_redirects_are_not_followed(server):
    server.script = [(302, {}, {"Location": "http://127.0.0.1:9/elsewhere"})]
    with pytest.raises(ModelError, match="HTTP 302"):
        ask(server)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "answer", [b"<html>", {}, {"choices": []}, {"choices": [{"message": {"content": None}}]}, [1], {"choices": {}}]
)
def test_what_is_no_completion_is_no_answer(server, slept, answer):
    server.script = [(200, answer, {})]
    assert ask(server) == FailedResponse("the endpoint's answer is no chat completion")
    assert slept == []


def test_a_server_that_is_not_there_ends_it_after_the_attempts(slept):
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        Endpoint("http://127.0.0.1:9/v1", "m", retries=1).ask("x", max_tokens=1)
    assert slept == [1]
    assert "\n" not in str(caught.value)


def test_a_server_that_hangs_is_given_up(server, slept):
    stop = threading.Event()
    server.script = [lambda _: (stop.wait(5), said("late"))[1]]
    with pytest.raises(ModelError, match="cannot be reached"):
        ask(server, timeout=0.1, retries=0)
    stop.set()


@pytest.mark.parametrize(
    "url", ["ftp://host/v1", "host/v1", "https://user:pw@host/v1", "https://h/v1?key=1", "file:///x"]
)
def test_addresses_are_checked(url):
    with pytest.raises(UsageError, match="base address alone") as caught:
        Endpoint(url, "m")
    assert "pw" not in str(caught.value)


def test_keys_are_checked(monkeypatch):
    with pytest.raises(UsageError, match=r"'NO_SUCH_KEY' .* is not set"):
        Endpoint("https://host/v1", "m", api_key_env="NO_SUCH_KEY")
    monkeypatch.setenv("SOME_KEY", "two words\nand lines")
    with pytest.raises(UsageError, match="holds no key") as caught:
        Endpoint("https://host/v1", "m", api_key_env="SOME_KEY")
    assert "words" not in str(caught.value)
    monkeypatch.setenv("SOME_KEY", KEY)
    with pytest.raises(UsageError, match="unencrypted; use https"):
        Endpoint("http://example.org/v1", "m", api_key_env="SOME_KEY")
