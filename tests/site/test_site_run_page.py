"""The page of a run in headless Chromium: filters, order, search, pages, and that nothing in it runs."""

from __future__ import annotations

import json
import re

import browsing
import planted
import pytest
from hostile import HOSTILE

from halueval.report.site import samples
from halueval.report.site.figures import Link
from halueval.report.site.runs import write_run_page
from halueval.store import load_run, write_run

STATES = ("correct", "abstained", "hallucinated")


def row(number, state="correct", **changes):
    return {
        "sample_id": str(number),
        "prompt": f"Q: What is an example?\nA: This.\n\nQ: What is thing {number}?\nA:",
        "target": "yes",
        "response": f" answer {number}",
        "state": state,
        "confidence": (number * 37 % 101) / 101,
        "scores": {"exact_match": float(state == "correct")},
        "group": {"relation": f"relation {number % 3}"},
        **changes,
    }


@pytest.fixture(scope="module")
def prototype(tmp_path_factory):
    """`run.json` of a real run."""
    return planted.planted_runs(tmp_path_factory)["base"].record


@pytest.fixture
def make(tmp_path, prototype):
    """Write the page of a run that has these rows; returns its path."""

    def write(rows, change=lambda record: record, **names):
        record = change(json.loads(json.dumps(prototype)))
        write_run(tmp_path / "run", record, rows)
        model, task = Link(names.get("model", "a model"), "models/m.html"), Link(names.get("task", "a task"), "t.html")
        made = write_run_page(load_run(tmp_path / "run"), model, task, "runs/m/r.html", tmp_path / "site")
        return tmp_path / "site" / made.href

    return write


class RunPage(browsing.Page):
    def __init__(self, driver, path):
        super().__init__(driver, path)
        self.settle()

    @property
    def status(self):
        return self.js("return document.getElementById('status').textContent")

    @property
    def ids(self):
        return self.texts(".sample > .facts bdi:first-of-type")

    def settle(self):
        self.wait(lambda: re.search("of [0-9,]+ samples$|^No sample fits", self.status))

    def act(self, code, *arguments):
        """Do something, and wait for the samples that follow from it."""
        self.js("document.getElementById('status').textContent = '';" + code, *arguments)
        self.settle()

    def choose(self, name, value):
        code = "const box = document.getElementById('filters').elements[arguments[0]];"
        self.act(code + "box.value = arguments[1]; box.dispatchEvent(new Event('change'));", name, value)

    def type(self, text):
        code = "const box = document.getElementById('filters').elements.query;"
        self.act(code + "box.value = arguments[0]; box.dispatchEvent(new Event('input'));", text)


def test_state_stratum_order_search_and_pages(browser, make, monkeypatch):
    monkeypatch.setattr(samples, "CHUNK_ROWS", 30)
    rows = [row(i, STATES[i % 3]) for i in range(100)]
    rows[70] = row(70, "unscored", response="a needle in (a) hay*stack", confidence=None)
    seen = RunPage(browser, make(rows))
    assert (seen.status, seen.ids) == ("1–25 of 100 samples", [str(i) for i in range(25)])
    assert len(seen.js("return performance.getEntriesByType('resource')")) <= 1  # the other chunks are not read yet

    seen.act("document.querySelector(\"[data-step='1']\").click()")
    assert (seen.status, seen.ids[0], seen.ids[-1]) == ("26–50 of 100 samples", "25", "49")
    seen.act("const p = document.getElementById('page'); p.value = 99; p.dispatchEvent(new Event('change'))")
    assert seen.status == "76–100 of 100 samples"
    assert seen.js("return [...document.querySelectorAll(\"[data-step='1']\")].every(b => b.disabled)")

    wrong = [str(i) for i in range(100) if i % 3 == 2]
    seen.choose("state", "hallucinated")
    assert (seen.status, seen.ids) == (f"1–25 of {len(wrong)} samples", wrong[:25])
    seen.choose("order", "sure")
    assert seen.ids == sorted(wrong, key=lambda i: -(int(i) * 37 % 101))[:25]
    seen.choose("stratum", "0.1")
    assert seen.status.startswith("No sample fits")  # relation 1 holds no hallucinated one
    seen.act("document.querySelector('button[type=reset]').click()")
    assert seen.status == "1–25 of 100 samples"
    seen.choose("order", "sure")
    seen.act("const p = document.getElementById('page'); p.value = 4; p.dispatchEvent(new Event('change'))")
    assert seen.ids[-1] == "70"  # without a confidence: last, whatever the order

    seen.choose("order", "data")
    seen.type('hay*stack "(A) HAY"')
    assert seen.ids == ["70"]
    seen.type("This")  # stands in the example that all prompts share: no sample's own
    assert seen.status.startswith("No sample fits")
    seen.type('"thing 9"')
    assert seen.ids == ["9", *map(str, range(90, 100))]
    seen.check_quiet(beside=True)


