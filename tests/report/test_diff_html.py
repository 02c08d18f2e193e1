"""The HTML page of a diff as text; `test_diff_page.py` opens it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import diff_records as made
import pytest
from hostile import HOSTILE

from halueval.compare.record import STATES
from halueval.report.diff_html import render_html
from halueval.report.diff_samples import CHUNK_ROWS, SampleBlocks, inert_json


def page(record, samples):
    return "".join(render_html(record, samples))


def one_task(rows, **changes):
    return page(made.record({"facts": made.task("facts", rows, **changes)}), {"facts": rows})


class Seen(HTMLParser):
    """Elements, attributes and scripts of a page, as a parser of HTML sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.scripts, self.ids = [], set(), [], []
        self._type = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "script":
            self._type = dict(attrs).get("type", "")
            self.scripts.append([self._type, ""])

    def handle_endtag(self, tag):
        if tag == "script":
            self._type = None

    def handle_data(self, data):
        if self._type is not None:
            self.scripts[-1][1] += data


def test_json_cannot_close_its_element_and_says_the_same():
    for text in HOSTILE:
        block = inert_json({"a": text, text: 1})
        assert not set("<>&\u2028\u2029") & set(block)
        block.encode("utf-8")
        assert json.loads(block) == {"a": text, text: 1}


def test_json_refuses_what_is_no_number():
    with pytest.raises(ValueError, match="not JSON compliant"):
        inert_json([float("nan")])


def test_every_sample_stands_in_a_chunk_once_and_prompts_start_once():
    rows = made.samples(CHUNK_ROWS + 1)
    blocks = SampleBlocks({"facts": iter(rows)})
    chunks = dict(blocks.chunks())
    index = json.loads(blocks.index())
    assert list(chunks) == ["rows-0-0", "rows-0-1"]
    read = [row for text in chunks.values() for row in json.loads(text)["rows"]]
    assert [row["id"] for row in read] == [row["sample_id"] for row in rows]
    first = json.loads(chunks["rows-0-0"])
    assert first["prefix"] == "Q: What is the capital of Spain?\nA: Madrid\n\n"
    assert first["prefix"] + first["rows"][7]["prompt"] == rows[7]["prompt"]
    pairs = [(index["letters"].index(c) // 4, index["letters"].index(c) % 4) for c in index["sets"][0]["transitions"]]
    assert [(STATES[a], STATES[b]) for a, b in pairs] == [
        (row["base"]["state"], row["candidate"]["state"]) for row in rows
    ]


def test_candidates_and_missing_strata_are_kept_apart():
    rows = [made.sample(0), made.sample(1, candidate_label="other"), made.sample(2, group={"language": "zh"})]
    blocks = SampleBlocks({"facts": rows})
    assert [name for name, _ in blocks.chunks()] == ["rows-0-0", "rows-1-0"]
    tuned, other = json.loads(blocks.index())["sets"]
    assert (tuned["candidate"], other["candidate"]) == ("tuned", "other")
    assert {g["key"]: g["codes"] for g in tuned["groups"]} == {"relation": [0, -1], "language": [-1, 0]}


def test_no_name_or_text_becomes_markup():
    """Names of models, tasks and strata, headlines and notes come from cards, data and directories."""
    clean = Seen(one_task(made.samples(3)))
    for text in HOSTILE[:60]:
        rows = [
            made.sample(0, answers=(text, text), prompt=text, target=text, group={text: text}, candidate_label=text)
        ]
        task = made.task(text, rows, headline=text, notes=[text], strata={text: {text: made.stratum(9, 1, 0)}})
        task["metrics"] = {text: made.figure(0.1, 0.2, 0.1)}
        task["not_comparable"] = {text: text}
        html = page(made.record({text: task}, base=text, candidate=text), {text: rows})
        html.encode("utf-8")
        seen = Seen(html)
        assert set(seen.tags) <= set(clean.tags)
        assert seen.attributes <= clean.attributes
        assert [kind for kind, _ in seen.scripts] == ["", "application/json", "application/json", ""]
        assert [seen.scripts[0], seen.scripts[-1]] == [clean.scripts[0], clean.scripts[-1]]


def test_page_is_self_contained_and_its_policy_names_what_may_run():
    import base64
    import hashlib

    html = one_task(made.samples(3))
    seen = Seen(html)
    assert not seen.attributes & {"src", "style", "onclick", "action", "srcset"}
    assert re.findall(r'href="([^"]*)"', html) == ["#samples"]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for kind, text in seen.scripts if kind == ""
    ]
    assert f"script-src 'sha256-{digests[0]}' 'sha256-{digests[1]}';" in policy
    assert "innerHTML" not in html
    assert len(seen.ids) == len(set(seen.ids))


def test_only_what_survives_the_correction_is_bold_and_coloured():
    metrics = {
        "sure": made.figure(0.5, 0.4, 0.05, significant=True),
        "unsure": made.figure(0.5, 0.43, 0.05, p=0.03),
        "noise": made.figure(0.5, 0.38, 0.05, significant=True, within_noise=True),
    }
    html = one_task(made.samples(3), metrics=metrics, format_drift=None, strata={}, likelihood={}, has_states=False)
    assert '<span class="worse"><strong>−0.1000</strong></span>' in html
    assert '<span class="">−0.0700</span>' in html
    assert "within noise" in html
    rows = re.search(r'<svg class="plot forest".*?</svg>', html, re.S)[0]
    assert rows.count('<circle class="estimate worse"') == 2  # the net rate of the fixture, and "sure"
    assert rows.count('<circle class="estimate"') == 2


def test_what_is_absent_is_left_out_without_a_blank():
    bare = {"n": 0, "n_bins": 15, "reason": "no confidences", "curves": {}}
    empty = made.rate(0, 0)
    nothing = dict.fromkeys(
        ("induced_rate", "lost_knowledge_rate", "lost_caution_rate", "repaired_rate", "persistent_rate"), empty
    )
    html = one_task(
        [],
        calibration=bare,
        has_states=False,
        format_drift=None,
        strata={},
        metrics={},
        net_rate=made.net(0, 0),
        **nothing,
    )
    assert "No calibration: no confidences" in html
    assert "<svg" not in html
    assert "None" not in html
