"""YAML of a card, read without executing anything: no tags, no duplicate keys, no Python objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from halueval.errors import ConfigError

MAX_YAML_BYTES = 4_000_000


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses duplicate keys, which YAML would silently let the last one win."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = str(getattr(key_node, "value", ""))
        if key in seen and key != "<<":
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


def _refuse_tag(loader: _Loader, suffix: str, node: yaml.Node) -> None:
    tag = node.tag
    if tag.startswith("!function"):
        raise yaml.constructor.ConstructorError(
            None,
            None,
            "!function would run Python from the task file, which halueval never does; "
            "say it with a template or a registered scorer",
            node.start_mark,
        )
    raise yaml.constructor.ConstructorError(
        None, None, f"tag {tag!r} would build a Python object; only plain YAML is read", node.start_mark
    )


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_Loader.add_multi_constructor("!", _refuse_tag)
_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _refuse_tag)


class _LenientLoader(_Loader):
    """For files that are only included: a tagged value becomes a marker, refused if it is still there.

    A file included from elsewhere may hold `!function` under keys that the including file replaces;
    what is replaced is never run, so it need not be refused.
    """


class Tagged(str):
    """The text of a tagged YAML value that survived into an included mapping."""

    __slots__ = ()


def _mark_tag(loader: _Loader, suffix: str, node: yaml.Node) -> Tagged:
    return Tagged(f"{node.tag} {getattr(node, 'value', '')}")


_LenientLoader.add_multi_constructor("!", _mark_tag)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def read_yaml(path: Path, *, lenient: bool = False) -> dict[str, Any]:
    """Read one YAML mapping.

    Args:
        path: the file, UTF-8, at most `MAX_YAML_BYTES`.
        lenient: keep tagged values as `Tagged` markers (for included files).

    Raises:
        ConfigError: unreadable, not UTF-8, not YAML, tagged, or not a mapping.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(raw) > MAX_YAML_BYTES:
        raise ConfigError(f"{path}: {len(raw):,} bytes; a card has at most {MAX_YAML_BYTES:,}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    try:
        # Both loaders derive from SafeLoader: no Python object is ever built from a file.
        value = yaml.load(text, Loader=_LenientLoader if lenient else _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {where}{_one_line(error.problem or error)}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not YAML: {_one_line(error)}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds a {type(value).__name__}; a card is a mapping of keys to values")
    return value


def key_line(path: Path, key: str) -> str:
    """`"line N: "` for a top-level key of the file, or nothing where it is not written there."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    for number, line in enumerate(lines, 1):
        if line.startswith((f"{key}:", f'"{key}":', f"'{key}':")):
            return f"line {number}: "
    return ""


class _HeaderLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml where it is built in, ten times faster; still safe. Only `read_header` uses it.

    mypy: the base is chosen at run time, because PyYAML can be built without libyaml.
    """


def _ignore_tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> None:
    """A tagged value is None in a header; reading the card in full refuses it with the reason."""


_HeaderLoader.add_multi_constructor("!", _ignore_tag)
_HeaderLoader.add_multi_constructor("tag:yaml.org,2002:python/", _ignore_tag)


def read_header(path: Path) -> dict[str, Any] | str:
    """Read a card for a listing: fast, nothing refused.

    Returns:
        The mapping, or one line saying why there is none.
    """
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_YAML_BYTES:
            return f"{len(raw):,} bytes; a card has at most {MAX_YAML_BYTES:,}"
        # Derives from a safe loader: no Python object is ever built from a file.
        value = yaml.load(raw, Loader=_HeaderLoader)  # noqa: S506
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return f"not YAML: {_one_line(error)}"
    return value if isinstance(value, dict) else f"holds a {type(value).__name__}, not a mapping"
