"""`RESULTS.md` out of `results.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Results = Mapping[str, Any]

HEAD = """# Results of the engine's benchmarks

Written by `make bench` from `results.json`; [README.md](README.md) says what each workload is and how to repeat it.
Both sides have the same weights (SmolLM2 135M Instruct, float32), prompts and machine, and run in turn (A B A B …);
seconds are medians. *Scoring* runs from requests to answers: tokenising and forward passes, without imports, loading
and figures. *Process* is everything from start to end.
"""


def render(results: Results, order: Sequence[str]) -> str:
    """The whole page.

    Args:
        results: name of each workload to what it measured, or to why it failed.
        order: names in the order of the page.
    """
    there = [(name, results[name]) for name in order if name in results]
    parts = [HEAD, _machines(there), _goals(there), _seconds(there)]
    parts += [_section(result) for _, result in there]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '¦') for cell in line)} |\n" for line in lines)


def _machines(there: Sequence[tuple[str, Any]]) -> str:
    """Machine and versions; one paragraph for each set that differs."""
    found: dict[str, list[str]] = {}
    for name, result in there:
        machine = result["machine"]
        packages = ", ".join(f"{key} {value}" for key, value in machine["packages"].items())
        text = (
            f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {machine['system']}; "
            f"Python {machine['python']}; {packages}; halueval at {machine['commit']}"
        )
        found.setdefault(text, []).append(name)
    lines = [f"- {text}" + (f": {', '.join(names)}" if len(found) > 1 else "") for text, names in found.items()]
    peers = {f"{k} {v}" for _, r in there for k, v in (r.get("peer_versions") or {}).items()}
    if peers:
        lines.append(f"- lm-eval's environment: {', '.join(sorted(peers))}")
    return "## Machine\n\n" + "\n".join(lines) + "\n"


def _goals(there: Sequence[tuple[str, Any]]) -> str:
    rows = []
    for name, result in there:
        if "problem" in result:
            rows.append([name, result["problem"], "", "", f"**{result['status']}**"])
        for goal in result.get("goals", ()):
            verdict = {True: "reached", False: "**missed**", None: f"not judged ({result['rows']} rows)"}
            rows.append([name, goal["what"], goal["bound"], goal["shown"], verdict[goal["reached"]]])
    return "## Goals\n\n" + table(["workload", "figure", "goal", "measured", ""], rows)


def _seconds(there: Sequence[tuple[str, Any]]) -> str:
    rows = []
    for name, result in there:
        if "sides" not in result:
            continue
        theirs, ours, ratios = result["sides"][result["peer"]], result["sides"]["halueval"], result["ratios"]
        cells = [name, str(result["rows"]), str(result["rounds"]), result["peer"]]
        for kind in ("scoring", "process"):
            cells += [f"{theirs[f'{kind}_median']:.1f}", f"{ours[f'{kind}_median']:.1f}", f"{ratios[kind]:.2f}×"]
        cells += [_mebibytes(theirs["peak_memory_bytes"]), _mebibytes(ours["peak_memory_bytes"])]
        rows.append(cells)
    head = ["workload", "rows", "rounds", "peer", "scoring: peer s", "ours s", "ratio"]
    head += ["process: peer s", "ours s", "ratio", "peak: peer MiB", "ours MiB"]
    return "## Seconds and memory\n\n" + table(head, rows)


def _section(result: Results) -> str:
    parts = [f"## {result['title']}\n"]
    if "problem" in result:
        parts.append(f"{result['status'].capitalize()}: {result['problem']}\n")
    if "ratios" in result:
        each = ", ".join(f"{value:.2f}×" for value in result["ratios"]["scoring_by_round"])
        parts.append(f"Scoring by round: {each}.\n")
    if "engine" in result:
        parts.append(_engine(result["engine"]))
    if "parity" in result:
        parts.append(_parity(result["parity"]))
    if "points" in result:
        parts.append(_points(result["points"]))
    if result.get("notes"):
        parts.append("\n".join(f"- {note}" for note in result["notes"]) + "\n")
    return "\n".join(parts)


def _engine(engine: Mapping[str, Any]) -> str:
    counters = ", ".join(f"{name} {value:,}" for name, value in engine.items() if isinstance(value, int))
    seconds = ", ".join(f"{name} {value:.2f}" for name, value in engine.get("seconds", {}).items())
    return f"Our accounting: {counters}{f'; seconds: {seconds}' if seconds else ''}.\n"


def _parity(parity: Mapping[str, Any]) -> str:
    lines = []
    if "largest_loglikelihood_difference" in parity:
        of = parity.get("requests", parity.get("documents"))
        lines.append(
            f"Log-likelihoods of {of:,} texts differ by at most {parity['largest_loglikelihood_difference']:.2g} nats."
        )
    if "answers" in parity:
        lines.append(f"Equal greedy answers: {parity['equal']} of {parity['answers']}.")
    for item in parity.get("different", ()):
        gap = "parts before the first token" if item["gap"] is None else f"largest logits apart by {item['gap']:.2g}"
        between = " and ".join(repr(token) for token in item.get("top_tokens", ()))
        lines.append(
            f"`{item['halueval']!r}` and `{item['peer']!r}` part where the {gap}"
            f"{f' ({between})' if between else ''}: {'a tie' if item['tie'] else 'no tie'}."
        )
    return "\n\n".join(lines) + "\n"


def _points(points: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            *(f"{point[key]:,}" for key in ("rows", "requests", "tokens_requested", "tokens_computed")),
            f"{point['scoring_seconds']:.1f}",
            f"{point['process_seconds']:.1f}",
            f"{1000 * point['scoring_seconds'] / point['rows']:.0f}",
            _mebibytes(point["peak_memory_bytes"]),
        ]
        for point in points
    ]
    head = ["rows", "requests", "tokens requested", "tokens computed", "scoring s", "process s", "ms a row", "peak MiB"]
    return table(head, rows) + "\n![Seconds and memory against rows](scaling.svg)\n"


def _mebibytes(value: int) -> str:
    return f"{value / 2**20:,.0f}"
