"""Tables of the site: columns that people know, a row a model or task, and who cannot be told apart.

These are views only: what is picked, averaged and tied is decided in `halueval.leaderboard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from halueval.report.site.figures import Figure


@dataclass(frozen=True, slots=True)
class Column:
    """A heading. `order` is the direction that the first click sorts in, `by` is `number` or `words`.

    `first` marks the column by which the table stands as it is written.
    """

    label: str
    hint: str = ""
    order: str = "ascending"
    by: str = "number"
    first: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: a figure, or a text. `sort` is what the column is sorted by, `""` for what is missing."""

    sort: str
    figure: Figure | None = None
    text: Markup | str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: name and page of its model or task, what it is filtered by, and a cell a column but the first."""

    name: str
    href: str
    facts: str
    keys: list[tuple[str, str]]
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under a heading, `""` for none; `tied` where they cannot be told apart."""

    heading: str
    rows: list[Row]
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing and what it shows."""

    drawing: Markup
    caption: Markup | str


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its heading; `root` leads from the page to the site's root."""

    id: str
    title: str
    caption: str
    root: str
    columns: list[Column]
    groups: list[Group]
    note: str = ""
    plots: list[Plot] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Filter:
    """A box of choices above the tables; each option is a value of a row's `data-KEY` and its words."""

    key: str
    label: str
    options: Sequence[tuple[str, str]]
