"""Run the benchmarks: `python -m benchmarks.engine --help`, or `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.engine import machine
from benchmarks.engine.context import Context, Settings, Workload
from benchmarks.engine.plot import __file__ as plot_file
from benchmarks.engine.process import ROOT, BenchError, run
from benchmarks.engine.report import render
from benchmarks.engine.workloads import ALL
from halueval.errors import HaluevalError


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    names = [workload.name for workload in ALL]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--only", metavar="NAMES", help=f"some workloads, with commas, of: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, help="in place of each workload's own number")
    parser.add_argument("--rows", type=int, help="fewer rows, to see that all works; goals are not judged then")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks", help="where results.json and RESULTS.md go")
    parser.add_argument("--work", type=Path, default=ROOT / "benchmarks" / ".work", help="data and logs of the runs")
    parser.add_argument("--peer-python", type=Path, default=ROOT / ".venv-bench" / "bin" / "python")
    parser.add_argument("--truthfulqa", type=Path, default=_path("HALUEVAL_BENCH_TRUTHFULQA"), metavar="FILE")
    parser.add_argument("--qags", type=Path, default=_path("HALUEVAL_BENCH_QAGS"), metavar="FILE")
    parser.add_argument("--report", action="store_true", help="only write RESULTS.md anew from results.json")
    options = parser.parse_args(arguments)
    options.only = names if options.only is None else [name.strip() for name in options.only.split(",")]
    unknown = [name for name in options.only if name not in names]
    if unknown:
        parser.error(f"no workload {unknown[0]!r}; there are: {', '.join(names)}")
    for name in ("rounds", "rows"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    for name in ("truthfulqa", "qags", "peer_python"):
        path = getattr(options, name)
        if path is not None and not path.is_file():
            parser.error(f"--{name.replace('_', '-')} {path}: no such file")
    return options


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


BUSY = 0.5
"""Load average at the start above which the machine is not called idle."""


def measure(workload: Workload, settings: Settings, position: str, load: float) -> dict[str, Any]:
    """Run one workload; what goes wrong is a result too."""
    rows, rounds = settings.rows or workload.rows, settings.rounds or workload.rounds
    rows = min(rows, workload.rows)
    folder = settings.work / workload.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    context = Context(settings, workload.name, rows, rounds, rows == workload.rows, folder, position)
    context.say(f"{workload.title}: {rows} of {workload.rows} rows, {rounds} rounds")
    about = {"title": workload.title, "rows": rows, "rounds": rounds, "machine": machine.describe()}
    if load > BUSY:
        context.notes.append(f"The machine was not idle at the start: load average {load:.1f}.")
    started = time.perf_counter()
    try:
        found = {"status": "done", **workload.run(context)}
    except (BenchError, HaluevalError) as error:
        found = {"status": "failed", "problem": str(error)}
    except Exception as error:  # noqa: BLE001  one broken workload must not cost the others' hours; it is reported
        traceback.print_exc()
        found = {"status": "failed", "problem": f"{type(error).__name__}: {error}"}
    if found["status"] == "failed":
        context.say(f"FAILED: {found['problem']}")
    for goal in context.goals:
        verdict = {True: "reached", False: "MISSED", None: "not judged"}[goal.reached]
        context.say(f"{goal.what}: {goal.shown} (goal {goal.bound}): {verdict}")
    return {
        **about,
        **found,
        "goals": [asdict(goal) for goal in context.goals],
        "notes": context.notes,
        "seconds": round(time.perf_counter() - started, 1),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write(results: dict[str, Any], out: Path) -> None:
    """Write `results.json` and `RESULTS.md`; results of workloads that were not run stay."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    (out / "results.json").write_text(text, encoding="utf-8")
    (out / "RESULTS.md").write_text(render(results, [workload.name for workload in ALL]), encoding="utf-8")


def draw(out: Path, settings: Settings) -> None:
    """Draw `scaling.svg` from `results.json`.

    Raises:
        BenchError: it cannot be drawn.
    """
    settings.work.mkdir(parents=True, exist_ok=True)
    command = [str(settings.peer_python), plot_file, str(out / "results.json"), str(out / "scaling.svg")]
    run(command, folder=settings.work, label="plot")


def main() -> int:
    """Run what was asked for; 1 if a workload failed."""
    options = parse()
    options.out, options.work = options.out.resolve(), options.work.resolve()
    path = options.out / "results.json"
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    # The interpreter of an environment is a link: resolving it would lose the environment.
    peer_python = options.peer_python.absolute()
    settings = Settings(options.work, peer_python, options.rows, options.rounds, options.truthfulqa, options.qags)
    chosen = [] if options.report else [workload for workload in ALL if workload.name in options.only]
    load = os.getloadavg()[0]
    for number, workload in enumerate(chosen):
        results[workload.name] = measure(workload, settings, f"{number + 1}/{len(chosen)}", load)
        write(results, options.out)  # after each, so that a stop loses one at most
    failed = [workload.name for workload in chosen if results[workload.name]["status"] == "failed"]
    if options.report:
        write(results, options.out)
    if "points" in results.get("scaling", {}) and (options.report or "scaling" in options.only):
        try:
            draw(options.out, settings)
        except BenchError as error:
            failed.append(f"scaling.svg: {error}")
    print(f"{options.out / 'RESULTS.md'} is written" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
