"""Run the study and write its page: `make study`.

    python -m benchmarks.study [--output build/study] [--smoke]

Probes the embedded model, trains it on mixes of facts that it knows and does not know, asks every checkpoint the same
questions, and writes `docs/study.md` with its plots and `docs/study.json`. Stopped, it goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.study.design import SMOKE, Design, label, train
from benchmarks.study.measure import checkpoints, record_of
from benchmarks.study.page import write_page
from halueval.errors import HaluevalError
from halueval.known import read_labels
from halueval.probing.probe import read_probe

DOCS = Path(__file__).parents[2] / "docs"


def main() -> int:
    """All of it; 2 where something is wrong, in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/study"), help="labels, trainings and runs")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where study.md, study.json and the plots go")
    parser.add_argument("--smoke", action="store_true", help="a few facts: does it all work? the figures mean nothing")
    parser.add_argument("--page", action="store_true", help="only write the page anew from study.json")
    options = parser.parse_args()
    path = options.docs / "study.json"
    try:
        if not options.page:
            design = SMOKE if options.smoke else Design()
            labels = label(design, options.output)
            made = train(design, labels, options.output)
            found = checkpoints(made, read_labels(labels)[1])
            record = record_of(design, found, read_probe(labels.parent).record)
            options.docs.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        write_page(json.loads(path.read_text(encoding="utf-8")), options.docs)
    except HaluevalError as error:
        print(f"study: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{options.docs / 'study.md'} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
