"""The HTML page of a diff in headless Chromium: filters, search, pages, and that nothing in it runs or asks."""

from __future__ import annotations

import re

import browsing
import diff_records as made
import pytest
from hostile import HOSTILE

from halueval.report.diff_html import render_html


class Page(browsing.Page):
    """The page of a diff, and what a reader does with it."""

    def __init__(self, driver, path, record, samples):
        path.write_text("".join(render_html(record, samples)), encoding="utf-8")
        super().__init__(driver, path)
        self.settle()

    def settle(self):
        self.wait(lambda: re.search("of [0-9,]+ samples$|^No sample fits", self.status))

    @property
    def status(self):
        return self.js("return document.getElementById('status').textContent")

    @property
    def ids(self):
        return self.texts(".sample > .facts bdi:first-of-type")

    def choose(self, name, text):
        from selenium.webdriver.support.ui import Select

        box = Select(self.driver.find_element("name", name))
        box.select_by_visible_text(next(o.text for o in box.options if o.text.startswith(text)))
        self.settle()

    def type(self, text):
        """The whole text at once, so that no half-typed search is waited for."""
        self.js(
            """document.getElementById('status').textContent = '';
            const box = document.getElementsByName('query')[0];
            box.value = arguments[0];
            box.dispatchEvent(new Event('input'));""",
            text,
        )
        self.settle()

    def click(self, css):
        self.js("document.querySelector(arguments[0]).click()", css)
        self.settle()


@pytest.fixture
def open_page(browser, tmp_path):
    return lambda rows, **changes: Page(
        browser, tmp_path / "diff.html", made.record({"facts": made.task("facts", rows, **changes)}), {"facts": rows}
    )


def numbers(rows, test):
    return [row["sample_id"] for row in rows if test(row["base"]["state"], row["candidate"]["state"], row)]


def test_filters_search_and_pages(open_page):
    rows = made.samples(1300)
    rows[700]["candidate"]["response"] = "A needle in (a) hay*stack"
    seen = open_page(rows)
    assert seen.status == "1–50 of 1,300 samples"
    lost = numbers(rows, lambda a, b, _: (a, b) == ("correct", "hallucinated"))
    assert seen.ids == lost[:50]

    seen.choose("order", "As in the data")
    assert seen.ids == [row["sample_id"] for row in rows[:50]]
    seen.click(".pager [data-step='1']")
    assert (seen.status, seen.ids[0]) == ("51–100 of 1,300 samples", "50")
    seen.js("const p = document.getElementById('page'); p.value = 26; p.dispatchEvent(new Event('change'))")
    assert (seen.status, seen.ids[-1]) == ("1,251–1,300 of 1,300 samples", "1299")
    assert seen.js("return [...document.querySelectorAll(\"[data-step='1']\")].every(b => b.disabled)")

    seen.choose("transition", "abstained → hallucinated, lost caution")
    caution = numbers(rows, lambda a, b, _: (a, b) == ("abstained", "hallucinated"))
    assert (seen.ids, seen.status) == (caution[:50], f"1–{min(50, len(caution))} of {len(caution)} samples")
    seen.choose("stratum", "capital 1")
    both = numbers(
        rows, lambda a, b, r: (a, b) == ("abstained", "hallucinated") and r["group"]["relation"] == "capital 1"
    )
    assert seen.ids == both
    seen.click("button[type=reset]")
    assert "of 1,300 samples" in seen.status

    seen.type('hay*stack "(A) HAY"')
    assert seen.ids == ["700"]
    seen.type('"A in needle"')
    assert seen.status.startswith("No sample fits")
    seen.type("Madrid")  # stands in the few-shot example that all prompts share: no sample's own
    assert seen.status.startswith("No sample fits")
    seen.type("")
    seen.click("button[data-from=abstained][data-to=hallucinated]")
    assert seen.ids == caution[:50]
    seen.check_quiet()


def test_tasks_and_candidates_are_told_apart(browser, tmp_path):
    first, second = made.samples(5), made.samples(7, seed=1)
    other = [{**row, "candidate_label": "other"} for row in made.samples(3, seed=2)]
    tasks = {"facts": made.task("facts", first), "more": made.task("more", second)}
    record = made.record(tasks, further=[made.comparison("other", {"facts": made.task("facts", other)})])
    seen = Page(browser, tmp_path / "diff.html", record, {"facts": first + other, "more": second})
    assert seen.status == "1–15 of 15 samples"
    seen.choose("task", "facts")
    assert seen.status == "1–8 of 8 samples"
    seen.choose("candidate", "other")
    assert seen.status == "1–3 of 3 samples"
    seen.check_quiet()


