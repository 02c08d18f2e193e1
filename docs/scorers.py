"""Write docs/scorers.md from the JSON of `halueval validate-scorer`.

    halueval validate-scorer SCORER… --on all --compare --scores kept --json scorers.json
    python docs/scorers.py scorers.json

Of several files the scorers and sets are put together, so that slow scorers can be held against fewer sets. The figures
take models and annotated sets that are not shipped, so the page is not written by `make docs`; what this
script adds to the JSON (descriptions of scorers and sets) comes from the code.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from halueval.annotated.spec import AnnotatedSpec, load_spec, set_names
from halueval.consistency.catalog import SCORERS, scorer_class
from halueval.report.validation import markdown_table, validation_markdown
from halueval.report.validation_cells import CONTROL_NAMES, FIGURES, figure_cell, number, sets_of

PAGE = Path(__file__).parent / "scorers.md"
NOTE = "<!-- Written by docs/scorers.py from the JSON of `halueval validate-scorer`: see there. -->\n\n"
INTRODUCTION = """How well each consistency scorer agrees with people. A score of hallucination is worth what this
agreement is worth, so look here before you trust one, and read each set's own kind of text against yours.

Nothing was fitted on a set that is reported here, but for the threshold of balanced accuracy, which comes from the
validation part of the set itself, and the line that `lite`, `lookback` and `entailment_probe` (validation parts of
QAGS and FRANK) and `lite_lm` (that of QAGS-XSum) draw in runs. `lite_lm` was fitted on SummEval, rank19 and
FEVER-symmetric, where it is therefore not shown, nor on `factual_summary_pairs`, which holds the pairs of rank19;
`lookback` on XSumFaith; `entailment_probe` on rank19 and FEVER-symmetric beside RTE and CommitmentBank; the penalties
of `lite` and `entailment_probe` and the pieces of the latter were chosen on SummEval. What the cross-encoder behind it
was trained on, its publisher does not say ([metrics.md](metrics.md) has its card), so it may have seen any of these.
Where a scorer does not beat the better of the two controls, which see no meaning, it says nothing. Of large sets whole
documents were drawn by hash, as many as the number of rows says.

A dash means that a scorer was not run on a set: `lite_lm`, `lookback` and the likelihoods take a pass of the language
model over each source. Likelihoods and vectors are figures of an earlier call of the same command, with the same
scorers and sets. [annotated.md](annotated.md) says how to describe a set of your own.
"""
SUMMARY_FIGURE = "roc_auc"
AIMS = (
    ("qags_cnndm", "pearson", 0.70),
    ("qags_xsum", "pearson", 0.35),
    ("frank_validation", "partial_pearson", 0.25),
    ("summedits_samsum", "balanced_accuracy", 0.60),
    ("summedits_scitldr", "balanced_accuracy", 0.60),
    ("summedits_ectsum", "balanced_accuracy", 0.60),
)
"""What a scorer that needs nothing but PyPI was to reach: set, figure, least value."""
MEAN_AIM = ("summedits", ("summedits_samsum", "summedits_scitldr", "summedits_ectsum"), "balanced_accuracy", 0.60)
"""The same of the mean over sets."""


def overview(record: dict[str, Any]) -> str:
    """ROC AUC of every scorer and of the two controls on every set."""
    names = sets_of(record)
    rows = []
    for scorer, by_set in record.items():
        rows.append((f"`{scorer}`", *(_summary(by_set.get(name, {})) for name in names)))
    entries = {name: next(by_set[name] for by_set in record.values() if name in by_set) for name in names}
    for control, label in CONTROL_NAMES.items():
        rows.append((label, *(_short(entries[name]["controls"][control][SUMMARY_FIGURE]) for name in names)))
    return markdown_table(("ROC AUC", *names), rows)


def aims(record: dict[str, Any]) -> str:
    """The best scorer for each aim, of those that score at least 19 of 20 rows."""
    rows = []
    for name, figure, least in AIMS:
        found = [
            (entry[figure]["value"], scorer, entry[figure])
            for scorer, by_set in record.items()
            if (entry := by_set.get(name)) and entry["n_unscored"] <= 0.05 * (entry["n"] + entry["n_unscored"])
            if entry.get(figure, {}).get("value") is not None and "warning" not in entry
        ]
        if found:
            value, scorer, best = max(found, key=lambda item: item[0])
            reached = "reached" if value >= least else "missed"
            rows.append((name, f"{FIGURES[figure]} ≥ {number(least, 2)}", f"`{scorer}`", figure_cell(best), reached))
    label, names, figure, least = MEAN_AIM
    means = [
        (mean_of_sets([by_set[name][figure] for name in names]), scorer)
        for scorer, by_set in record.items()
        if all(name in by_set and "warning" not in by_set[name] and not by_set[name]["n_unscored"] for name in names)
    ]
    if means:
        best, scorer = max(means, key=lambda item: item[0]["value"])
        reached = "reached" if best["value"] >= least else "missed"
        aim = f"{FIGURES[figure]} ≥ {number(least, 2)}"
        rows.append((f"{label}, mean of {len(names)}", aim, f"`{scorer}`", figure_cell(best), reached))
    if not rows:
        return ""
    said = (
        "Of a scorer that needs nothing but PyPI, and scores all rows. The best was picked on the same rows, so others "
        "would be a little less kind to it."
    )
    return f"## Aims\n\n{said}\n\n" + markdown_table(("set", "aim", "best scorer", "value", ""), rows)


def mean_of_sets(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean of a figure over independent sets, with the interval that theirs make (MOVER, Zou and Donner 2008)."""
    value = sum(figure["value"] for figure in figures) / len(figures)
    below = math.sqrt(sum((figure["value"] - figure["ci_low"]) ** 2 for figure in figures)) / len(figures)
    above = math.sqrt(sum((figure["ci_high"] - figure["value"]) ** 2 for figure in figures)) / len(figures)
    return {**figures[0], "value": value, "ci_low": value - below, "ci_high": value + above}


