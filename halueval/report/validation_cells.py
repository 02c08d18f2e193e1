"""Scorers held against people: what stands in each cell of a table, whatever it is printed as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halueval.report.validation_record import Record

Entry = Mapping[str, Any]
"""A scorer on a set, see `validation_record`."""

FIGURES = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "kendall": "Kendall",
    "partial_pearson": "partial r",
    "roc_auc": "ROC AUC",
    "average_precision": "avg. precision",
    "balanced_accuracy": "bal. accuracy",
}
CONTROL_NAMES = {"length_only": "length only", "extractiveness_only": "extractiveness only"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: who, how many rows, and a cell for each figure."""

    label: str
    n: str
    cells: tuple[str, ...]
    is_control: bool = False


def sets_of(record: Record) -> list[str]:
    """Names of the sets, in the order in which they first stand."""
    return list(dict.fromkeys(name for by_set in record.values() for name in by_set))


def entries_of(record: Record, set_name: str) -> dict[str, Entry]:
    """What each scorer that was run on the set says of it."""
    return {scorer: by_set[set_name] for scorer, by_set in record.items() if set_name in by_set}


def lines_of(record: Record, set_name: str) -> list[Line]:
    """A line for each scorer on the set, then the controls, once for all scorers that were scored on the same rows."""
    entries = entries_of(record, set_name)
    out = [
        Line(scorer_cell(scorer, entry), _count(entry), tuple(figure_cell(entry.get(figure)) for figure in FIGURES))
        for scorer, entry in entries.items()
    ]
    for rows, entry in controls_by_rows(entries):
        for name, control in entry["controls"].items():
            label = CONTROL_NAMES.get(name, name)
            if name == "length_only":
                label += " (longer is " + ("more" if control["sign"] > 0 else "less") + " consistent)"
            cells = tuple(figure_cell(control.get(figure)) for figure in FIGURES)
            out.append(Line(label + rows, f"{entry['n']:,}", cells, is_control=True))
    return out


def scorer_cell(scorer: str, entry: Entry) -> str:
    """The scorer's name, marked where it has seen the set before."""
    return scorer + (" (NO EVIDENCE: has seen this set)" if "warning" in entry else "")


def warnings_of(record: Record, set_name: str) -> list[str]:
    """Which scorers have seen the set before: a sentence each."""
    return [entry["warning"] for entry in entries_of(record, set_name).values() if "warning" in entry]


def left_out_of(record: Record, set_name: str) -> str | None:
    """How many rows of the set's files no scorer was asked about, and why, in a line; None where all were."""
    entry = next(iter(entries_of(record, set_name).values()))
    if not entry.get("n_left_out"):
        return None
    reasons = ", ".join(f"{why} ({n:,})" for why, n in entry["left_out_reasons"].items())
    return f"{set_name}: {entry['n_left_out']:,} row{'s' * (entry['n_left_out'] > 1)} left out: {reasons}"


