"""A recipe: everything that decides what a fine-tuning ends in, but the base and the seed of this run.

One YAML, read without executing anything; unknown keys are errors with the nearest valid one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from halueval.backends.base import Architecture
from halueval.config import Card, Name, StringList, Text
from halueval.known import KnownClass
from halueval.schema import canonical_json, sha256_text

RECIPE_HASH_VERSION = 1
"""Raised when a default of `Recipe` changes its meaning: defaults are left out of the hash."""

NOT_HASHED = {"name", "about", "model", "seed", "evaluate", "checkpoint_every", "keep_checkpoints"}
"""Keys that change nothing in the weights of a given base and seed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewKnowledge(_Strict):
    """Facts of which a chosen share is new to the base (Gekhman et al. 2024).

    Attributes:
        kind: which source this is.
        task: task whose rows are the facts; each has a question and an answer.
        facts: how many to train on.
        unknown_share: share of them that the base does not know.
        invented: make the unknown ones up instead of taking facts that the base was found not to know.
        labels: file of `halueval probe`; None looks for the base's own under the results.
        known_classes: classes that count as known.
        relations: relations to take; empty takes all.
        relation_column: column of the task's rows by which the draw is stratified.
    """

    kind: Literal["new-knowledge"]
    task: str = "facts_qa"
    facts: int = Field(200, ge=1)
    unknown_share: float = Field(1.0, ge=0, le=1)
    invented: bool = False
    labels: Path | None = None
    known_classes: list[KnownClass] = Field(default=["HighlyKnown", "MaybeKnown", "WeaklyKnown"], min_length=1)
    relations: StringList = []
    relation_column: str = "relation"

    @field_validator("known_classes")
    @classmethod
    def _known_is_known(cls, value: list[str]) -> list[str]:
        if "Unknown" in value:
            raise ValueError("Unknown facts are chosen by unknown_share")
        return value


class TaskRows(_Strict):
    """Questions and answers of a task, without choosing for what the base knows unless `known_classes` says so.

    Attributes:
        kind: which source this is.
        task: the task; generated answers for causal and seq2seq models, a classifier's labels for heads.
        rows: `scored` rows, or the `fewshot` split that stands beside them.
        examples: how many to draw; None takes all.
        known_classes: take facts of these classes only, by probe labels; empty takes all.
        labels: as in `new-knowledge`.
        relations: values of `relation_column` to take; empty takes all.
        relation_column: column by which the draw is stratified; None draws from all alike.
    """

    kind: Literal["task"]
    task: str
    rows: Literal["scored", "fewshot"] = "scored"
    examples: int | None = Field(None, ge=1)
    known_classes: list[KnownClass] = []
    labels: Path | None = None
    relations: StringList = []
    relation_column: str | None = None


class UserFile(_Strict):
    """A user's own examples: JSON, JSONL, CSV, TSV or Parquet.

    Attributes:
        kind: which source this is.
        path: the file; relative to the recipe's directory, or to the working directory from the command line.
        prompt: column, or template over columns, of what the model reads.
        completion: column or template of what it learns to write.
        text: column or template of a text that is learnt whole, in place of the two.
        label: column or template of a classifier's class.
        question: column or template of the bare question, for the check of overlap.
        examples: how many to draw; None takes all.
    """

    kind: Literal["file"]
    path: Path
    prompt: Text | None = None
    completion: Text | None = None
    text: Text | None = None
    label: Text | None = None
    question: Text | None = None
    examples: int | None = Field(None, ge=1)


DataSource = Annotated[NewKnowledge | TaskRows | UserFile, Field(discriminator="kind")]


class LoraSettings(_Strict):
    """Low-rank adapters (Hu et al. 2021). `targets` are names of modules; None adapts every linear layer."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: list[str] | None = None


class EarlyStopping(_Strict):
    """Stop when the loss on the development part has not fallen for `patience` evaluations; keep the best weights.

    Attributes:
        patience: evaluations without a new lowest loss.
        every: evaluate every so many steps; None evaluates after each epoch.
    """

    patience: int = Field(1, ge=1)
    every: int | None = Field(None, ge=1)


class Development(_Strict):
    """Examples that are held back to tell when to stop: a share of the training examples, or a file of them."""

    share: float | None = Field(None, gt=0, lt=1)
    path: Path | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Development:
        if (self.share is None) == (self.path is None):
            raise ValueError("give either share or path")
        return self


class Mitigation(BaseModel):
    """One mitigation by name; the keys beside it are its own settings, checked by `halueval.finetune.arms`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


def _named(value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    return [{"name": item} if isinstance(item, str) else item for item in items]


class Recipe(Card):
    """How a model is fine-tuned. See `docs/finetune.md` for every key."""

    name: Name
    about: str = ""
    model: str | None = None
    architecture: Architecture = "causal"
    data: DataSource
    prompt: Text | None = None
    completion: Text | None = None
    apply_chat_template: bool = False
    method: Literal["full", "lora"] = "full"
    lora: LoraSettings = LoraSettings()
    epochs: int = Field(1, ge=1)
    batch_size: int = Field(16, ge=1)
    gradient_accumulation: int = Field(1, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_share: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, ge=0)
    max_length: int | None = Field(None, ge=2)
    too_long: Literal["refuse", "drop"] = "refuse"
    group_by_length: bool = True
    seed: int = Field(0, ge=0, lt=2**32)
    data_seed: int = Field(0, ge=0)
    precision: Literal["bfloat16-autocast", "float32"] = "bfloat16-autocast"
    checkpoint_every: int | None = Field(None, ge=1)
    keep_checkpoints: int | None = Field(None, ge=1)
    development: Development | None = None
    early_stopping: EarlyStopping | None = None
    evaluate: StringList = Field(default=[])
    mitigation: Annotated[list[Mitigation], BeforeValidator(_named)] = Field(default=[])

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.early_stopping is not None and self.development is None:
            raise ValueError("early_stopping needs development: {share: 0.1} or {path: FILE}")
        if self.architecture == "classifier" and self.data.kind == "new-knowledge":
            raise ValueError("new-knowledge trains answers; a classifier takes data of kind task or file")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of what determines the weights beside base, data and seed; see `NOT_HASHED` for what does not.

        Values equal to their default are left out, so that a new key leaves old hashes alone. Paths are left out
        too: the digest of the examples stands beside the hash.
        """
        values = self.model_dump(mode="json", exclude=NOT_HASHED, exclude_defaults=True)
        for part in ("data", "development"):
            for key in ("labels", "path"):
                values.get(part, {}).pop(key, None)
        return sha256_text(canonical_json({"hash_version": RECIPE_HASH_VERSION, **values}))
