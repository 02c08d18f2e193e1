"""A chat-completion server in a thread, and a clock that does not wait."""

from __future__ import annotations

import http.server
import json
import threading
from types import SimpleNamespace

import pytest

from halueval.consistency import endpoint as module

KEY = "sk-not-to-be-seen-anywhere"


@pytest.fixture
def server():
    """A server that answers each request with the next entry of `script`: status, body, headers."""
    state = SimpleNamespace(script=[], seen=[], lock=threading.Lock())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with state.lock:
                state.seen.append(SimpleNamespace(path=self.path, headers=dict(self.headers), body=json.loads(body)))
                entry = state.script.pop(0) if len(state.script) > 1 else state.script[0]
            status, content, headers = entry(state.seen[-1].body) if callable(entry) else entry
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.handle_error = lambda *_: None  # a client that gave up is no news
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{running.server_address[1]}/v1"
    yield state
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def slept(monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    return waits


def said(text):
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}, {}
