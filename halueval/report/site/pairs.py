"""The page of a pair, a base and what was fine-tuned from it: the page that `halueval diff --html` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from halueval.compare.pairing import find_mismatches
from halueval.compare.record import DiffRecord
from halueval.compare.table import compare_all
from halueval.errors import DataError, UsageError
from halueval.report.diff_html import render_html
from halueval.report.site.figures import short_name
from halueval.store import Run


@dataclass(frozen=True, slots=True)
class PairPage:
    """What other pages tell of a pair.

    Attributes:
        base: name of the base.
        candidate: name of the fine-tuned model.
        href: address of the page, relative to the site's root; `""` where there is none.
        headline: the comparison in plain words, or why there is none.
        verdicts: of each task that was compared.
        not_compared: why a task that both have was not, a line each.
    """

    base: str
    candidate: str
    href: str
    headline: str
    verdicts: Mapping[str, str]
    not_compared: list[str]


def write_pair_page(
    base: Mapping[str, Run],
    candidate: Mapping[str, Run],
    names: tuple[str, str],
    href: str,
    site: Path,
) -> PairPage:
    """Compare two models on every task that both have, and write the page.

    Args:
        base: the base's runs by task.
        candidate: the candidate's runs by task.
        names: of both, as printed.
        href: address of the page, `pairs/BASE/CANDIDATE.html`.
        site: the site's directory.
    """
    shared, refused = {}, []
    for task in sorted(set(base) & set(candidate)):
        try:
            reason = ", ".join(str(item["key"]) for item in find_mismatches(base[task], candidate[task]))
            reason = (
                f"the runs differ in {reason}" if reason else _unreadable(base[task]) or _unreadable(candidate[task])
            )
        except (UsageError, KeyError, TypeError) as error:
            reason = f"the runs cannot be compared ({type(error).__name__})"
        if reason:
            refused.append(f"{short_name(task)}: {reason}")
        else:
            shared[task] = base[task], candidate[task]
    if not shared:
        why = "; ".join(refused) or "they have no task in common"
        return PairPage(*names, "", f"Not compared: {why}.", {}, refused)
    try:
        table = compare_all(
            {task: pair[0] for task, pair in shared.items()},
            [{task: pair[1] for task, pair in shared.items()}],
            notes=[[f"not compared: {line}" for line in refused]],
        )
        (site / href).parent.mkdir(parents=True, exist_ok=True)
        with (site / href).open("wb") as file:
            for piece in render_html(table.record, table.samples_by_task(), home="../../index.html"):
                file.write(piece.encode("utf-8"))
    except (DataError, UsageError) as error:
        (site / href).unlink(missing_ok=True)
        told = str(error).replace(f"{next(iter(base.values())).path.parent.parent}/", "")
        return PairPage(*names, "", f"Not compared: {short_name(told)}", {}, refused)
    return PairPage(*names, href, table.record["headline"], _verdicts(table.record), refused)


def _unreadable(run: Run) -> str:
    return "" if run.is_intact() else f"the samples of {run.run_id} are missing or were changed"


def _verdicts(record: DiffRecord) -> Mapping[str, str]:
    return {task: diff["verdict"] for task, diff in record["tasks"].items()}
