"""The HTML page of a diff in headless Chromium: filters, search, pages, and that nothing in it runs or asks."""

from __future__ import annotations

import json
import re
import shutil

import diff_records as made
import pytest
from hostile import HOSTILE

from halueval.report.diff_html import render_html


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no Chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = ["no-first-run", "disable-background-networking", "disable-component-update"]
    quiet += ["disable-sync", "disable-quic"]
    # A sandbox of its own is refused to root, as whom containers commonly run.
    for name in [
        *quiet,
        "headless",
        "no-sandbox",
        "disable-gpu",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ]:
        options.add_argument(f"--{name}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()


class Page:
    """A page opened from a file, and what a reader does with it."""

    def __init__(self, driver, path, record, samples):
        self.driver = driver
        path.write_text("".join(render_html(record, samples)), encoding="utf-8")
        for kind in ("browser", "performance"):
            driver.get_log(kind)
        driver.get(path.as_uri())
        self.settle()

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def settle(self):
        self.wait(lambda: re.search("of [0-9,]+ samples$|^No sample fits", self.status))

    def wait(self, test):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20, 0.05).until(lambda _: test())

    @property
    def status(self):
        return self.js("return document.getElementById('status').textContent")

    @property
    def ids(self):
        return self.texts(".sample > .facts bdi:first-of-type")

    def texts(self, css):
        return self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", css)

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

    def check_quiet(self):
        """No error on the console, no dialogue, nothing asked of anyone."""
        assert [entry for entry in self.driver.get_log("browser") if entry["level"] != "INFO"] == []
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        # The browser's own start page is loaded through the same log.
        urls = {e["request"]["url"] for e in sent if not e["documentURL"].startswith("chrome://")}
        assert {url.partition("#")[0] for url in urls} == {self.driver.current_url.partition("#")[0]}


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
        allowed = "li,h3,h4,p,span,bdi,b,div,details,summary,del,ins,ul"
        assert seen.js(f"return document.querySelectorAll('#rows *:not({allowed})').length") == 0
        names = "return [...document.querySelectorAll('#rows *')].flatMap(e => e.getAttributeNames())"
        assert set(seen.js(names)) <= {"class", "dir", "open"}
        if seen.js("return document.querySelector(\"[data-step='1']\").disabled"):
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
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        rows = [made.sample(0, answers=("x" * 3000, "y"), prompt="z" * 3000), *made.samples(60)]
        seen = open_page(rows)
        assert seen.js("return document.documentElement.scrollWidth <= innerWidth")
        background = seen.js("return getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


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
