"""What a YAML file says of an annotated set: files, layout, and how an annotation becomes a score and a label."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from halueval.cardfile import key_line, read_yaml
from halueval.config import SourceSpec
from halueval.errors import ConfigError, UsageError, nearest

DIRECTORY = Path(__file__).parent / "sets"


def _as_sources(value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    return [{"source": item} if isinstance(item, str) else item for item in items]


def _as_texts(value: Any) -> Any:
    """YAML reads a bare `yes` or `1` as a truth value or a number; annotations are compared as text."""
    items = value if isinstance(value, list) else [value]
    return [str(item) for item in items]


Sources = Annotated[list[SourceSpec], BeforeValidator(_as_sources)]
Texts = Annotated[list[str], BeforeValidator(_as_texts)]
Role = Literal["source", "claim", "question", "score", "label", "system", "document", "error_types", "split"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScoreRule(_Strict):
    """How an annotation becomes a number in [0, 1]: from a scale, or from named values."""

    lowest: float = 0.0
    highest: float = 1.0
    values: dict[str, float] = {}

    @field_validator("values", mode="before")
    @classmethod
    def _keys_are_text(cls, value: Any) -> Any:
        return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _is_a_scale(self) -> ScoreRule:
        if not self.lowest < self.highest:
            raise ValueError(f"`lowest` {self.lowest:g} must be below `highest` {self.highest:g}")
        outside = [name for name, value in self.values.items() if not 0 <= value <= 1]
        if outside:
            raise ValueError(f"`values`: that of {outside[0]!r} must lie in [0, 1]")
        return self


class LabelRule(_Strict):
    """Which annotations count as consistent: a human score (after scaling) of `at_least`, or named labels."""

    at_least: float | None = Field(None, ge=0, le=1)
    consistent: Texts = []
    inconsistent: Texts = []
    left_out: Texts = []

    @model_validator(mode="after")
    def _one_way(self) -> LabelRule:
        if (self.at_least is None) == (not self.consistent):
            raise ValueError("say either `at_least` or `consistent` with `inconsistent`")
        return self


class ValidationRule(_Strict):
    """Which rows thresholds are chosen on: named values of the split, or a share of the documents by hash."""

    splits: Texts = []
    share: float | None = Field(None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_way(self) -> ValidationRule:
        if (self.share is None) == (not self.splits):
            raise ValueError("say either `splits` or `share`")
        return self


class AnnotatedSpec(_Strict):
    """One annotated set as its YAML says it.

    Attributes:
        files: by the part they play for the reader; relative to the data directory, or `pypi:`.
        reader: which function of `readers.py` knows the layout.
        columns: where each role stands; a dot goes into an object.
        replace: texts taken out of sources and claims (mark-up), and what stands for them.
        document_pattern: its first group, found in the document's name, names the cluster of rows.
        score: how the annotation becomes a human score in [0, 1]; absent where there are labels only.
        label: which rows count as consistent.
        validation: where thresholds come from.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=120)
    about: str
    license: str
    citation: str
    homepage: str = ""
    language: str = "en"
    files: dict[str, Sources] = Field(min_length=1)
    reader: str
    columns: dict[Role, str] = {}
    options: dict[str, str | list[str]] = {}
    replace: dict[str, str] = {}
    document_pattern: str | None = None
    score: ScoreRule | None = None
    label: LabelRule
    validation: ValidationRule

    @field_validator("document_pattern")
    @classmethod
    def _has_a_group(cls, value: str | None) -> str | None:
        try:
            groups = 1 if value is None else re.compile(value).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if groups < 1:
            raise ValueError("needs a group in round brackets")
        return value

    @model_validator(mode="after")
    def _scores_for_labels(self) -> AnnotatedSpec:
        if self.label.at_least is not None and self.score is None:
            raise ValueError("`label.at_least` needs `score`")
        return self


def set_names() -> tuple[str, ...]:
    """Names of the sets that ship with halueval, sorted."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.yaml")))


def choose_sets(wanted: Iterable[str]) -> list[str]:
    """Names without repetition; `all` stands for every set that ships with halueval.

    Raises:
        UsageError: no such set.
    """
    known = set_names()
    out: list[str] = []
    for name in wanted:
        for one in known if name == "all" else (name,):
            if one not in known and not one.endswith((".yaml", ".yml")):
                raise UsageError(f"no annotated set {one!r}{nearest(one, [*known, 'all'])}")
            if one not in out:
                out.append(one)
    return out


def load_spec(name: str) -> AnnotatedSpec:
    """The description of a set, by name or by the path of a YAML file.

    Raises:
        UsageError: no such set.
        ConfigError: the file cannot be read or does not fit.
    """
    choose_sets([name])
    path = Path(name) if name.endswith((".yaml", ".yml")) else DIRECTORY / f"{name}.yaml"
    return build_spec(read_yaml(path), path)


def build_spec(value: dict[str, Any], path: Path) -> AnnotatedSpec:
    """Check the content of a YAML file.

    Raises:
        ConfigError: unknown, missing or wrong key; one line with the file and the line.
    """
    try:
        return AnnotatedSpec.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        # A misspelt key is why another is missing: it is told first.
        problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
        keys = [str(part) for part in problem["loc"]]
        where = f"{path}: {key_line(path, keys[0]) if keys else ''}"
        dotted = ".".join(keys)
        if problem["type"] == "extra_forbidden":
            raise ConfigError(f"{where}unknown key {dotted!r}{nearest(keys[-1], _keys_at(keys[:-1]))}") from error
        if problem["type"] == "missing":
            raise ConfigError(f"{where}needs the key {dotted!r}") from error
        said = problem["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}{dotted + ': ' if dotted else ''}{said}") from error


def _keys_at(location: list[str]) -> Iterable[str]:
    owners: dict[str, type[BaseModel]] = {"score": ScoreRule, "label": LabelRule, "validation": ValidationRule}
    if not location:
        return AnnotatedSpec.model_fields
    if location[0] == "files":
        return SourceSpec.model_fields
    return owners[location[0]].model_fields if location[0] in owners else ()
