"""A study: which arms are trained with which seeds, what they are evaluated on, and where they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from halueval.cardfile import read_header, read_yaml
from halueval.config import Card, Name, StringList, build
from halueval.errors import ConfigError, UsageError, nearest
from halueval.finetune.library import load_recipe
from halueval.finetune.recipe import Recipe
from halueval.registry import is_path
from halueval.schema import canonical_json, sha256_text

STUDIES = Path(__file__).parent / "studies"

NOT_SHARED = {"evaluate", "seed"}
"""Keys of recipes that the study sets for all arms."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArmSpec(_Strict):
    """One arm of a study.

    Attributes:
        name: in tables and directories.
        recipe: name of a recipe, or path of its YAML beside the study.
        set: values of the recipe by dotted key; they go before the study's own `set`.
    """

    name: Name
    recipe: str
    set: dict[str, Any] = Field(default={})


def _as_arms(value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    return [{"name": Path(item).stem, "recipe": item} if isinstance(item, str) else item for item in items]


class Match(_Strict):
    """The in-task score at which arms are compared, accuracy on the trained facts.

    Attributes:
        score: the score itself, in (0, 1]; None takes `share` of what the first arm reaches with every seed.
        share: see `score`.
    """

    score: float | None = Field(None, gt=0, le=1)
    share: float = Field(0.9, gt=0, le=1)


class Study(Card):
    """Arms × seeds × checkpoints. See `docs/sweep.md` for every key."""

    name: Name
    about: str = ""
    model: str
    arms: Annotated[list[ArmSpec], BeforeValidator(_as_arms), Field(min_length=1)]
    set: dict[str, Any] = Field(default={})
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(default=[0, 1, 2], min_length=1)
    checkpoints: int = Field(4, ge=1)
    tasks: StringList = Field(min_length=1)
    labels: Path | None = None
    match: Match = Match()
    max_new_tokens: int = Field(16, ge=1)

    @field_validator("seeds")
    @classmethod
    def _different(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("a seed stands there twice; each is one run")
        return value

    @model_validator(mode="after")
    def _named_apart(self) -> Study:
        names = [arm.name for arm in self.arms]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"arms: {twice!r} stands there twice; give each arm a name of its own")
        return self

    @property
    def reference(self) -> str:
        """Name of the arm that the others are compared with: the first."""
        return self.arms[0].name

    @property
    def hash(self) -> str:
        """SHA-256 of everything but name, description and place."""
        return sha256_text(canonical_json(self.model_dump(mode="json", exclude={"name", "about"})))


def study_paths() -> dict[str, Path]:
    """Files of the packaged studies by name."""
    found: dict[str, Path] = {}
    for path in sorted(STUDIES.glob("*.yaml")):
        header = read_header(path)
        name = header.get("name") if isinstance(header, dict) else None
        found[str(name or path.stem)] = path
    return found


def load_study(name_or_path: str, changes: Mapping[str, Any] | None = None) -> Study:
    """Read a study.

    Args:
        name_or_path: name of a packaged study, or path of a YAML.
        changes: values that take the place of the file's, by key.

    Raises:
        UsageError: no such study.
        ConfigError: an unknown key (with the nearest valid one) or a value that does not fit.
    """
    if is_path(name_or_path):
        path = Path(name_or_path).expanduser()
        if not path.is_file():
            raise UsageError(f"study {name_or_path!r}: no such file")
    else:
        known = study_paths()
        if name_or_path not in known:
            raise UsageError(f"unknown study {name_or_path!r}{nearest(name_or_path, known)}")
        path = known[name_or_path]
    return build(Study, {**read_yaml(path), **(changes or {})}, path)


def arm_recipe(study: Study, arm: ArmSpec, include_paths: Sequence[Path] = ()) -> Recipe:
    """The recipe of an arm as the study wants it.

    Raises:
        UsageError, ConfigError: as of a recipe that is named on the command line, with the arm's name in front.
    """
    for key in (*study.set, *arm.set):
        if key in NOT_SHARED:
            other = "tasks" if key == "evaluate" else "seeds"
            raise ConfigError(f"study {study.name}: set: {key} is the study's own; write it under {other}")
    beside = (study.directory or Path()) / arm.recipe
    name = str(beside) if is_path(arm.recipe) and beside.is_file() else arm.recipe
    changes = {key: _placed(key, value, study) for key, value in {**study.set, **arm.set}.items()}
    changes["evaluate"] = list(study.tasks)
    try:
        return load_recipe(name, changes=changes, include_paths=include_paths)
    except ConfigError as error:
        raise ConfigError(f"study {study.name}: arm {arm.name}: {error}") from error
    except UsageError as error:
        raise UsageError(f"study {study.name}: arm {arm.name}: {error}") from error


def _placed(key: str, value: Any, study: Study) -> Any:
    """A path that is written in a study starts from the study's directory, where there is such a file."""
    if key not in ("data.labels", "data.path", "development.path") or not isinstance(value, str):
        return value
    beside = (study.directory or Path()) / Path(value).expanduser()
    return str(beside.resolve()) if beside.is_file() else value


def refuse_other_data(study: Study, recipes: Mapping[str, Recipe]) -> None:
    """Refuse arms that learn other facts than the first: their scores would not be of the same thing.

    Raises:
        UsageError: names the arm and the key that differs.
    """
    first = recipes[study.reference]
    for name, recipe in recipes.items():
        for key in ("architecture", "data", "prompt", "completion", "data_seed", "apply_chat_template"):
            mine, its = getattr(recipe, key), getattr(first, key)
            if mine != its:
                what = _other_key(key, mine, its)
                raise UsageError(
                    f"study {study.name}: arm {name} differs from {study.reference} in {what}; arms learn the same "
                    "facts: write it under the study's own set, which holds for all"
                )


def _other_key(key: str, mine: Any, its: Any) -> str:
    """The first value in which two arms differ, by its dotted key, with both values."""
    if isinstance(mine, BaseModel) and type(mine) is type(its):
        inner = next(name for name in type(mine).model_fields if getattr(mine, name) != getattr(its, name))
        key, mine, its = f"{key}.{inner}", getattr(mine, inner), getattr(its, inner)
    if isinstance(mine, BaseModel) or isinstance(its, BaseModel):
        return key
    return f"{key} ({mine} here, {its} there)"
