"""The explanation as one self-contained HTML page without any script."""

from __future__ import annotations

from dataclasses import dataclass

from halueval.explaining.record import ExplainRecord
from halueval.report import explain_cells as cells
from halueval.report.explain_plots import contrast_plot, distances_plot, weights_plot
from halueval.report.page import render_still

_DISTANCES = ("energy_coefficient", "js_distance_1")


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task, its tables as cells; a plot is `""` where there is nothing to draw."""

    name: str
    statements: list[str]
    distribution: list[cells.Cells]
    overlap: list[cells.Cells]
    contrasts: list[tuple[str, list[cells.Cells]]]
    plot: str
    notes: list[str]


def render_explanation(record: ExplainRecord) -> str:
    """The page; it can be encoded as UTF-8 whatever names and texts hold."""
    alpha = record["settings"]["alpha"]
    tasks = [
        TaskView(
            name=name,
            statements=task["statements"],
            distribution=list(cells.measure_rows(task["distribution"])),
            overlap=list(cells.measure_rows(task["overlap"])),
            contrasts=[(c["name"], rows) for c in task["generalisation"] if (rows := list(cells.group_rows(c)))],
            plot=contrast_plot(f"t{i}-contrasts", task["generalisation"], alpha),
            notes=list(cells.notes_of(task)),
        )
        for i, (name, task) in enumerate(record["tasks"].items())
    ]
    weights = record["weights"]
    return render_still(
        "explain.html.j2",
        record=record,
        outcome_columns=cells.OUTCOME_COLUMNS,
        outcomes=list(cells.outcome_rows(record)),
        tasks=tasks,
        distances=[plot for key in _DISTANCES if (plot := distances_plot(f"distances-{key}", record, key))],
        measure_columns=cells.MEASURE_COLUMNS,
        group_columns=cells.GROUP_COLUMNS,
        weight_columns=cells.WEIGHT_COLUMNS,
        behaviour=list(cells.measure_rows(record["behaviour"])),
        untaken=cells.untaken(record["behaviour"]),
        weights=list(cells.weight_rows(weights)),
        weights_plot=weights_plot("weights", weights["groups"]),
        training=cells.training_line(record),
        settings=cells.settings_line(record),
    )
