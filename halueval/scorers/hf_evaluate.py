"""Any metric of Hugging Face `evaluate`, from the hub or from a local module.

The value of a sample is the metric of that one row; the figure of a set is the metric of all scored rows
together (which for BLEU or WER is not the mean of the rows). Its interval is a bootstrap in which the metric
is computed anew, so there are 200 replicates, not 10,000, and `ci_method` says "bootstrap-200". With
`aggregation: mean` the figure is the mean of the rows' values instead, with all replicates.

A row on which the metric fails is unscored with the metric's message. What goes in is decided by the
features that the metric declares: texts or class indices, one reference or a list, the source if it asks.

A metric is Python code. Local modules and those of the `evaluate` project itself (`evaluate-metric/…`) run
as they are named; others from the hub only with `--trust-remote-code`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from halueval.config import TaskSpec
from halueval.errors import SourceError, UsageError
from halueval.schema import Judged, Outcome, OutputType, Sample, Score
from halueval.scorers.base import FloatArray, Scorer, divide, finite
from halueval.text import squeeze

# Metrics that the evaluate project keeps on the hub under `evaluate-metric/`. A bare name that is not among
# them is a slip of the pen, which can be said at once and without a network.
_HUB_NAMES = (
    "accuracy bertscore bleu bleurt brier_score cer character charcut_mt chrf code_eval comet competition_math "
    "confusion_matrix coval cuad exact_match f1 frugalscore glue google_bleu indic_glue mae mahalanobis mape mase "
    "matthews_correlation mauve mean_iou meteor mse nist_mt pearsonr perplexity poseval precision r_squared recall "
    "rl_reliability roc_auc rouge sacrebleu sari seqeval smape spearmanr squad squad_v2 super_glue ter trec_eval "
    "wer wiki_split xnli xtreme_s"
)
HUB_METRICS = frozenset(_HUB_NAMES.split())
_OWN_ORGANISATIONS = frozenset({"evaluate-metric", "evaluate-measurement", "evaluate-comparison"})
# What metric code may raise on a row that it does not like; anything else is a fault of the program.
_ROW_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, OSError, ImportError)
_LOAD_ERRORS = (*_ROW_ERRORS, SyntaxError)


def is_known(name: str) -> bool:
    """Whether a name can be meant for `evaluate`: a path, `owner/name`, or a metric of the project."""
    return "/" in name or os.sep in name or name.endswith(".py") or name in HUB_METRICS


class EvaluateMetric(Scorer):
    """A metric of the `evaluate` library.

    Its rows are kept by the object that scored them: aggregate with the same object.
    """

    max_resamples: ClassVar[int | None] = 200
    higher_is_better: bool | None = None

    def __init__(
        self,
        metric: str,
        *,
        task: TaskSpec | None = None,
        key: str | None = None,
        aggregation: Literal["corpus", "mean"] = "corpus",
        trust_remote_code: bool = False,
        **kwargs: Any,
    ) -> None:
        """Load the metric.

        Args:
            metric: hub name (`wer`, `owner/name`) or path of a module or of its directory.
            task: decides whether texts or choices are scored.
            key: which of several results to take (`rouge1` of `rouge`).
            aggregation: of the set: computed on all rows, or the mean of the rows.
            trust_remote_code: run a metric of other owners on the hub.
            kwargs: handed to the metric's `compute`.

        Raises:
            SourceError: the metric cannot be had, or not be loaded.
            UsageError: it is somebody's code on the hub and not trusted; or a wrong `aggregation`.
        """
        if aggregation not in ("corpus", "mean"):
            raise UsageError(f"metric {metric!r}: aggregation must be 'corpus' or 'mean'; found {aggregation!r}")
        self.name = Path(metric).stem if _is_local(metric) else metric.rsplit("/", 1)[-1]
        self.summary = f"Hugging Face evaluate metric {metric}"
        self._key, self._aggregation, self._kwargs = key, aggregation, kwargs
        self._generates = task is None or task.output_type is OutputType.GENERATE_UNTIL
        self.needs = frozenset({"response", "references"}) if self._generates else frozenset({"choices"})
        self._module = _load(metric, trust_remote_code)
        self._features = _features(self._module.features)
        self._rows: list[dict[str, Any]] = []

    def score(self, sample: Sample, outcome: Outcome, judged: Judged) -> Score:
        """The metric of this row alone; `stats` = (number of the row among those kept)."""
        row = self._row(sample, outcome, judged)
        if isinstance(row, str):
            return Score.unscored(row)
        try:
            value = self._compute([row])
        except _ROW_ERRORS as error:
            return Score.unscored(f"{self.name} failed: {squeeze(str(error))[:120] or type(error).__name__}")
        score = finite(value, (float(len(self._rows)),))
        if score.value is not None:
            self._rows.append(row)
        return score

    def statistic(self, scores: Sequence[Score], weights: FloatArray) -> FloatArray:
        """The metric of the rows, each as often as its weight says; NaN where it fails."""
        where = [i for i, s in enumerate(scores) if s.value is not None and s.stats is not None]
        drawn = weights[:, where]
        if self._aggregation == "mean":
            values = np.array([scores[i].value for i in where], dtype=np.float64)
            return divide(drawn @ values, drawn.sum(axis=1))
        rows = [self._rows[int((scores[i].stats or (0,))[0])] for i in where]
        return np.array([self._figure(rows, counts) for counts in drawn])

    def _figure(self, rows: Sequence[dict[str, Any]], counts: FloatArray) -> float:
        repeated = [row for row, count in zip(rows, counts, strict=True) for _ in range(int(count))]
        if not repeated:
            return math.nan
        try:
            return self._compute(repeated)
        except _ROW_ERRORS:
            # e.g. a correlation of a resample of one value: such a replicate has no figure and is dropped.
            return math.nan

    def _compute(self, rows: Sequence[dict[str, Any]]) -> float:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        return self._pick(self._module.compute(**columns, **self._kwargs) or {})

    def _pick(self, result: Mapping[str, Any]) -> float:
        numbers = {k: v for k, v in result.items() if _as_number(v) is not None}
        key = self._key or (next(iter(numbers)) if len(numbers) == 1 else self.name)
        number = _as_number(numbers.get(key))
        if number is None:
            known = ", ".join(numbers) or "no number"
            raise UsageError(f"metric {self.name!r} gives {known}; say which with 'key:' in metric_list")
        return number

    def _row(self, sample: Sample, outcome: Outcome, judged: Judged) -> dict[str, Any] | str:
        """One row in the form that the metric declares, or why there is none."""
        numeric = self._features.get("references") == "number"
        row: dict[str, Any] = {}
        if self._generates:
            if numeric:
                return f"{self.name} compares numbers; the task generates text"
            if not any(sample.references):
                return "no reference text"
            row["predictions"] = outcome.response or ""
            row["references"] = list(sample.references)
        elif judged.prediction is None or not sample.gold:
            return judged.reason or "no choice could be made"
        elif numeric:
            row = {"predictions": judged.prediction, "references": [sample.gold[0]]}
        else:
            row = {
                "predictions": sample.choices[judged.prediction],
                "references": [sample.choices[i] for i in sample.gold],
            }
        if not self._features.get("references", "").startswith("list"):
            row["references"] = row["references"][0]
        if "sources" in self._features:
            if not sample.source:
                return "no source"
            row["sources"] = sample.source
        return row


def _as_number(value: Any) -> float | None:
    """A number, or the only number of a list or array (metrics that give one for each row)."""
    if isinstance(value, bool | str) or value is None:
        return None
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, np.ndarray | list | tuple) and len(value):
        items = [_as_number(item) for item in value]
        numbers = [item for item in items if item is not None]
        return math.fsum(numbers) / len(numbers) if len(numbers) == len(items) else None
    return None


def _is_local(metric: str) -> bool:
    path = Path(metric)
    return metric.endswith(".py") or path.is_absolute() or metric.startswith(".") or path.is_dir()


def _features(declared: Any) -> dict[str, str]:
    """Kind of each input: "text", "number" or "list"; of several alternatives a list of texts is preferred."""
    options = declared if isinstance(declared, list) else [declared]
    kinds = [{name: _kind(feature) for name, feature in option.items()} for option in options]
    return next((k for k in kinds if k.get("references") == "list"), kinds[0])


def _kind(feature: Any) -> str:
    dtype = getattr(feature, "dtype", None)
    if isinstance(dtype, str) and dtype not in ("list", "dict"):
        return "text" if "string" in dtype else "number"
    return "list"


def _load(metric: str, trusted: bool) -> Any:
    """Load a metric by path or hub name; see `EvaluateMetric`."""
    local = _is_local(metric)
    path = metric if local or "/" in metric else f"evaluate-metric/{metric}"
    if local and not Path(path).exists():
        raise SourceError(f"metric {metric!r}: no such file or directory")
    if not local and not trusted and path.split("/")[0] not in _OWN_ORGANISATIONS:
        raise UsageError(f"metric {metric!r} is Python code from the hub; run it with --trust-remote-code, or save it")
    try:
        import evaluate
    except ImportError as error:
        raise SourceError(f"metric {metric!r}: the package 'evaluate' cannot be imported: {error}") from error
    # Anonymous, in memory: several runs may compute at once, and no lock file is left behind.
    try:
        return evaluate.load(str(Path(path).absolute()) if local else path, keep_in_memory=True)
    except FileNotFoundError as error:
        if local:
            raise SourceError(f"metric {metric!r}: {Path(path)} holds no module {Path(path).name}.py") from error
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise SourceError(
            f"metric {metric!r}: its module {path} could not be had from the hub{offline} and is not cached; "
            "a path to a local copy of the module works without the hub"
        ) from error
    except _LOAD_ERRORS as error:
        raise SourceError(f"metric {metric!r} cannot be loaded: {squeeze(str(error))[:200]}") from error
