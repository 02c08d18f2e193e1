"""The explanation as one self-contained HTML page without any script."""

from __future__ import annotations

from dataclasses import dataclass

from halueval.explaining.record import ExplainRecord
from halueval.report.explain_cells import (
    GROUP_COLUMNS,
    MEASURE_COLUMNS,
    OUTCOME_COLUMNS,
    WEIGHT_COLUMNS,
    Cells,
    group_rows,
    measure_rows,
    notes_of,
    outcome_rows,
    settings_line,
    training_line,
    untaken,
    weight_rows,
)
from halueval.report.explain_plots import contrast_plot, distances_plot, weights_plot
from halueval.report.page import render_still

_DISTANCES = ("energy_coefficient", "js_distance_1")


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task, its tables as cells; a plot is `""` where there is nothing to draw."""

    name: str
    statements: list[str]
    distribution: list[Cells]
    overlap: list[Cells]
    contrasts: list[tuple[str, list[Cells]]]
    plot: str
    notes: list[str]


def render_explanation(record: ExplainRecord) -> str:
    """The page; it can be encoded as UTF-8 whatever names and texts hold."""
    alpha = record["settings"]["alpha"]
    tasks = [
        TaskView(
            name=name,
            statements=task["statements"],
            distribution=list(measure_rows(task["distribution"])),
            overlap=list(measure_rows(task["overlap"])),
            contrasts=[(c["name"], rows) for c in task["generalisation"] if (rows := list(group_rows(c)))],
            plot=contrast_plot(f"t{i}-contrasts", task["generalisation"], alpha),
            notes=list(notes_of(task)),
        )
        for i, (name, task) in enumerate(record["tasks"].items())
    ]
    weights = record["weights"]
    return render_still(
        "explain.html.j2",
        record=record,
        outcome_columns=OUTCOME_COLUMNS,
        outcomes=list(outcome_rows(record)),
        tasks=tasks,
        distances=[plot for key in _DISTANCES if (plot := distances_plot(f"distances-{key}", record, key))],
        measure_columns=MEASURE_COLUMNS,
        group_columns=GROUP_COLUMNS,
        weight_columns=WEIGHT_COLUMNS,
        behaviour=list(measure_rows(record["behaviour"])),
        untaken=untaken(record["behaviour"]),
        weights=list(weight_rows(weights)),
        weights_plot=weights_plot("weights", weights["groups"]),
        training=training_line(record),
        settings=settings_line(record),
    )