def test_a_link_leads_to_the_samples_of_a_state(browser, make):
    path = make([row(i, STATES[i % 3]) for i in range(9)])
    seen = RunPage(browser, f"{path.as_uri()}#state=abstained")
    assert seen.ids == ["1", "4", "7"]


def test_samples_that_cannot_be_read_are_told_of(browser, make):
    path = make([row(0)])
    (path.parent / "r" / "0.js").unlink()
    seen = browsing.Page(browser, path)
    told = "return document.getElementById('status').textContent"
    seen.wait(lambda: "0.js cannot be read; it belongs beside this page" in seen.js(told))


def test_nothing_of_two_hundred_hostile_texts_runs_and_the_page_stays_usable(browser, make):
    rows = [
        row(i, prompt=f"Q\n\n{text}", response=text, target=text, group={"relation": text, text: "v"}, sample_id=text)
        for i, text in enumerate(HOSTILE)
    ]
    rows.append(row(len(rows), "hallucinated", response="<script>" * 125_000, target="needle" + "\u202e" * 1_000_000))
    rows.append(row(len(rows), "unscored", response=None, choices=HOSTILE[:30], reasons={"state": HOSTILE[0]}))
    seen = RunPage(browser, make(rows))
    shown = 0
    while True:
        seen.js("for (const d of document.querySelectorAll('#rows details')) d.open = true")
        shown += seen.js("return document.querySelectorAll('.sample').length")
        seen.check_inert("li,h3,h4,p,span,bdi,b,div,details,summary,ul")
        if seen.on_last_page:
            break
        seen.act("document.querySelector(\"[data-step='1']\").click()")
    assert shown == len(rows)
    seen.type("needle")
    assert seen.status == "1–1 of 1 samples"
    assert seen.js("return window.pwned") is None
    assert seen.js("return document.documentElement.scrollWidth <= innerWidth")
    seen.check_quiet(beside=True)


def test_a_run_without_its_samples_still_has_its_page(make, tmp_path, prototype):
    rows = [row(0)]
    path = make(rows, lambda record: {**record, "warnings": ["cut"]})
    assert "thing" in (path.parent / "r" / "0.js").read_text(encoding="utf-8")
    (tmp_path / "run" / "samples.jsonl").write_text("{}\n", encoding="utf-8")
    site = tmp_path / "again"
    made = write_run_page(load_run(tmp_path / "run"), Link("m", "m.html"), Link("t", "t.html"), "runs/m/r.html", site)
    text = (site / made.href).read_text(encoding="utf-8")
    assert (made.has_samples, made.bins) == (False, [])
    assert "No samples are shown: samples.jsonl: was changed after the run" in text
    assert str(tmp_path) not in text
    assert "exact_match" in text
    assert not (site / "runs" / "m" / "r").exists()


@pytest.mark.parametrize("broken", [{"state": "sleepy"}, {"scores": None}, {"group": 3}, {"prompt": None}])
def test_rows_of_something_else_are_told_of_in_one_line(make, broken):
    text = make([row(0, **broken)]).read_text(encoding="utf-8")
    assert re.search(r"No samples are shown: samples\.jsonl has a row that is none of halueval", text)


def test_reliability_is_drawn_of_answers_with_a_confidence(make):
    rows = [row(i, STATES[2 * (i % 2)], confidence=0.9 if i < 20 else 0.1) for i in range(40)]
    text = make(rows).read_text(encoding="utf-8")
    assert "10% confident, 50% right" in text
    assert "90% confident, 50% right" in text
