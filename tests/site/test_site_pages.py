"""The site of a leaderboard in headless Chromium: sorting, filters, colours, a phone's width, and accessibility."""

from __future__ import annotations

import re
import shutil
from urllib.parse import unquote

import browsing
import made_site
import pytest

from halueval.leaderboard.build import build_board
from halueval.report.site.build import count_pages, write_site

KINDS = ("index.html", "tasks/facts.html", "models/alpha-135m-tuned.html", "runs/alpha-135m-tuned/facts.html")
PAIR = "pairs/alpha-135m/alpha-135m-tuned.html"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made_site.write_results(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def site(results, tmp_path_factory):
    directory = tmp_path_factory.mktemp("out") / "site"
    told = []
    board = build_board([results], include=["dirty"])
    write_site(board, directory, told.append)
    assert len(told) == count_pages(board)
    return directory


@pytest.fixture
def index(browser, site):
    return browsing.Page(browser, site / "index.html")


def column(page, section, number, part=""):
    """Texts of a column of the rows that are shown."""
    code = """return [...document.querySelectorAll(`#${arguments[0]} ~ .wide tbody tr:not(.tie):not([hidden])`)]
        .map(row => row.cells[arguments[1]]).map(cell => (arguments[2] ? cell.querySelector(arguments[2]) : cell))
        .map(cell => cell?.textContent.trim() ?? '')"""
    return page.js(code, section, number, part)


def models(page, section="overall"):
    return column(page, section, 0, "a")


def click_heading(page, section, label):
    page.js(
        """[...document.querySelectorAll(`#${arguments[0]} ~ .wide thead button`)]
            .find(b => b.textContent.startsWith(arguments[1])).click()""",
        section,
        label,
    )


def sorted_by(page, section):
    code = """return [...document.querySelectorAll(`#${arguments[0]} ~ .wide thead th[aria-sort]`)]
        .map(h => [h.textContent.trim().split(' ')[0], h.getAttribute('aria-sort')])"""
    return page.js(code, section)


def choose(page, key, text):
    page.js(
        """const box = document.getElementById('filters').elements[arguments[0]];
        box.value = [...box.options].find(o => o.text === arguments[1]).value;
        box.dispatchEvent(new Event('change', { bubbles: true }));""",
        key,
        text,
    )


def type_name(page, text):
    before = page.js("return document.getElementById('count').textContent")
    page.js(
        """const box = document.getElementById('filters').elements.query;
        box.value = arguments[0]; box.dispatchEvent(new Event('input', { bubbles: true }));""",
        text,
    )
    page.wait(lambda: page.js("return document.getElementById('count').textContent") != before)


def test_overview_is_sorted_by_its_headings(index):
    given = models(index)
    assert given == ["alpha-1.7b", "alpha-135m", "alpha-135m-tuned"]
    assert sorted_by(index, "overall") == [["Rank", "ascending"]]
    click_heading(index, "overall", "Accuracy")
    assert sorted_by(index, "overall") == [["Accuracy", "descending"]]
    values = [float(text.rstrip(" %")) for text in column(index, "overall", 4, ".value")]
    assert values == sorted(values, reverse=True)
    click_heading(index, "overall", "Accuracy")
    assert sorted_by(index, "overall") == [["Accuracy", "ascending"]]
    assert column(index, "overall", 4, ".value") == [f"{value:.1f} %" for value in sorted(values)]
    click_heading(index, "overall", "Model")
    assert models(index) == sorted(given)
    click_heading(index, "overall", "Rank")
    assert models(index) == given
    index.check_quiet()


def test_what_is_missing_comes_last_and_headings_of_tasks_go_with_the_order(index):
    shown = "return document.querySelectorAll('#results ~ .wide tr.tie:not([hidden])').length"
    assert index.js(shown) == 3
    for _ in range(2):  # down, then up
        click_heading(index, "results", "Answer rate")
        texts = column(index, "results", 4)
        known = [text for text in texts if text != "–"]
        assert texts == known + ["–"] * (len(texts) - len(known))
    assert index.js(shown) == 0
    click_heading(index, "results", "Task")
    assert index.js(shown) == 3


def test_filters_and_search_leave_what_fits(index):
    count = "return document.getElementById('count').textContent"
    assert index.js(count) == "14 rows"  # three over all tasks, eleven runs
    choose(index, "kind", "classification")
    assert column(index, "results", 1) == ["claims"] * 4
    assert index.js("return document.querySelectorAll('#results ~ .wide tr.tie:not([hidden])').length") == 1
    choose(index, "family", "beta")
    assert (models(index, "results"), index.js(count)) == (["beta-7b"], "1 of 14 rows")
    assert index.js("return document.getElementById('overall').closest('section').hidden")
    index.js("document.querySelector('#filters button[type=reset]').click()")
    index.wait(lambda: index.js(count) == "14 rows")
    choose(index, "language", "zh")
    assert set(column(index, "results", 1)) == {"news"}
    choose(index, "language", "All")
    choose(index, "size", "0.5B-2B")
    assert set(models(index, "results")) == {"alpha-1.7b"}
    choose(index, "size", "All")
    type_name(index, "TUNED alpha")
    assert set(models(index, "results")) == {"alpha-135m-tuned"}
    index.check_quiet()


def test_every_page_opens_quietly_and_every_link_leads_to_one(browser, site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 1 + 3 + 4 + 1 + 11
    for path in pages:
        text = path.read_text(encoding="utf-8")
        for link in re.findall(r'(?:href|src)="([^"#]+)', text):
            assert (path.parent / unquote(link)).resolve().is_file(), f"{path}: {link}"
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
        assert policy.startswith("default-src &#39;none&#39;;")
        assert "unsafe" not in policy
        assert not re.search(r'\b(style|onclick|onload)="', text)
    for path in [site / name for name in (*KINDS, PAIR)]:
        page = browsing.Page(browser, path)
        ids = page.js("return [...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))
        page.check_quiet(beside=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(browser, site, axe, scheme):
    browsing.emulate(browser, scheme=scheme)
    try:
        for name in KINDS if scheme == "light" else (KINDS[0], KINDS[-1]):
            page = browsing.Page(browser, site / name)
            if name.startswith("runs"):
                page.wait(lambda page=page: page.texts(".sample"))
            assert (name, page.violations(axe)) == (name, [])
    finally:
        browsing.emulate(browser, width=None)


def test_pages_fit_a_phone(browser, site):
    browsing.emulate(browser, width=390, height=844)
    try:
        for name in (*KINDS, PAIR):
            page = browsing.Page(browser, site / name)
            assert (name, page.js("return document.documentElement.scrollWidth <= innerWidth")) == (name, True)
        page = browsing.Page(browser, site / "index.html")
        # The name stays in sight beside the figure while the table is moved.
        code = """const box = document.querySelector('.wide'); box.scrollLeft = 300;
            return box.querySelector('tbody tr:not(.tie) th').getBoundingClientRect().left"""
        assert page.js(code) >= 0
    finally:
        browsing.emulate(browser, width=None)


def test_chosen_colours_hold_on_all_pages(browser, site):
    browsing.emulate(browser, scheme="light")
    colour = "return getComputedStyle(document.body).backgroundColor"
    try:
        page = browsing.Page(browser, site / "index.html")
        page.js("document.getElementById('theme').click()")
        assert page.js(colour) == "rgb(20, 23, 27)"
        page.wait(lambda: browsing.Page(browser, site / PAIR).js(colour) == "rgb(20, 23, 27)")
        page.js("document.getElementById('theme').click()")
        assert page.js(colour) == "rgb(255, 255, 255)"
    finally:
        browsing.emulate(browser, width=None)


def test_all_is_reached_by_keyboard_and_has_a_name(index):
    unnamed = """return [...document.querySelectorAll('input, select, button, svg[role=img], a')]
        .filter(e => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).length"""
    assert index.js(unnamed) == 0
    assert index.js("return [...document.querySelectorAll('a, input, select, button')].every(e => e.tabIndex >= 0)")
    assert index.js("return [...document.querySelectorAll('.wide')].every(e => e.tabIndex === 0)")
    heading = index.driver.find_element("css selector", "#overall ~ .wide thead th:nth-child(3) button")
    heading.send_keys("\n")
    assert sorted_by(index, "overall") == [["Hallucination", "ascending"]]


def test_lineage_tells_what_the_comparison_found(site):
    text = (site / "models" / "alpha-135m-tuned.html").read_text(encoding="utf-8")
    assert 'href="../models/alpha-135m.html"' in text
    assert f'href="../{PAIR}"' in text
    assert "alpha-135m-tuned against alpha-135m: worse on" in text
    base = (site / "models" / "alpha-135m.html").read_text(encoding="utf-8")
    assert "fine-tuned from this:" in base


def test_a_model_without_a_common_task_stands_outside_the_means(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "beta-7b is not in it: it has no run of news" in text


def test_the_same_results_give_the_same_bytes_wherever_they_lie(results, site, tmp_path):
    moved = tmp_path / "elsewhere" / "results"
    for path in sorted(results.iterdir(), reverse=True):
        shutil.copytree(path, moved / path.name)
    write_site(build_board([moved], include=["dirty"]), tmp_path / "site")
    ours, theirs = (
        {p.relative_to(d): p.read_bytes() for p in d.rglob("*") if p.is_file()} for d in (site, tmp_path / "site")
    )
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_a_run_that_cannot_be_compared_leaves_the_rest(results, tmp_path):
    moved = tmp_path / "results"
    for name in ("alpha-135m", "alpha-135m-tuned"):
        shutil.copytree(results / name, moved / name)
    (samples,) = moved.glob("alpha-135m-tuned/facts/*/samples.jsonl")
    lines = samples.read_bytes().splitlines(keepends=True)
    samples.write_bytes(b"".join([lines[1], *lines[1:]]))  # as many lines, another digest
    write_site(build_board([moved], include=["dirty"]), tmp_path / "site")
    text = (tmp_path / "site" / PAIR).read_text(encoding="utf-8")
    assert re.search(r"not compared: facts: the samples of \w+ are missing or were changed", text)
    page = (tmp_path / "site" / "runs" / "alpha-135m-tuned" / "facts.html").read_text(encoding="utf-8")
    assert "No samples are shown: samples.jsonl: was changed after the run" in page
    assert str(tmp_path) not in text + page


def test_the_command_writes_a_site_and_says_where(results, tmp_path, invoke):
    results = results / "alpha-1.7b"
    done = invoke("leaderboard", "--results", results, "--include", "dirty", "--html", tmp_path / "site")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"{tmp_path / 'site' / 'index.html'}: open it in a browser" in done.stderr
    assert (tmp_path / "site" / "index.html").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("x", encoding="utf-8")
    refused = invoke("leaderboard", "--results", results, "--html", tmp_path / "mine")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith(f"halueval: {tmp_path / 'mine'}: holds files that are no")
    checked = invoke("leaderboard", "--results", results, "--check", "--html", tmp_path / "site")
    assert (checked.returncode, "leave out --html" in checked.stderr) == (2, True)
