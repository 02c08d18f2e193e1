"""Recipes by name or path, with the changes that a command line makes to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from halueval.cardfile import read_header, read_yaml
from halueval.config import build
from halueval.errors import ConfigError, UsageError, nearest
from halueval.finetune.recipe import Recipe
from halueval.registry import is_path

RECIPES = Path(__file__).parent / "recipes"


def recipe_paths(include_paths: Sequence[Path] = ()) -> dict[str, Path]:
    """Files of recipes by name: `recipes/` of each include path, then of the working directory, then packaged ones."""
    roots = [*(path / "recipes" for path in include_paths), Path.cwd() / "recipes", RECIPES]
    found: dict[str, Path] = {}
    for root in roots:
        for path in sorted(root.glob("*.yaml")) if root.is_dir() else []:
            header = read_header(path)
            name = header.get("name") if isinstance(header, dict) else None
            found.setdefault(str(name or path.stem), path)
    return found


def load_recipe(
    name_or_path: str, *, changes: Mapping[str, Any] | None = None, include_paths: Sequence[Path] = ()
) -> Recipe:
    """Read a recipe, change it, check it whole.

    Args:
        name_or_path: a recipe's name, or the path of its YAML.
        changes: values by dotted key, as `{"data.facts": 100, "epochs": 3}`; they take the place of the file's.
        include_paths: directories whose `recipes/` is looked at first.

    Raises:
        UsageError: no such recipe; the line names the nearest ones.
        ConfigError: an unknown key (with the nearest valid one) or a value that does not fit.
    """
    path = _find(name_or_path, include_paths)
    return recipe_from(read_yaml(path), path, changes=changes)


def recipe_from(values: Mapping[str, Any], path: Path | None, *, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe from a mapping; raises ConfigError as `load_recipe` does."""
    changed = dict(values)
    for key, value in (changes or {}).items():
        _set(changed, key.split("."), value, key)
    return build(Recipe, changed, path)


def _find(name: str, include_paths: Sequence[Path]) -> Path:
    if is_path(name):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"recipe {name!r}: no such file")
        return path
    known = recipe_paths(include_paths)
    if name not in known:
        raise UsageError(f"unknown recipe {name!r}{nearest(name, known)}")
    return known[name]


def _set(values: dict[str, Any], keys: Sequence[str], value: Any, dotted: str) -> None:
    for i, key in enumerate(keys[:-1]):
        inner = values.get(key)
        if inner is None:
            inner = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {dotted}: {'.'.join(keys[: i + 1])} is {inner!r}, which has no keys of its own")
        values[key] = dict(inner)
        values = values[key]
    values[keys[-1]] = value


def parse_change(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` of the command line, the value read as YAML.

    Raises:
        UsageError: no key, no "=", or a value that is no YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text!r}: write KEY=VALUE, as in learning_rate=5e-5 or data.facts=100")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {text!r}: the value is not YAML: {' '.join(str(error).split())}") from error
