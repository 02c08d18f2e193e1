"""Pairs a second of the consistency scorers that run everywhere: `lite`, and `likelihood` against a plain loop.

    python -m benchmarks.consistency_speed > benchmarks/consistency_speed.md
    python -m benchmarks.consistency_speed --qags mturk_cnndm.jsonl       summaries of QAGS in place of XSum's
    python -m benchmarks.consistency_speed --rows 3 --rounds 1            does it all work? measures nothing

Every side runs in a process of its own, sides in turn (A B C A B C …), since a language model remembers what it was
asked. The plain loops are one forward pass of transformers a pair (`engine/plain_loops.py`), with the same weights,
prompts and precision: one with the logits of every position, as such a loop is mostly written and as
lm-evaluation-harness has it, and a frugal one that asks for the continuation's only. `likelihood` also asks for each
sentence of a claim, from which it tells the worst; the loops do not, so its requests for whole claims are timed by
themselves too. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

LITE, SCORER, CLAIMS = "lite", "likelihood", "likelihood, whole claims alone"
WHOLE, FRUGAL = "one by one, whole logits", "one by one, logits of the claim only"
LOOPS = {WHOLE: "whole_pairs", FRUGAL: "pairs"}
"""The plain loops, by their names in `plain_loops.LOOPS`."""
PRECISIONS = ("float32", "auto")
WARM_UP = ("A town has a river.", "A town has a river.")
"""A pair that is scored while loading is timed, so that what is loaded late is loaded."""


def lite(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Time `lite`, as it is made by default."""
    from halueval.consistency.base import Pair
    from halueval.consistency.lite import Lite

    started = time.perf_counter()
    scorer = Lite(device="cpu")
    scorer.score([Pair(*WARM_UP)])
    loaded = time.perf_counter()
    verdicts = scorer.score([Pair(*pair) for pair in pairs])
    done = time.perf_counter()
    return {"loading": loaded - started, "seconds": done - loaded, "sums": [v.value for v in verdicts]}


def likelihood(pairs: Sequence[tuple[str, str]], dtype: str, *, sentences: bool) -> dict[str, Any]:
    """Time `likelihood` with the embedded model; without `sentences` the requests for whole claims alone."""
    from halueval.consistency.base import Pair
    from halueval.consistency.language_model import DEFAULT_MODEL, shared_model
    from halueval.consistency.likelihood import Likelihood, prompt
    from halueval.schema import LoglikelihoodRequest, LoglikelihoodResponse

    started = time.perf_counter()
    scorer, model = Likelihood(device="cpu", dtype=dtype), shared_model(DEFAULT_MODEL, "cpu", dtype)
    scorer.score([Pair(*WARM_UP)])
    loaded = time.perf_counter()
    sums: list[float | None]
    if sentences:
        verdicts = scorer.score([Pair(*pair) for pair in pairs])
        sums = [None if v.value is None else v.value * v.details["tokens"] for v in verdicts]
    else:
        answers = model.ask([LoglikelihoodRequest(prompt(a, "en"), " " + claim.strip()) for a, claim in pairs])
        sums = [answer.loglikelihood if isinstance(answer, LoglikelihoodResponse) else None for answer in answers]
    return {"loading": loaded - started, "seconds": time.perf_counter() - loaded, "sums": sums}


