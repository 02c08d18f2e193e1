"""Calibration of prompted models: taking off what a model gives to a choice whatever it is asked.

A model has a taste for some answers ("yes", the last label, the common word) that has nothing to do with the question.
Each method measures that taste and subtracts it, in nats, from the summed log-likelihoods of the choices:

- `contextual` (Zhao et al. 2021): the choices' probabilities under the task's own prompt with "N/A", "" and "[MASK]" in
  place of the sample's fields, few-shot examples included, averaged over the three and normalised over the choices.
- `domain` (Holtzman et al. 2021, PMI_DC): log p(choice | domain premise), the premise being what stands after the last
  field in the task's prompt ("Answer:"), without description and examples.
- `pmi`: log p(choice | nothing), the pointwise mutual information with the prompt. Under a chat template: given an
  empty message of the user.
- `batch` (Zhou et al. 2024): the log of the mean over all samples of the run of the normalised probability of each
  choice. It needs no further requests, but the same choices for every sample, and it makes each sample's answer depend
  on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from halueval.errors import UsageError, nearest
from halueval.schema import Outcome

Method = Literal["none", "contextual", "domain", "pmi", "batch"]
METHODS: tuple[str, ...] = get_args(Method)
WITH_BASELINES = ("contextual", "domain", "pmi")
"""Methods that need to ask the model something."""
CONTENT_FREE = ("N/A", "", "[MASK]")
"""Inputs that ask nothing, of Zhao et al.'s `run_classification.py`."""


def check_method(name: str) -> None:
    """Refuse a method that does not exist.

    Raises:
        UsageError: names it and the nearest.
    """
    if name not in METHODS:
        raise UsageError(f"no calibration {name!r}{nearest(name, METHODS)}")


def methods_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """Methods whose baselines are to be asked, in the order of `WITH_BASELINES`.

    Args:
        names: of them, in a sequence or with commas between; `all` for every one.

    Raises:
        UsageError: no such method, or one without baselines.
    """
    given = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    for name in given:
        if name not in ("all", *WITH_BASELINES):
            raise UsageError(f"no baselines {name!r}; choose all, or of {', '.join(WITH_BASELINES)}")
    return tuple(method for method in WITH_BASELINES if "all" in given or method in given)


def content_free(value: Any, text: str) -> Any:
    """A row, or part of one, with `text` in place of every text in it; numbers, truth values and nulls stay."""
    if isinstance(value, str):
        return text
    if isinstance(value, Mapping):
        return {key: content_free(item, text) for key, item in value.items()}
    return [content_free(item, text) for item in value] if isinstance(value, list | tuple) else value


def common_end(texts: Sequence[str]) -> str:
    """The longest text that all of `texts` end in."""
    shortest = min(map(len, texts))
    size = next((i for i in range(shortest) if len({text[-1 - i] for text in texts}) > 1), shortest)
    return texts[0][len(texts[0]) - size :]


def baseline_prompts(
    methods: Sequence[str], doc: Mapping[str, Any], before: str, ask: Callable[[dict[str, Any], str], str], where: str
) -> dict[str, str]:
    """Prompts, by name, that show what a model gives to a sample's choices unasked.

    Args:
        methods: of `METHODS`; `none` and `batch` need none.
        doc: the sample's row.
        before: its description and few-shot examples.
        ask: renders the question of a row; told what the row is, for its errors.
        where: task and row, for an error.

    Raises:
        DataError: the question cannot be rendered without the row's texts.
        UsageError: `domain` for a question that ends in a field of the row.
    """
    out: dict[str, str] = {}
    by_text = [method for method in ("contextual", "domain") if method in methods]
    if by_text:
        what = f"{by_text[0]} calibration, texts replaced by"
        asked = [ask(content_free(doc, text), f"{what} {text!r}") for text in CONTENT_FREE]
        if "contextual" in by_text:
            out |= {f"contextual:{i}": before + question for i, question in enumerate(asked)}
        if "domain" in by_text:
            out["domain"] = common_end(asked).lstrip()
            if not out["domain"]:
                raise UsageError(
                    f"{where}: domain calibration needs words after the last field of the prompt, such as 'Answer:', "
                    "and doc_to_text has none; use contextual, pmi or batch"
                )
    if "pmi" in methods:
        out["pmi"] = ""
    return out


def correction(method: str, baselines: Mapping[str, Sequence[float]]) -> tuple[float, ...] | None:
    """What is to be subtracted from each choice's log-likelihood, in nats.

    Args:
        method: of `METHODS`.
        baselines: summed log-likelihoods of the choices under each baseline prompt; see `baseline_prompts`.

    Returns:
        None for `none` and `batch`, which have no baseline prompt, and where the baselines are missing.
    """
    rows = [values for name, values in baselines.items() if name.split(":")[0] == method]
    if not rows:
        return None
    if method != "contextual":
        return tuple(rows[0])
    # The script averages the probabilities as they are, then normalises.
    means = [log_mean_exp(column) for column in zip(*rows, strict=True)]
    total = log_sum_exp(means)
    return tuple(value - total for value in means)


def batch_correction(rows: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    """Log of the mean normalised probability of each choice, independent of the order of samples.

    Args:
        rows: log-likelihoods of the same choices for each sample. Those that are not finite are left out.

    Returns:
        None where the number of choices differs or no sample is left.
    """
    kept = [row for row in rows if row and all(map(math.isfinite, row))]
    if not kept or len({len(row) for row in rows}) > 1:
        return None
    normalised = [[value - log_sum_exp(row) for value in row] for row in kept]
    return tuple(log_mean_exp(column) for column in zip(*normalised, strict=True))


def corrected(values: Sequence[float], taken_off: Sequence[float]) -> tuple[float, ...]:
    """Calibrated scores; their softmax is the renormalised quotient of probabilities."""
    return tuple(value - less for value, less in zip(values, taken_off, strict=True))


def calibrate_outcomes(method: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes whose `loglikelihoods` are calibrated, the raw ones and the correction kept beside them.

    Args:
        method: of `METHODS`; `none` changes nothing.
        outcomes: of all samples of a run; those without log-likelihoods stay as they are.
    """
    if method == "none":
        return list(outcomes)
    shared = batch_correction([o.loglikelihoods for o in outcomes if o.loglikelihoods]) if method == "batch" else None
    made = []
    for outcome in outcomes:
        less = shared if method == "batch" else correction(method, outcome.baselines)
        if outcome.loglikelihoods is None:
            made.append(outcome)
        elif less is None:
            made.append(
                Outcome(failure=f"{method} calibration has nothing to go by", num_truncated=outcome.num_truncated)
            )
        else:
            values = corrected(outcome.loglikelihoods, less)
            made.append(
                replace(outcome, loglikelihoods=values, raw_loglikelihoods=outcome.loglikelihoods, correction=less)
            )
    return made


def log_sum_exp(values: Sequence[float]) -> float:
    """Log of the sum of exponentials; -inf where all are."""
    top = max(values)
    return top if math.isinf(top) else top + math.log(math.fsum(math.exp(value - top) for value in values))


def log_mean_exp(values: Sequence[float]) -> float:
    """Log of the mean of exponentials."""
    return log_sum_exp(values) - math.log(len(values))