def test_nothing_that_a_model_wrote_runs(open_page):
    rows = [
        made.sample(
            i,
            answers=(text, HOSTILE[-i - 1]),
            prompt=f"Q\n\n{text}",
            target=text,
            group={"relation": text[:40], text: "v"},
        )
        for i, text in enumerate(HOSTILE)
    ]
    rows[1]["choices"] = [rows[1]["base"]["response"], rows[1]["candidate"]["response"]]
    seen = open_page(rows)
    seen.choose("order", "As in the data")
    shown = 0
    while True:
        seen.js("for (const d of document.querySelectorAll('details')) d.open = true")
        shown += len(seen.ids)
        seen.check_inert("li,h3,h4,p,span,bdi,b,div,details,summary,del,ins,ul")
        if seen.on_last_page:
            break
        seen.click("[data-step='1']")
    assert shown == len(HOSTILE)
    seen.type("<script>")
    assert seen.js("return window.pwned") is None
    seen.check_quiet()


def test_answers_are_shown_whole_with_their_differences_marked(open_page):
    ours, theirs = "The capital is Paris, 巴黎.", "The capital is Rome, 巴西."
    seen = open_page([made.sample(0, answers=(ours, theirs)), made.sample(1, answers=("same", "same"))])
    assert seen.texts(".answer .text") == [ours, theirs, "same", "same"]
    assert seen.texts("#rows del") == ["Paris", "黎"]
    assert seen.texts("#rows ins") == ["Rome", "西"]


def test_unseen_and_turning_characters_are_told_and_contained(open_page):
    seen = open_page([made.sample(0, answers=("a\u202eb\u200bc", "مرحبا"))])
    assert seen.texts("#rows .unseen") == [
        "U+202E",
        "U+200B",
    ]
    style = """return [...document.querySelectorAll('.answer .text')].map(
        e => [e.dir, getComputedStyle(e).unicodeBidi, getComputedStyle(e).direction])"""
    assert seen.js(style) == [["auto", "isolate", "ltr"], ["auto", "isolate", "rtl"]]


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_page_fits_the_screen_and_follows_the_colour_scheme(open_page, browser, width, scheme):
    browsing.emulate(browser, width=width, height=800, scheme=scheme)
    try:
        rows = [made.sample(0, answers=("x" * 3000, "y"), prompt="z" * 3000), *made.samples(60)]
        seen = open_page(rows)
        assert seen.js("return document.documentElement.scrollWidth <= innerWidth")
        background = seen.js("return getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
    finally:
        browsing.emulate(browser, width=None)


def test_every_control_has_a_name_and_is_reached_by_keyboard(open_page):
    seen = open_page(made.samples(120))
    unnamed = """return [...document.querySelectorAll('input, select, button, svg')]
        .filter(e => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).length"""
    assert seen.js(unnamed) == 0
    assert (
        seen.js("return [...document.querySelectorAll('a, input, select, button')].filter(e => e.tabIndex < 0).length")
        == 0
    )
    assert seen.js("return [...document.querySelectorAll('.wide')].every(e => e.tabIndex === 0)")
    seen.driver.find_element("name", "query").send_keys('"land 17?"', "\n")
    seen.wait(lambda: seen.ids == ["17"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible_in_both_schemes(open_page, browser, axe, scheme):
    browsing.emulate(browser, scheme=scheme)
    try:
        assert open_page(made.samples(60)).violations(axe) == []
    finally:
        browsing.emulate(browser, width=None)


def test_the_reader_chooses_the_colours_and_the_choice_is_kept(open_page, browser):
    browsing.emulate(browser, scheme="dark")
    try:
        seen = open_page(made.samples(3))
        colour = "return getComputedStyle(document.body).backgroundColor"
        assert (seen.js(colour), seen.texts("#theme")) == ("rgb(20, 23, 27)", ["Light colours"])
        seen.click("#theme")
        assert (seen.js(colour), seen.texts("#theme")) == ("rgb(255, 255, 255)", ["Dark colours"])

        def kept():  # a reload may overtake what the page has just stored: then the reader chooses again
            if seen.js(colour) != "rgb(255, 255, 255)":
                seen.click("#theme")
            browser.refresh()
            seen.settle()
            return seen.js(colour) == "rgb(255, 255, 255)"

        seen.wait(kept)
        seen.click("#theme")
        assert (seen.js(colour), seen.js("return localStorage.length")) == ("rgb(20, 23, 27)", 0)
    finally:
        browsing.emulate(browser, width=None)
