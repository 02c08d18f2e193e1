"""Which figures there are, by what names, and which a task gets by default.

A figure's name, direction and needs stand on its class and nowhere else. Packages add their own through
the entry point group `halueval.scorers`: the entry's value is a `Scorer` subclass, its name the figure's.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from halueval.config import MetricSpec, TaskSpec
from halueval.errors import UsageError, nearest
from halueval.plugins import package_of
from halueval.schema import Kind, OutputType
from halueval.scorers import (
    calibration,
    class_calibration,
    classification,
    consistency,
    entity,
    exact_match,
    likelihood,
    outcomes,
    perplexity,
    probes,
    rouge,
)
from halueval.scorers.answer_support import AnswerSupport
from halueval.scorers.base import Scorer
from halueval.scorers.hf_evaluate import EvaluateMetric, is_known
from halueval.scorers.token_f1 import TokenF1
from halueval.scorers.word_accuracy import WordAccuracy

ENTRY_POINT_GROUP = "halueval.scorers"

_BUILT_IN: tuple[type[Scorer], ...] = (
    exact_match.ExactMatch,
    AnswerSupport,
    TokenF1,
    WordAccuracy,
    exact_match.SentenceAccuracy,
    rouge.Rouge1,
    rouge.Rouge2,
    rouge.RougeL,
    rouge.RougeLsum,
    classification.Accuracy,
    likelihood.AccuracyNorm,
    likelihood.AccuracyBytes,
    classification.BalancedAccuracy,
    classification.MacroPrecision,
    classification.MacroRecall,
    classification.MacroF1,
    classification.MicroF1,
    classification.BinaryF1,
    classification.MatthewsCorrelation,
    likelihood.MC1,
    likelihood.MC2,
    likelihood.AUROC,
    perplexity.TokenPerplexity,
    perplexity.WordPerplexity,
    perplexity.BytePerplexity,
    perplexity.BitsPerByte,
    perplexity.ReferenceNLL,
    consistency.Consistency,
    consistency.ConsistencyLikelihood,
    entity.EntityPrecision,
    entity.EntityPrecisionReference,
    outcomes.HallucinationRate,
    outcomes.AnswerRate,
    outcomes.IsCorrect,
    outcomes.IsIncorrect,
    outcomes.IsNotAttempted,
    outcomes.AccuracyGivenAttempted,
    outcomes.SimpleQAF1,
    outcomes.ConfidenceTarget0,
    outcomes.ConfidenceTarget50,
    outcomes.ConfidenceTarget75,
    outcomes.ConfidenceTarget90,
    calibration.ExpectedCalibrationError,
    calibration.EceFloor,
    calibration.EceEqualWidth,
    calibration.EceEqualWidthFloor,
    class_calibration.ClasswiseECE,
    class_calibration.AdaptiveClasswiseECE,
    calibration.Brier,
    calibration.BrierReliability,
    calibration.BrierResolution,
    calibration.BrierUncertainty,
    calibration.BrierWithinBins,
    class_calibration.BrierSum,
    calibration.NegativeLogLikelihood,
    class_calibration.ChoiceNLL,
    outcomes.RefusalRate,
    outcomes.EmptyRate,
    outcomes.TruncatedRate,
    outcomes.UnparsableRate,
    outcomes.ResponseTokens,
    outcomes.ResponseWords,
    probes.LengthProbe,
    probes.NewlineProbe,
)
_CLASSES = {scorer.name: scorer for scorer in _BUILT_IN}

# lm-evaluation-harness's names; its `f1` depends on the task, see `_resolve`.
_ALIASES = {"acc": "accuracy", "acc_norm": "accuracy_norm", "acc_bytes": "accuracy_bytes", "em": "exact_match"}

_LIKELIHOODS = ("reference_nll", "token_perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")
_FORM = ("refusal_rate", "empty_rate", "truncated_rate", "unparsable_rate", "response_tokens", "response_words")
_ROUGE = ("rouge1", "rouge2", "rougeL")
_SIMPLEQA = ("is_correct", "is_incorrect", "is_not_attempted", "accuracy_given_attempted", "simpleqa_f1")
_TARGETS = ("confidence_target_0", "confidence_target_0.5", "confidence_target_0.75", "confidence_target_0.9")
_CALIBRATION = ("ece", "brier")
_CONSISTENCY = ("consistency", "consistency_likelihood")
_CLASS = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "micro_f1")


def scorer_names() -> tuple[str, ...]:
    """Names of all figures, built in and plugged in, aliases left out.

    Raises:
        UsageError: two packages claim one name.
    """
    return (*_CLASSES, *sorted(_plugins()))


def scorer_classes() -> tuple[type[Scorer], ...]:
    """Classes of all figures in the order of `scorer_names`, for lists.

    `needs` of a class is what most tasks ask of it; of an instance, what its task does.

    Raises:
        UsageError: two packages claim one name, or one of theirs cannot be loaded.
    """
    plugins = _plugins()
    return (*_BUILT_IN, *(_load_plugin(plugins[name]) for name in sorted(plugins)))


def create(
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    language: str = "en",
    task: TaskSpec | None = None,
    trust_remote_code: bool = False,
) -> Scorer:
    """Build a scorer.

    Args:
        name: a name of `scorer_names`, an lm-evaluation-harness name for one (`acc`, `acc_norm`,
            `acc_bytes`, `em`, `f1`), or a Hugging Face `evaluate` metric: hub name or path.
        options: of the figure, as in `metric_list`; `hf_evaluate: true` asks for the `evaluate` metric of
            that name even where there is a figure of ours.
        language: the task's language tag.
        task: the task, for figures that depend on how the model is asked.
        trust_remote_code: run `evaluate` metrics of other owners on the hub.

    Raises:
        UsageError: unknown name or option.
        SourceError: an `evaluate` metric that cannot be had.
    """
    given = dict(options or {})
    from_hub = given.pop("hf_evaluate", False) is True
    resolved = name if from_hub else _resolve(name, task)
    found = None if from_hub else _CLASSES.get(resolved)
    if found is None and not from_hub and resolved in (plugins := _plugins()):
        found = _load_plugin(plugins[resolved])
    if found is not None:
        return _build(found, resolved, given, language, task)
    if from_hub or is_known(resolved):
        return EvaluateMetric(resolved, task=task, trust_remote_code=trust_remote_code, **_checked(resolved, given))
    raise UsageError(f"unknown metric {name!r}{nearest(name, [*scorer_names(), *_ALIASES])}")


def create_from_spec(spec: MetricSpec, *, task: TaskSpec, trust_remote_code: bool = False) -> Scorer:
    """Build the scorer that an entry of `metric_list` names, and check what the entry says about it.

    `higher_is_better` may repeat what a figure of ours is, or say what an `evaluate` metric is.
    `aggregation` is heeded for `evaluate` metrics (`mean`, `corpus`); a figure of ours has its own.

    Raises:
        UsageError: as `create`; or `higher_is_better` contradicts the figure.
        SourceError: as `create`.
    """
    options = spec.options
    ours = _resolve(spec.metric, task) in scorer_names() and options.get("hf_evaluate") is not True
    if not ours and spec.aggregation is not None:
        # The harness names a corpus metric's aggregation after the metric (`bleu`).
        options["aggregation"] = "corpus" if spec.aggregation == spec.metric else spec.aggregation
    scorer = create(
        spec.metric, options=options, language=task.language, task=task, trust_remote_code=trust_remote_code
    )
    said = spec.higher_is_better
    if isinstance(scorer, EvaluateMetric):
        scorer.higher_is_better = said
    elif said is not None and scorer.higher_is_better is not None and said != scorer.higher_is_better:
        raise UsageError(f"metric {spec.metric!r}: higher_is_better is {scorer.higher_is_better} for it, not {said}")
    return scorer


def default_scorers(kind: Kind, output_type: OutputType, has_source: bool) -> tuple[str, ...]:
    """Figures that a task gets without asking.

    Args:
        kind: kind of the task.
        output_type: how the model is asked.
        has_source: the task gives a text to be faithful to.
    """
    source = ("entity_precision",) if has_source else ()
    if output_type is OutputType.LOGLIKELIHOOD_ROLLING:
        return tuple(name for name in _LIKELIHOODS if name != "reference_nll")
    if output_type is OutputType.MULTIPLE_CHOICE:
        if kind is Kind.CLASSIFICATION:
            return (*_CLASS, "hallucination_rate", *_CALIBRATION)
        return ("accuracy", "accuracy_norm", "hallucination_rate", *_CALIBRATION, *_LIKELIHOODS)
    if kind is Kind.CLASSIFICATION:
        return (*_CLASS, "hallucination_rate", "answer_rate", *_CALIBRATION, *_FORM)
    if kind is Kind.SUMMARIZATION:
        checks = (
            *source,
            *_CONSISTENCY[: 2 if has_source else 0],
            "entity_precision_reference",
            "hallucination_rate",
            "answer_rate",
        )
        return (*_ROUGE, "rougeLsum", *checks, *_FORM, *_LIKELIHOODS)
    if kind is Kind.LANGUAGE_MODELING:
        return (*_ROUGE, *_FORM, *_LIKELIHOODS)
    answers = ("exact_match", "token_f1", "word_accuracy", "sentence_accuracy", *_ROUGE, *source)
    rates = ("hallucination_rate", "answer_rate", *_SIMPLEQA, *_TARGETS)
    return (*answers, *rates, *_CALIBRATION, *_FORM, *_LIKELIHOODS)


def _resolve(name: str, task: TaskSpec | None) -> str:
    if name == "f1":
        by_choice = task is not None and task.output_type is OutputType.MULTIPLE_CHOICE
        return "binary_f1" if by_choice else "token_f1"
    return _ALIASES.get(name, name)


def _build(found: type[Scorer], name: str, given: dict[str, Any], language: str, task: TaskSpec | None) -> Scorer:
    """Call the class with what it takes by name."""
    parameters = inspect.signature(found).parameters
    context = {"language": language, "task": task}
    allowed = [p for p in parameters if p not in context]
    for option in given:
        if option not in allowed:
            hint = nearest(option, allowed) or "; it has no options"
            raise UsageError(f"metric {name!r}: unknown option {option!r}{hint}")
    return found(**given, **{key: value for key, value in context.items() if key in parameters})


def _checked(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Options for an `evaluate` metric: all of them, except those that its loader keeps for itself."""
    for reserved in ("metric", "task", "trust_remote_code"):
        if reserved in given:
            raise UsageError(f"metric {name!r}: {reserved!r} is not an option in metric_list")
    return given


def _plugins() -> dict[str, EntryPoint]:
    """Entry points by name.

    Raises:
        UsageError: a name is taken, by a figure of ours or by another package.
    """
    out: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        taken = "halueval itself" if entry.name in {*_CLASSES, *_ALIASES, "f1"} else None
        if entry.name in out and out[entry.name].value != entry.value:
            taken = package_of(out[entry.name])
        if taken:
            raise UsageError(
                f"scorer {entry.name!r} of {package_of(entry)} is also one of {taken}; uninstall one of them"
            )
        out[entry.name] = entry
    return out


def _load_plugin(entry: EntryPoint) -> type[Scorer]:
    try:
        found = entry.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise UsageError(f"scorer {entry.name!r} of {package_of(entry)} cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Scorer)) or getattr(found, "name", None) != entry.name:
        raise UsageError(
            f"scorer {entry.name!r} of {package_of(entry)}: {entry.value} must be a subclass of "
            f"halueval.scorers.base.Scorer whose name is {entry.name!r}"
        )
    return found