def one_by_one(pairs: Sequence[tuple[str, str]], dtype: str, loop: str) -> dict[str, Any]:
    """Time a plain loop in the precision that `dtype` means here."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from benchmarks.engine import data, plain_loops
    from halueval.backends.devices import resolve_dtype
    from halueval.consistency.language_model import DEFAULT_MODEL
    from halueval.consistency.likelihood import prompt
    from halueval.registry import Registry

    started = time.perf_counter()
    directory = data.model_directory()
    precision = getattr(torch, resolve_dtype(dtype, Registry().model(DEFAULT_MODEL), "cpu"))
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=precision, local_files_only=True).eval()
    rows = [(prompt(source, "en"), " " + claim.strip()) for source, claim in pairs]
    with torch.inference_mode():
        plain_loops.LOOPS[loop](model, tokenizer, [(prompt(WARM_UP[0], "en"), " " + WARM_UP[1])], {})
        loaded = time.perf_counter()
        sums = plain_loops.LOOPS[loop](model, tokenizer, rows, {})
    return {"loading": loaded - started, "seconds": time.perf_counter() - loaded, "sums": sums}


def measure(side: str, dtype: str, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """One side, in this process."""
    if side == LITE:
        return lite(pairs)
    if side in LOOPS:
        return one_by_one(pairs, dtype, LOOPS[side])
    return likelihood(pairs, dtype, sentences=side == SCORER)


def in_its_own_process(side: str, dtype: str, folder: Path) -> dict[str, Any]:
    """One side, with the pairs that lie in the folder.

    Raises:
        SystemExit: the process failed.
    """
    out = folder / "out.json"
    command = [sys.executable, "-m", "benchmarks.consistency_speed", "--side", side, "--dtype", dtype]
    done = subprocess.run([*command, "--folder", str(folder)], check=False, stdout=subprocess.DEVNULL)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{side} in {dtype} ended with {done.returncode}")
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return found


def row(
    side: str, dtype: str, runs: Sequence[Mapping[str, Any]], loops: Sequence[Sequence[Mapping[str, Any]]] | None
) -> str:
    """A line of the table: medians over rounds, and how many times as fast as each loop.

    Args:
        side: which.
        dtype: precision, as shown.
        runs: of its rounds, see `measure`.
        loops: rounds of each plain loop in the same precision; None where there is nothing to compare with. The
            difference is from the last of them.
    """
    n = len(runs[0]["sums"])
    seconds = statistics.median(run["seconds"] for run in runs)
    whole = statistics.median(run["seconds"] + run["loading"] for run in runs)
    times, far = [""] * len(LOOPS), ""
    if loops is not None:
        times = [f"{statistics.median(run['seconds'] for run in loop) / seconds:.1f}×" for loop in loops]
        last = loops[-1][-1]["sums"]
        gaps = [abs(a - b) for a, b in zip(runs[-1]["sums"], last, strict=True) if a is not None]
        far = f"{max(gaps):.1e}" if gaps else ""
    unscored = sum(value is None for value in runs[-1]["sums"])
    cells = (
        side,
        dtype,
        f"{n / seconds:.1f}",
        f"{n / whole:.1f}",
        f"{whole - seconds:.1f}",
        *times,
        far,
        str(unscored),
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Time every side and print Markdown; with `--side`, one side into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qags", type=Path, help="QAGS's file of annotated summaries (JSON lines)")
    parser.add_argument("--rows", type=int, default=235, help="pairs")
    parser.add_argument("--rounds", type=int, default=3)
    for hidden in ("--side", "--dtype", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        folder = Path(given.folder)
        found = measure(given.side, given.dtype, json.loads((folder / "pairs.json").read_text(encoding="utf-8")))
        (folder / "out.json").write_text(json.dumps(found), encoding="utf-8")
        return
    from benchmarks.engine import data

    pairs, source = data.summary_pairs(given.qags, given.rows)
    sides = [(LITE, "auto"), *((side, dtype) for dtype in PRECISIONS for side in (SCORER, CLAIMS, *LOOPS))]
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {key: [] for key in sides}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
        for number in range(given.rounds):
            for key in sides:
                print(f"round {number + 1}: {' in '.join(key)}", file=sys.stderr, flush=True)
                runs[key].append(in_its_own_process(*key, folder))
    print("# Speed of the consistency scorers\n")
    print(f"Written by `python -m benchmarks.consistency_speed`: {len(pairs)} pairs, {source};")
    print(f"medians of {given.rounds} processes a side. Pairs a second are those of scoring, then of scoring and")
    print("loading together. × is how many times as fast as a plain loop in the same precision (`auto` is what")
    print("`--dtype auto` means on this machine): the loop with the logits of every position, as it is mostly written")
    print("and as lm-evaluation-harness has it, and the frugal one that asks for the claim's only. The difference is")
    print("the largest of a pair's log-likelihood from the frugal loop's, in nats.")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()},")
    print(f"torch {version('torch')}, transformers {version('transformers')}.\n")
    heads = ("pairs a second", "with loading", "loading, s", "× whole logits", "× frugal", "difference", "unscored")
    print("| | precision | " + " | ".join(heads) + " |")
    print("|---|---|" + "---:|" * len(heads))
    for side, dtype in sides:
        loops = [runs[loop, dtype] for loop in LOOPS] if side in (SCORER, CLAIMS) else None
        print(row(side, dtype, runs[side, dtype], loops))


if __name__ == "__main__":
    main()
