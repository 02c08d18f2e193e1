"""What a probe found, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from halueval.known import KNOWN_CLASSES
from halueval.probing.figures import Share

MAX_GROUPS = 40
"""Most values of a stratum that are listed."""


def print_probe(record: Mapping[str, Any], directory: str, stream: IO[str]) -> None:
    """Write the tables of `probe.json`.

    Args:
        record: of the probe.
        directory: where it lies.
        stream: where to write.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    settings = record["settings"]
    console.print(
        f"What {record['model']} knows of {record['task']}: {record['n_facts']:,} facts, "
        f"{settings['num_prompts']} prompts of {settings['num_fewshot']} examples, "
        f"1 greedy and {settings['num_draws']} drawn answers each "
        f"(T {settings['temperature']:g}, top-k {settings['top_k']})",
        markup=False,
        soft_wrap=True,
    )
    table = Table("Class", box=None, pad_edge=False, header_style="bold")
    for title in ("Facts", "Share", "Right, fresh prompt"):
        table.add_column(title, justify="right")
    for row in record["classes"]:
        table.add_row(row["known_class"], f"{row['count']:,}", percent(row["share"]), percent(row["fresh_accuracy"]))
    console.print(table)
    for key, counts in record["by_group"].items():
        if 1 < len(counts) <= MAX_GROUPS:
            groups = Table(escape(key), box=None, pad_edge=False, header_style="bold")
            for name in KNOWN_CLASSES:
                groups.add_column(name, justify="right")
            for value, found in counts.items():
                groups.add_row(Text(value), *(str(found[name]) for name in KNOWN_CLASSES))
            console.print(groups)
    halves = record["split_half"]
    console.print(
        f"Labels of two halves of the prompts agree on {percent(halves['observed'])} of the facts, Cohen's kappa "
        f"{_number(halves['kappa'])}",
        markup=False,
        soft_wrap=True,
    )
    seconds = record["engine"]["seconds"]["infer"]
    for reason, count in record["unlabelled"].items():
        console.print(f"{count:,} facts have no class: {reason}", markup=False, soft_wrap=True)
    console.print(
        f"{record['engine']['requests']:,} answers in {seconds:.1f} s. Labels: {directory}",
        markup=False,
        soft_wrap=True,
    )


def percent(found: Share) -> str:
    """A share and its interval in per cent."""
    if found["value"] is None:
        return "–"
    text = f"{100 * found['value']:.1f} %"
    if found["ci_low"] is None or found["ci_high"] is None:
        return text
    return f"{text} [{100 * found['ci_low']:.1f}, {100 * found['ci_high']:.1f}]"


def _number(found: Share) -> str:
    if found["value"] is None:
        return f"undefined ({found['reason']})"
    if found["ci_low"] is None or found["ci_high"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} [{found['ci_low']:.3f}, {found['ci_high']:.3f}]"