def differences(record: dict[str, Any]) -> str:
    """What each scorer adds to the first in ROC AUC, paired; bold where the interval leaves 0 out."""
    names = sets_of(record)
    first, *others = record
    rows = []
    for scorer in others:
        cells = []
        for name in names:
            found = record[scorer].get(name, {}).get("compared_with", {}).get(first, {}).get(SUMMARY_FIGURE)
            if found is None or found["delta"] is None:
                cells.append("–")
                continue
            text = figure_cell({**found, "value": found["delta"]})
            clear = found["ci_low"] is not None and not found["ci_low"] <= 0 <= found["ci_high"]
            cells.append(f"**{text}**" if clear else text)
        rows.append((f"`{scorer}`", *cells))
    if not rows:
        return ""
    return f"## Against `{first}`\n\nROC AUC, on the rows that both scored.\n\n" + markdown_table(
        ("difference", *names), rows
    )


def _summary(entry: dict[str, Any]) -> str:
    return _short(entry.get(SUMMARY_FIGURE)) + (" (has seen it)" if "warning" in entry else "")


def _short(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "–"
    return "none" if figure["value"] is None else number(figure["value"], 2)


def scorer_table(record: dict[str, Any]) -> str:
    """What each scorer is, and what it needs."""
    rows = []
    for scorer, by_set in record.items():
        found = scorer_class(scorer) if scorer in SCORERS else None
        unscored = sum(entry["n_unscored"] for entry in by_set.values())
        identity = next(iter(by_set.values()))["identity"]
        said = ", ".join(f"{key} {str(value)[:20]}" for key, value in identity.items() if key != "name")
        summary, cost = (found.summary, found.cost) if found else ("", "")
        rows.append((f"`{scorer}`", summary, cost, said, f"{unscored:,}"))
    return markdown_table(("scorer", "what it is", "needs", "identity", "unscored rows"), rows)


def set_table(record: dict[str, Any]) -> str:
    """Where the annotations come from and what counts as consistent."""
    rows = []
    for name in sets_of(record):
        entry = next(by_set[name] for by_set in record.values() if name in by_set)
        spec: AnnotatedSpec | None = load_spec(name) if name in set_names() else None
        n = entry["n"] + entry["n_unscored"]
        rows.append(
            (
                f"`{name}`",
                f"{n:,} of {entry['n_documents']:,} documents",
                spec.about if spec else "",
                entry["balanced_accuracy"]["threshold_from"],
                f"{spec.citation} ({spec.license})" if spec else "",
            )
        )
    return markdown_table(("set", "rows", "what counts", "validation part", "source"), rows)


def page(record: dict[str, Any]) -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Consistency scorers against people\n",
            NOTE + INTRODUCTION,
            "## At a glance\n",
            overview(record),
            aims(record),
            "## Scorers\n",
            scorer_table(record),
            differences(record),
            "## Sets\n",
            set_table(record),
            "## Figures\n",
            validation_markdown(record, level=3, differences=False),
        ]
    )


def main() -> int:
    """Write the page; exit code 2 without readable JSON files."""
    if len(sys.argv) < 2:
        print("usage: python docs/scorers.py FILE.json…", file=sys.stderr)
        return 2
    record: dict[str, Any] = {}
    for path in sys.argv[1:]:
        try:
            for scorer, by_set in json.loads(Path(path).read_text(encoding="utf-8")).items():
                record.setdefault(scorer, {}).update(by_set)
            text = page(record)
        except (OSError, ValueError, KeyError, StopIteration, AttributeError) as error:
            print(f"docs/scorers.py: {path} is no JSON of validate-scorer: {error!r}", file=sys.stderr)
            return 2
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
