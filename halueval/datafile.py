"""Rows out of a file: JSON, JSON lines, CSV, TSV or Parquet.

Every error is one line with the file, the row (counted from 1, blank lines and the header left out) and,
where the format has lines, the line. Nothing is repaired silently: a number that would lose digits, a
field too many, a byte that is not UTF-8 stop the reading.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from halueval.errors import DataError

Row = dict[str, Any]

MAX_FIELD_CHARS = 50_000_000
"""Longest field of a CSV file. Python's own limit of 131,072 is shorter than many documents."""


def read_rows(path: Path) -> list[Row]:
    """Read all rows of a data file.

    Args:
        path: named `.json` (a list of objects, an object that holds exactly one such list, or JSON lines),
            `.jsonl` or `.ndjson`, `.csv`, `.tsv` (both with a header line) or `.parquet`.

    Raises:
        DataError: missing, empty, an unknown suffix, not UTF-8, or a row that cannot be read.
    """
    reader = _READERS.get(path.suffix.lower())
    if path.is_dir():
        raise DataError(f"{path}: is a directory; name one file ({_suffixes()})")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if reader is None:
        raise DataError(f"{path}: unknown kind of file {path.suffix!r}; it must be one of {_suffixes()}")
    try:
        rows = reader(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not rows:
        raise DataError(f"{path}: holds no rows")
    return rows


def _suffixes() -> str:
    return ", ".join(_READERS)


def _read_text(path: Path) -> str:
    raw = path.read_bytes()
    if not raw.strip():
        raise DataError(f"{path}: is empty")
    try:
        # Spreadsheets write a byte-order mark, which would become part of the first column's name.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 at byte {error.start} (0x{raw[error.start]:02x}); save it as UTF-8"
        ) from error


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _parse_int(text: str) -> int:
    if len(text) > 19 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"the integer {text[:24]}… does not fit 64 bits; write it as text")
    return int(text)


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_parse_int, parse_float=_parse_float)


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    return str(error) or type(error).__name__


def _as_row(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{where}: holds a {type(value).__name__}; a row is an object of columns and values")
    return value


def _read_jsonl(path: Path) -> list[Row]:
    return _json_lines(path, _read_text(path))


def _json_lines(path: Path, text: str) -> list[Row]:
    rows: list[Row] = []
    # Not splitlines(): U+2028 and others may stand inside a text.
    for line_number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: row {len(rows) + 1} (line {line_number})"
        try:
            value = _DECODER.decode(line.strip())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: {_problem(error)}") from error
        rows.append(_as_row(value, where))
    return rows


def _read_json(path: Path) -> list[Row]:
    text = _read_text(path)
    start = len(text) - len(text.lstrip())
    if text.startswith("[", start):
        rows, end = _json_list(path, text, start)
        if text[end:].strip():
            raise DataError(f"{path}: line {_line(text, end)}: text after the end of the list")
        return rows
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        line = f"line {error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{path}: {line}{_problem(error)}") from error
    if text[end:].strip():
        return _json_lines(path, text)
    return _only_list(path, value)


def _json_list(path: Path, text: str, start: int) -> tuple[list[Row], int]:
    """Read a list element by element, so that an error can name its row."""
    rows: list[Row] = []
    position = _skip_space(text, start + 1)
    if text.startswith("]", position):
        return rows, position + 1
    while True:
        where = f"{path}: row {len(rows) + 1} (line {_line(text, position)})"
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: {_problem(error)}") from error
        rows.append(_as_row(value, where))
        position = _skip_space(text, position)
        if text.startswith("]", position):
            return rows, position + 1
        if not text.startswith(",", position):
            raise DataError(f"{path}: line {_line(text, position)}: expected ',' or ']' after row {len(rows)}")
        position = _skip_space(text, position + 1)


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _only_list(path: Path, value: Any) -> list[Row]:
    lists = [key for key, item in value.items() if isinstance(item, list)] if isinstance(value, dict) else []
    if len(lists) != 1:
        found = f"lists {', '.join(map(repr, lists))}" if lists else f"a single {type(value).__name__}"
        raise DataError(f"{path}: holds {found}; expected a list of rows, or an object with exactly one list")
    return [_as_row(item, f"{path}: {lists[0]}: row {number}") for number, item in enumerate(value[lists[0]], 1)]


def _read_delimited(path: Path, delimiter: str) -> list[Row]:
    text = _read_text(path)
    before = csv.field_size_limit(MAX_FIELD_CHARS)
    try:
        return _delimited_rows(path, text, delimiter)
    finally:
        csv.field_size_limit(before)


def _delimited_rows(path: Path, text: str, delimiter: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    line = 1
    try:
        header = next(reader)
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice or not all(header):
            raise DataError(f"{path}: line 1: column {twice[0] if twice else ''!r} stands twice or has no name")
        line = reader.line_num + 1
        for fields in reader:
            if fields:
                where = f"{path}: row {len(rows) + 1} (line {line})"
                if len(fields) != len(header):
                    raise DataError(f"{where}: {len(fields)} fields where the header has {len(header)}")
                rows.append(dict(zip(header, fields, strict=True)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: row {len(rows) + 1} (line {line}): {error}") from error
    return rows


def _read_csv(path: Path) -> list[Row]:
    return _read_delimited(path, ",")


def _read_tsv(path: Path) -> list[Row]:
    return _read_delimited(path, "\t")


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not a Parquet file: {' '.join(str(error).split())[:200]}") from error
    return rows


_READERS: dict[str, Callable[[Path], list[Row]]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