def controls_by_rows(entries: Mapping[str, Entry]) -> list[tuple[str, Entry]]:
    """An entry for each set of rows on which scorers were scored, with what its controls' labels say of the rows.

    Rows are told apart by their number and by the controls' figures on them. Nothing is said where there is one set.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for scorer, entry in entries.items():
        cells = [figure_cell(made.get(figure)) for made in entry["controls"].values() for figure in FIGURES]
        groups.setdefault((str(entry["n"]), *cells), []).append(scorer)
    out = []
    for scorers in groups.values():
        entry = entries[scorers[0]]
        said = ", all rows" if entry["n_unscored"] == 0 else f", rows of {', '.join(scorers)}"
        out.append((said if len(groups) > 1 else "", entry))
    return out


def _count(entry: Entry) -> str:
    return f"{entry['n']:,}" + (f" (+{entry['n_unscored']:,} unscored)" if entry["n_unscored"] else "")


def figure_cell(figure: Mapping[str, Any] | None) -> str:
    """Value, interval and base rate of a figure; a dash where it was not asked for."""
    if figure is None:
        return "–"
    if figure["value"] is None:
        return "none"
    text = number(figure["value"])
    if figure["ci_low"] is not None:
        text += f" [{number(figure['ci_low'], 2)}, {number(figure['ci_high'], 2)}]"
    return text + (f" ({number(figure['base_rate'], 2)})" if figure.get("base_rate") is not None else "")


def number(value: float, digits: int = 3) -> str:
    """Without the zero before the point: `.663`, `−.04`, `1.000`."""
    text = f"{abs(value):.{digits}f}"
    text = text.removeprefix("0") if text.startswith("0.") else text
    return ("−" if value < 0 and float(f"{value:.{digits}f}") != 0 else "") + text


def reasons_of(record: Record) -> list[str]:
    """What has no figure, or no score, and why, and how many claims were answers: a line each."""
    out = []
    for scorer, by_set in record.items():
        for name, entry in by_set.items():
            where = f"{scorer} on {name}"
            out += [f"{where}: {n:,} rows unscored: {why}" for why, n in entry["unscored_reasons"].items()]
            if rate := entry.get("answer_rate"):
                shown = figure_cell(rate)
                out.append(f"{where}: answer rate {shown}: the share of claims that are neither empty nor a refusal")
            if entry["n_truncated"]:
                out.append(f"{where}: of {entry['n_truncated']:,} rows the source was not seen whole")
            partial = entry.get("partial_reasons", {})
            out += [
                f"{where}: {n:,} rows scored by some of their sources alone, since: {why}" for why, n in partial.items()
            ]
            for figure, title in FIGURES.items():
                found = entry.get(figure)
                if found is not None and found["value"] is None:
                    out.append(f"{where}: no {title}: {found.get('reason')}")
    return out


def comparisons_of(record: Record) -> list[tuple[str, ...]]:
    """Rows of the paired comparisons: set, second against first, figure, difference, interval, p, Williams' p."""
    out: list[tuple[str, ...]] = []
    for scorer, by_set in record.items():
        for name, entry in by_set.items():
            for first, made in entry.get("compared_with", {}).items():
                for figure, title in FIGURES.items():
                    found = made.get(figure)
                    if found is None or found["delta"] is None:
                        continue
                    p = "" if found["p_value"] is None else _p(found["p_value"])
                    test = made["williams"]["p_value"] if figure == "pearson" else None
                    shown = figure_cell({**found, "value": found["delta"]})
                    who = f"{scorer_cell(scorer, entry)} − {scorer_cell(first, record[first][name])}"
                    out.append((name, who, title, shown, p, "" if test is None else _p(test)))
    return out


COMPARISON_HEAD = ("set", "difference of", "figure", "value", "p (bootstrap)", "p (Williams)")


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else number(value)


STRATA = {"by_error_type": "inconsistent claims with this error", "by_sentences": "sentences of the claim"}

SMALLEST_STRATUM = 10
"""Fewer rows are left to the JSON."""


def strata_of(record: Record, set_name: str, kind: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]] | None:
    """Head and rows of ROC AUC within each stratum, a column a scorer; None where the set has fewer than two strata."""
    entries = entries_of(record, set_name)
    names = list(
        dict.fromkeys(
            name for entry in entries.values() for name, part in entry[kind].items() if part["n"] >= SMALLEST_STRATUM
        )
    )
    if len(names) < 2:
        return None
    rows = []
    for name in names:
        cells = [figure_cell(entry[kind].get(name, {}).get("roc_auc")) for entry in entries.values()]
        n = max(entry[kind].get(name, {}).get("n", 0) for entry in entries.values())
        rows.append((name, f"{n:,}", *cells))
    return (STRATA[kind], "n", *(scorer_cell(scorer, entry) for scorer, entry in entries.items())), rows
