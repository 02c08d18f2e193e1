"""A task's rows: from its sources in order of preference, or from the user's own file.

Whatever they come from, rows leave here in the task's own columns (its *column contract*). A source with
other columns names one of the task's `layouts`, which says by templates how to fill each column. For a
user's file the contract's own names are tried first, then every layout whose columns are all there; which
one was used is recorded. Columns outside the contract are dropped, so that the same content has the same
digest wherever it came from.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from halueval.datafile import Row, read_rows
from halueval.errors import ConfigError, DataError, SourceError, nearest
from halueval.schema import canonical_json
from halueval.source import DigestError, Progress, UnreachableError, fetch
from halueval.template import columns_of, evaluate, is_plain, missing_column

if TYPE_CHECKING:
    from halueval.config import SourceSpec, TaskSpec

CANONICAL = "canonical"
"""Name of the layout that is the column contract itself."""

_log = logging.getLogger("halueval")


@dataclass(frozen=True, slots=True)
class LoadedData:
    """A task's rows and where they came from.

    Attributes:
        rows: in the task's columns, in the source's order.
        fewshot_rows: what few-shot examples are drawn from; read when first looked at.
        source: the source as the card writes it, or the user's file.
        revision: release of a package, commit of a hub data set, or None.
        split: split of a hub data set, or None.
        sha256: hex digest of the rows, a canonical JSON line each; the same for the same content.
        layout: the layout that filled the columns, `"canonical"` where they were there by name.
    """

    rows: Sequence[Row]
    fewshot_rows: Sequence[Row]
    source: str
    revision: str | None
    split: str | None
    sha256: str
    layout: str


@dataclass(frozen=True, slots=True)
class _Origin:
    """Rows as a source has them."""

    rows: list[Row]
    name: str
    revision: str | None = None
    split: str | None = None
    layout: str | None = None


@dataclass(frozen=True, slots=True)
class _Asking:
    """Who asks for rows, from where in the file system, and who watches."""

    task: TaskSpec
    base: Path
    progress: Progress | None = None


class _LazyRows(Sequence[Row]):
    """Rows that are fetched when first asked for: a zero-shot run never reads the few-shot split."""

    def __init__(self, load: Callable[[], Sequence[Row]]) -> None:
        self._load = load
        self._rows: Sequence[Row] | None = None

    def _all(self) -> Sequence[Row]:
        if self._rows is None:
            self._rows = self._load()
        return self._rows

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())


def load_data(
    task: TaskSpec, *, base: Path, data_file: Path | None = None, progress: Progress | None = None
) -> LoadedData:
    """Load the rows of a task.

    Args:
        task: the task's card.
        base: directory of the card, which relative sources start from.
        data_file: the user's file, used in place of the task's sources.
        progress: told of downloads.

    Raises:
        DataError: the file or a row cannot be read, or does not have the task's columns.
        DigestError: a source is not what the card says.
        SourceError: no source could be had; one line with each and its reason.
        ConfigError: a layout that does not fit the task's columns.
    """
    check_layouts(task)
    asking = _Asking(task, base, progress)
    origin = _Origin(read_rows(data_file), str(data_file)) if data_file else _first_origin(asking)
    candidates = [CANONICAL, *task.layouts] if data_file else [origin.layout or CANONICAL]
    layout = _fitting_layout(task, origin, candidates)
    rows = _in_columns(task, origin, layout)
    if layout != CANONICAL and data_file:
        _log.info("%s: columns of %s read by the layout %r", task.task, data_file, layout)
    return LoadedData(
        rows=rows,
        fewshot_rows=_fewshot_rows(asking, rows, data_file),
        source=origin.name,
        revision=origin.revision,
        split=origin.split,
        sha256=_digest(rows, origin.name),
        layout=layout,
    )


def pull_data(task: TaskSpec, base: Path, *, progress: Progress | None = None) -> str:
    """Fetch what the task's preferred source needs into the cache.

    Returns:
        What is there now: the file, or the data set with split and number of rows.

    Raises:
        DigestError, SourceError, DataError: see `load_data`.
    """
    data = load_data(task, base=base, progress=progress)
    split = f", split {data.split}" if data.split else ""
    return f"{data.source}{split}: {len(data.rows):,} rows"


def check_layouts(task: TaskSpec) -> None:
    """Check that every layout fills the task's columns and nothing else, and that sources name layouts that are.

    Raises:
        ConfigError: naming layout and column.
    """
    for name, mapping in task.layouts.items():
        for column in sorted(set(mapping) - set(task.columns)):
            raise ConfigError(
                f"task {task.task}: layout {name!r} fills {column!r}, which is none of the task's columns"
                f"{nearest(column, task.columns)}"
            )
        for column in task.columns:
            if column not in mapping:
                raise ConfigError(f"task {task.task}: layout {name!r} does not fill the column {column!r}")
    for spec in [*task.source, *task.fewshot_source]:
        if spec.layout is not None and spec.layout not in task.layouts:
            raise ConfigError(
                f"task {task.task}: source {spec.source} names the layout {spec.layout!r}, which is not "
                f"defined{nearest(spec.layout, task.layouts)}"
            )


def _first_origin(asking: _Asking) -> _Origin:
    task = asking.task
    loaders = [_loader(asking, spec) for spec in task.source]
    if task.dataset_path and not any(spec.source.startswith("hub:") for spec in task.source):
        loaders.append(_hub_loader(asking, task.dataset_path, task.split))
    return _first(task, loaders)


_Loader = tuple[str, Callable[[], _Origin]]


def _loader(asking: _Asking, spec: SourceSpec, split: str | None = None) -> _Loader:
    """How to read one source of the card; `split` in place of its own."""
    if spec.source.startswith("hub:"):
        wanted = split or spec.split or asking.task.split
        return _hub_loader(asking, spec.source.removeprefix("hub:"), wanted, spec)

    def load() -> _Origin:
        fetched = fetch(spec, what=asking.task.task, base=asking.base, progress=asking.progress)
        return _Origin(read_rows(fetched.path), spec.source, fetched.revision, spec.split, spec.layout)

    return spec.source, load


def _hub_loader(asking: _Asking, path: str, split: str | None, spec: SourceSpec | None = None) -> _Loader:
    """How to read a data set of the hub, or what `dataset_path` names where no source does."""
    task = asking.task
    name = spec.source if spec else path
    pinned = spec.revision if spec else None

    def load() -> _Origin:
        from halueval.hubdata import load_split

        try:
            rows, commit = load_split(
                path, task.dataset_name, split, revision=pinned, kwargs=task.dataset_kwargs, base=asking.base
            )
        except SourceError as error:
            raise type(error)(f"{task.task}: {error}") from error
        if not rows:
            raise DataError(f"{task.task}: {name}: split {split} holds no rows")
        return _Origin(rows, name, commit or pinned, split, spec.layout if spec else None)

    return name, load


def _first(task: TaskSpec, loaders: Sequence[_Loader]) -> _Origin:
    """The first source that can be had; the others are announced on the log.

    A wrong digest ends it, because another copy would hide that. So does data that was had and is broken.
    """
    contract = f" (columns: {', '.join(task.columns)})" if task.columns else ""
    if not loaders:
        raise SourceError(f"{task.task}: names no source for its data; give a file with --data FILE{contract}")
    problems: list[SourceError] = []
    for name, load in loaders:
        try:
            origin = load()
        except DigestError:
            raise
        except SourceError as error:
            problems.append(error)
        else:
            for problem in problems:
                _log.warning("%s; took %s instead", problem, name)
            return origin
    reasons = "; ".join(str(error).removeprefix(f"{task.task}: ") for error in problems)
    unreachable = any(isinstance(error, UnreachableError) for error in problems)
    pull = f"; once online, get it with: halueval pull {task.task}" if unreachable else ""
    kind = UnreachableError if unreachable else SourceError
    raise kind(f"{task.task}: no data: {reasons}{pull}; or give a file with --data FILE{contract}")


def _fewshot_rows(asking: _Asking, rows: Sequence[Row], data_file: Path | None) -> Sequence[Row]:
    """Rows to draw examples from: written in the card, another source or split, or the scored rows."""
    task = asking.task
    config = task.fewshot_config
    if config.samples is not None:
        return config.samples
    if task.fewshot_source:
        loaders = [_loader(asking, spec) for spec in task.fewshot_source]
        return _LazyRows(lambda: _other_rows(task, loaders))
    split = task.fewshot_split or config.split or task.training_split
    if data_file or split is None or split == task.split:
        return rows
    hubs = [_loader(asking, spec, split) for spec in task.source if spec.source.startswith("hub:")]
    if task.dataset_path and not hubs:
        hubs = [_hub_loader(asking, task.dataset_path, split)]
    return _LazyRows(lambda: _other_rows(task, hubs)) if hubs else rows


def _other_rows(task: TaskSpec, loaders: Sequence[_Loader]) -> list[Row]:
    origin = _first(task, loaders)
    layout = _fitting_layout(task, origin, [origin.layout or CANONICAL])
    return _in_columns(task, origin, layout)


def _needed(task: TaskSpec, layout: str) -> frozenset[str]:
    """Source columns that a layout cannot do without."""
    if layout == CANONICAL:
        return frozenset(task.columns)
    where = f"task {task.task}: layout {layout}"
    parts = [columns_of(template, where=where) for template in task.layouts[layout].values()]
    return frozenset().union(*parts)


def _fitting_layout(task: TaskSpec, origin: _Origin, candidates: Sequence[str]) -> str:
    there = list(dict.fromkeys(column for row in origin.rows for column in row))
    for layout in candidates:
        if _needed(task, layout) <= set(there):
            return layout
    first = candidates[0]
    columns = task.columns if first == CANONICAL else sorted(_needed(task, first))
    name = next(column for column in columns if column not in there)
    others = [f"{layout} ({', '.join(sorted(_needed(task, layout)))})" for layout in candidates[1:]]
    tried = f"; other layouts of the task: {'; '.join(others)}" if others else ""
    raise DataError(f"{task.task}: {origin.name}: {missing_column(name, there)}{tried}")


def _in_columns(task: TaskSpec, origin: _Origin, layout: str) -> list[Row]:
    if not task.columns:
        return origin.rows
    mapping = task.layouts[layout] if layout != CANONICAL else {column: column for column in task.columns}
    start = f"{task.task}: {origin.name}"
    out = []
    for number, row in enumerate(origin.rows, 1):
        where = f"{start}: row {number}"
        out.append({column: _value(mapping[column], row, f"{where}: {column}") for column in task.columns})
    return out


def _value(template: str, row: Mapping[str, Any], where: str) -> Any:
    if not is_plain(template):
        return evaluate(template, row, where=where)
    if template not in row:
        raise DataError(f"{where}: {missing_column(template, row)}")
    return row[template]


def _digest(rows: Iterable[Row], name: str) -> str:
    """Digest of the rows' content.

    Raises:
        DataError: a value that JSON has no form for, or text that UTF-8 has none for.
    """
    digest = hashlib.sha256()
    for number, row in enumerate(rows, 1):
        try:
            digest.update(canonical_json(row).encode() + b"\n")
        except UnicodeEncodeError as error:
            raise DataError(f"{name}: row {number}: half of a surrogate pair, which is no text") from error
        except (TypeError, ValueError) as error:
            raise DataError(f"{name}: row {number}: {error}") from error
    return digest.hexdigest()
