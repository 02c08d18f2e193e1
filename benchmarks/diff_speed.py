"""Time and memory of `halueval diff` on two runs of 100,000 and 300,000 samples, and of its page.

    python benchmarks/diff_speed.py > benchmarks/diff_speed.md
    python benchmarks/diff_speed.py 5000        a quick look

Makes both runs with a scripted model (not timed), then compares them in processes of their own.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import yaml

from halueval.backends.base import ModelIdentity
from halueval.backends.fake import FakeBackend
from halueval.dataset import load_data
from halueval.job import ModelHandle, RunSettings, SilentObserver
from halueval.registry import Registry
from halueval.runner import prepare, run_task
from halueval.scorers.catalog import create_from_spec

FIGURES = ["exact_match", "token_f1", "hallucination_rate", "answer_rate", "bits_per_byte"]


def make_run(task_path: Path, output: Path, name: str, wrong_every: int) -> Path:
    """A finished run whose model gets every so manieth fact wrong."""

    def answer(prompt: str) -> str:
        number = int(prompt.rsplit("fact ", 1)[1].split("?")[0])
        return " nothing of the kind" if number % wrong_every == 0 else f" answer {number}"

    task = Registry().task(str(task_path))
    data = load_data(task, base=task_path.parent)
    scorers = [create_from_spec(metric, task=task) for metric in task.metric_list]
    identity = ModelIdentity(name, "c", "t", None, None, "causal", "float32", name=name)
    settings = RunSettings(output=output, n_resamples=100, max_tokens_per_batch=100_000)
    handle = ModelHandle(identity, lambda: FakeBackend(answer))
    run = run_task(prepare(task, data, scorers, identity, settings), handle, settings, SilentObserver())
    assert run is not None
    return run.path


def make_runs(here: Path, samples: int) -> tuple[Path, Path]:
    """Two finished runs of one task."""
    rows = (json.dumps({"n": i, "a": f"answer {i}", "relation": f"r{i % 20}"}) for i in range(samples))
    (here / "facts.jsonl").write_text("\n".join(rows), encoding="utf-8")
    card = {
        "task": "many",
        "output_type": "generate_until",
        "source": "facts.jsonl",
        "doc_to_text": "What is fact {{n}}?",
        "doc_to_target": "{{a}}",
        "metric_list": FIGURES,
        "primary_metric": "exact_match",
        "group_by": ["relation"],
    }
    (here / "many.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return make_run(here / "many.yaml", here / "out", "base", 3), make_run(here / "many.yaml", here / "out", "tuned", 4)


def timed(command: list[str], repeats: int = 3) -> tuple[float, float, float]:
    """Median wall time, its processor time, and the peak memory in MB of a command run several times."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        process = subprocess.Popen(command)  # noqa: S603  the command is ours
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{' '.join(command[2:4])} ended with {os.waitstatus_to_exitcode(status)}")
        found.append((wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))
    return sorted(found)[repeats // 2]


def in_browser(page: Path) -> tuple[float, float] | None:
    """Seconds until a page shows its samples, and of a search, in headless Chromium; None where there is none."""
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
    status = "return document.getElementById('status').textContent"
    try:
        started = time.perf_counter()
        driver.get(page.as_uri())
        WebDriverWait(driver, 60, 0.02).until(lambda _: "samples" in driver.execute_script(status))
        ready = time.perf_counter() - started
        code = """document.getElementById('status').textContent = '';
            const box = document.getElementsByName('query')[0];
            box.value = 'fact 77777'; box.dispatchEvent(new Event('input'));"""
        started = time.perf_counter()
        driver.execute_script(code)
        WebDriverWait(driver, 60, 0.02).until(lambda _: "sample" in driver.execute_script(status))
        return ready, time.perf_counter() - started
    finally:
        driver.quit()


def main(sizes: list[int]) -> None:
    """Time the comparison at each size, and the page at the first; print Markdown."""
    print("# Speed of `halueval diff`\n")
    print("Written by `python benchmarks/diff_speed.py`: two runs of a scripted model, one task, figures")
    print(f"{', '.join(FIGURES)}, 20 strata; 10,000 permutations a figure (its defaults). Medians of three whole")
    print(f"processes; memory is the most that the process held. {platform.processor() or platform.machine()},")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, numpy {version('numpy')}.\n")
    print("| work | wall, s | processor, s | peak, MB | |\n|---|---:|---:|---:|---|")
    for number, samples in enumerate(sizes):
        with tempfile.TemporaryDirectory() as name:
            here = Path(name)
            base, tuned = make_runs(here, samples)
            command = [sys.executable, "-m", "halueval", "diff", str(base), str(tuned), "--quiet"]
            wall, processor, peak = timed([*command, "--json", str(here / "d.json")])
            print(f"| {samples:,} pairs, `--json` | {wall:.1f} | {processor:.1f} | {peak:.0f} | |", flush=True)
            if number:
                continue
            page = here / "d.html"
            wall, processor, peak = timed([*command, "--html", str(page)], 1)
            seen = in_browser(page)
            told = "" if seen is None else f", in Chromium ready in {seen[0]:.1f} s, a search {seen[1]:.1f} s"
            told = f"page of {page.stat().st_size / 2**20:.0f} MB{told}"
            print(f"| {samples:,} pairs, `--html` | {wall:.1f} | {processor:.1f} | {peak:.0f} | {told} |", flush=True)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100_000, 300_000])
