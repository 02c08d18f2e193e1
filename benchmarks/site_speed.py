"""Time and memory of `halueval leaderboard --html`: a site of 1,000 runs, and a page of 100,000 samples.

    python benchmarks/site_speed.py > benchmarks/site_speed.md
    python benchmarks/site_speed.py 50 2000        a quick look

The runs are those of `leaderboard_speed.py`: as many records as long as real ones, whose samples cannot be shown. The
large run is one of them with samples as long as those of short questions; its page is opened in headless Chromium.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diff_speed import timed
from leaderboard_speed import NUM_TASKS, make_runs, templates

from halueval.store import write_run

SEARCHED = "return / of [0-9,]+ samples$/.test(document.getElementById('status').textContent)"
STATES = ("correct", "hallucinated", "abstained")


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Samples of generated answers, with a few-shot prompt and two strata."""
    shown = "".join(f"Q: What is the name of fact {i}?\nA: name {i}\n\n" for i in range(5))
    for i in range(count):
        yield {
            "sample_id": str(i),
            "prompt": f"{shown}Q: What is the name of fact {i}?\nA:",
            "target": f"name {i}",
            "response": f" name {i * 7919 % count}, as far as is known of fact {i} and of its like",
            "state": STATES[i % 3],
            "confidence": (i * 7919 % 1000) / 1000,
            "scores": {"exact_match": float(i % 3 == 0), "token_f1": 0.5},
            "group": {"relation": f"relation {i % 20}", "quartile": f"q{i % 4}"},
        }


def make_large_run(root: Path, count: int) -> None:
    """One run of `facts_qa` with so many samples."""
    record = next(record for record in templates() if record["task"]["name"] == "facts_qa")
    record["identity"]["limit"] = None
    record["n_samples"] |= {"original": count, "effective": count}
    third = count // 3
    record["states"] |= {"correct": count - 2 * third, "hallucinated": third, "abstained": third, "unscored": 0}
    write_run(root / "large", record, rows(count))


def in_browser(page: Path, query: str, repeats: int = 3) -> tuple[float, float] | None:
    """Median seconds until a page shows its samples, and of a search; None without headless Chromium."""
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver_path is None:
        return None
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for name in ("headless", "no-sandbox", "disable-gpu"):
        options.add_argument(f"--{name}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    found = []
    try:
        for _ in range(repeats):
            driver.get("about:blank")
            started = time.perf_counter()
            driver.get(page.as_uri())
            WebDriverWait(driver, 60, 0.02).until(lambda d: d.find_elements("css selector", ".sample"))
            ready = time.perf_counter() - started
            started = time.perf_counter()
            driver.execute_script(
                """document.getElementById('status').textContent = '';
                const box = document.getElementById('filters').elements.query;
                box.value = arguments[0]; box.dispatchEvent(new Event('input'));""",
                query,
            )
            WebDriverWait(driver, 60, 0.02).until(lambda d: d.execute_script(SEARCHED))
            found.append((ready, time.perf_counter() - started))
    finally:
        driver.quit()
    return statistics.median(ready for ready, _ in found), statistics.median(search for _, search in found)


def size_of(site: Path) -> str:
    """Files and MB of a site."""
    files = [path for path in site.rglob("*") if path.is_file()]
    return f"{len(files):,} files, {sum(path.stat().st_size for path in files) / 2**20:.0f} MB"


def main(runs: int, samples: int) -> None:
    """Time both; print Markdown."""
    print("# Speed of `halueval leaderboard --html`\n")
    print(
        f"Written by `python benchmarks/site_speed.py`: {runs:,} runs of {NUM_TASKS} tasks without samples to show, and"
    )
    print(f"one run with {samples:,} samples. Medians of three whole processes, files in the page cache; memory is the")
    print(f"most that the process held. {platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python")
    print(f"{platform.python_version()}.\n")
    print("| work | wall, s | processor, s | peak, MB | |\n|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        make_runs(here / "many", runs)
        make_large_run(here / "one", samples)
        command = [sys.executable, "-m", "halueval", "leaderboard", "--quiet", "--include", "dirty"]
        for results, what in (("many", f"{runs:,} runs"), ("one", f"1 run, {samples:,} samples")):
            site = here / f"site-{results}"
            wall, processor, peak = timed([*command, "--results", str(here / results), "--html", str(site)])
            told = size_of(site)
            if results == "one":
                (page,) = site.glob("runs/*/*.html")
                seen = in_browser(page, f"fact {samples - 3}")
                told += "" if seen is None else f"; in Chromium ready in {seen[0]:.1f} s, a search {seen[1]:.1f} s"
            print(f"| {what} | {wall:.1f} | {processor:.1f} | {peak:.0f} | {told} |", flush=True)


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]]
    main(*(numbers or [1000, 100_000]))
