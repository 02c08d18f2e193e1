"""Run the study: `python -m benchmarks.study --help`, or `make study`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.study.drawings import curves_drawing, law_drawing
from benchmarks.study.page import render
from benchmarks.study.run import Watch, read_record, study, write_record
from benchmarks.study.settings import Settings, smoke
from halueval.cli.progress import make_observer
from halueval.cli.training_progress import make_training_progress
from halueval.errors import HaluevalError
from halueval.store import write_atomically

ROOT = Path(__file__).resolve().parents[2]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few minutes: shows that all runs, measures nothing")
    parser.add_argument("--render", action="store_true", help="only write the page anew from the record")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="labels of an earlier probe of the same base")
    parser.add_argument("--facts", type=int, metavar="N", help="first so many rows of the task are used")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps; float32 everywhere")
    parser.add_argument("--work", type=Path, help="what is kept on the way [default: benchmarks/.work/study]")
    parser.add_argument("--out", type=Path, help="of study.json [default: benchmarks; of a smoke run, --work]")
    parser.add_argument("--docs", type=Path, help="of study.md [default: docs; of a smoke run, --work]")
    options = parser.parse_args(arguments)
    if options.facts is not None and options.facts < 1:
        parser.error("--facts must be at least 1")
    options.work = options.work or ROOT / "benchmarks" / ".work" / ("study-smoke" if options.smoke else "study")
    options.out = options.out or (options.work if options.smoke else ROOT / "benchmarks")
    options.docs = options.docs or (options.work if options.smoke else ROOT / "docs")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 2 for bad input, 3 if interrupted: the same command then goes on."""
    options = parse(arguments)
    settings = smoke(Settings()) if options.smoke else Settings()
    settings = replace(settings, device=options.device)
    if options.facts is not None:
        settings = replace(settings, facts=options.facts)
    record_file = options.out / "study.json"
    try:
        if not options.render:
            watch = Watch(_say, lambda: make_observer(quiet=False), lambda: make_training_progress(quiet=False))
            write_record(record_file, study(settings, options.work, options.labels, watch))
        written = write_page(options.docs, read_record(record_file))
    except HaluevalError as error:
        _say(f"study: {' '.join(str(error).split())}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("study: interrupted; what was finished is kept, and the same command goes on from there")
        return 3
    print("\n".join(str(path) for path in (record_file, *written)))
    return 0


def write_page(docs: Path, record: dict[str, object]) -> list[Path]:
    """Page and drawings of a record."""
    outcomes = record["outcomes"]
    assert isinstance(outcomes, dict)
    main_outcome = outcomes.get("known") or outcomes["all"]
    files = {
        docs / "study.md": render(record),
        docs / "images" / "study-curves.svg": curves_drawing(main_outcome["curves"], main_outcome["base"]["value"]),
    }
    drawn = law_drawing(main_outcome["law"])
    if drawn is not None:
        files[docs / "images" / "study-law.svg"] = drawn
    for path, text in files.items():
        write_atomically(path, [text.encode()])
    return list(files)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
