"""The samples of a run as chunks beside a page."""

from __future__ import annotations

import json

import pytest
from hostile import HOSTILE

from halueval.report.site import samples
from halueval.report.site.samples import SampleChunks


def row(number, **changes):
    return {
        "sample_id": str(number),
        "prompt": f"Example\n\nQuestion {number}?",
        "target": "yes",
        "response": " no",
        "state": "hallucinated",
        "confidence": 0.123456,
        "scores": {"exact_match": 0.0},
        "group": {"relation": f"r{number % 2}"},
        **changes,
    }


def read(chunks):
    """Rows and index, as the browser gets them."""
    files = dict(chunks.files())
    rows, prefixes = [], []
    for number, (name, text) in enumerate(files.items()):
        assert name == f"{number}.js"
        head = f"haluevalChunk({number},"
        assert text.startswith(head)
        assert text.endswith(");\n")
        chunk = json.loads(text[len(head) : -3])
        rows += chunk["rows"]
        prefixes.append(chunk["prefix"])
    return rows, prefixes, json.loads(chunks.index())


def test_every_row_stands_in_one_chunk_and_in_the_index(monkeypatch):
    monkeypatch.setattr(samples, "CHUNK_ROWS", 2)
    given = [row(0), row(1, state="correct"), row(2, confidence=None, group={})]
    rows, prefixes, index = read(SampleChunks(given, ["exact_match"], "here"))
    assert [r["id"] for r in rows] == ["0", "1", "2"]
    assert rows[0] == {
        "id": "0",
        "prompt": "Question 0?",
        "target": "yes",
        "text": " no",
        "conf": 0.12346,
        "scores": [0.0],
    }
    assert "conf" not in rows[2]
    assert prefixes == ["Example\n\n", "Example\n\n"]
    assert (index["starts"], index["letters"], index["directory"]) == ([0, 2], "202", "here")
    assert index["confidences"] == [0.123, 0.123, None]
    assert index["groups"] == [{"key": "relation", "values": ["r0", "r1"], "codes": [0, 1, -1]}]


def test_a_chunk_ends_where_its_texts_are_long(monkeypatch):
    monkeypatch.setattr(samples, "CHUNK_CHARACTERS", 100)
    given = [row(0, response="x" * 1000), row(1, response="x" * 60), row(2, response="x" * 60), row(3)]
    _, _, index = read(SampleChunks(given, [], "here"))
    assert index["starts"] == [0, 1, 3]


def test_a_choice_is_shown_by_its_text_and_a_reason_is_told():
    given = [
        row(0, response=None, choices=["true", "false"], prediction=1),
        row(1, response=None, state="unscored", reasons={"state": "too long"}),
    ]
    rows, _, _ = read(SampleChunks(given, [], "here"))
    assert (rows[0]["text"], rows[0]["choices"]) == ("false", ["true", "false"])
    assert "text" not in rows[1]
    assert rows[1]["why"] == "too long"


def test_no_run_is_too_empty():
    rows, _, index = read(SampleChunks([], [], "here"))
    assert (rows, index["starts"], index["letters"], index["groups"]) == ([], [], "", [])


@pytest.mark.parametrize("text", HOSTILE[:60:7])
def test_nothing_in_a_chunk_can_end_the_literal(text):
    given = [row(0, prompt=text, response=text, target=text, group={text: text, "__proto__": text})]
    rows, _, index = read(SampleChunks(given, [], "here"))
    assert (rows[0]["text"], rows[0]["target"]) == (text, text)
    assert [group["key"] for group in index["groups"]] == list(dict.fromkeys([text, "__proto__"]))
