"""Consistency of a run's responses: the scorers that its figures ask for, and what they say of each response."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from halueval.consistency.base import Advance, ConsistencyScorer, Pair, Verdict
from halueval.consistency.catalog import create, with_device
from halueval.errors import SourceError
from halueval.schema import Check, Outcome, Sample
from halueval.scorers.base import Scorer
from halueval.scorers.consistency import Consistency
from halueval.source import DigestError
from halueval.verdicts import KeptVerdicts

logger = logging.getLogger("halueval")

NOT_HERE = "its model could not be had"

Watch = Callable[[str, int, int], AbstractContextManager[Advance]]
"""Is told of what is done, the number of responses and how many of them were done before; gives what is told of
progress."""


def _unwatched(title: str, total: int, done: int) -> AbstractContextManager[Advance]:
    del title, total, done
    return nullcontext(lambda _: None)


def checkers_of(
    scorers: Sequence[Scorer], device: str = "auto", lacking: Collection[str] = ()
) -> dict[str, ConsistencyScorer]:
    """The consistency scorers that figures ask for, by the figure, with the thresholds that tasks give them.

    Args:
        scorers: of a task.
        device: where their models run, unless a task says otherwise.
        lacking: figures that must do without, see `available`.

    Raises:
        UsageError: no such scorer, or no such option of it.
    """
    asking = [scorer for scorer in scorers if isinstance(scorer, Consistency) and scorer.name not in lacking]
    made = {one.name: create(one.check, with_device(one.check, one.options, device)) for one in asking}
    for one in asking:
        if one.threshold is not None and one.threshold_from is not None:
            made[one.name].decide_at(one.threshold, one.threshold_from)
    return made


def available(
    scorers: Sequence[Scorer], language: str, device: str = "auto"
) -> tuple[dict[str, dict[str, Any]], dict[str, Check]]:
    """What stands behind each figure, for a run's identity; and the figures that do without, which is told once.

    So is a figure whose scorer can give no value, since its model's configuration does not say what the model's outputs
    mean.

    Only a figure that a run has by default does without: a scorer that a task names must be there.

    Args:
        scorers: of a task.
        language: of the task.
        device: see `checkers_of`.

    Returns:
        See `describe`; and by figure a check without a value, with the reason.

    Raises:
        UsageError: see `checkers_of`.
        ModelError, SourceError: the model of a scorer that the task names cannot be had, or is not what it should be.
    """
    found: dict[str, dict[str, Any]] = {}
    lacking: dict[str, Check] = {}
    by_default = {one.name for one in scorers if isinstance(one, Consistency) and one.by_default}
    for figure, checker in checkers_of(scorers, device).items():
        try:
            found |= describe({figure: checker}, language)
            if why := checker.unusable():
                _warn(f"figure {figure} will have no value: {why}")
        except DigestError:
            raise
        except SourceError as error:
            if figure not in by_default:
                raise
            _warn(f"figure {figure} is left out: {' '.join(str(error).split())}")
            lacking[figure] = Check(checker.name, None, f"{checker.name}: {NOT_HERE}")
    return found, lacking


@lru_cache(maxsize=64)
def _warn(message: str) -> None:
    """Say it once, however many tasks and models are run."""
    logger.warning("%s", message)


def describe(
    checkers: Mapping[str, ConsistencyScorer], language: str, *, names: bool = False
) -> dict[str, dict[str, Any]]:
    """Which scorer stands behind each figure, by which threshold it decides, and whence that is.

    A threshold that was not validated for the language is none; one that the task gives holds for its language.

    Args:
        checkers: by figure.
        language: of the task.
        names: those of models too, for `run.json`; they are no part of an identity, which has the digests.

    Raises:
        ModelError, SourceError, UsageError: a scorer's model was not named or cannot be had.
    """
    return {
        figure: {
            **checker.identity(),
            **({"model": checker.model_name} if names and checker.model_name else {}),
            "threshold": checker.threshold_in(language),
            "threshold_from": None if checker.threshold_in(language) is None else checker.threshold_from,
        }
        for figure, checker in checkers.items()
    }


def check_outcomes(
    checkers: Mapping[str, ConsistencyScorer],
    samples: Sequence[Sample],
    outcomes: Sequence[Outcome],
    language: str,
    lacking: Mapping[str, Check] | None = None,
    watch: Watch = _unwatched,
    keep: Path | None = None,
    fresh: bool = False,
) -> list[Outcome]:
    """Outcomes with a check of each response that has a source; the others as they are.

    Args:
        checkers: by the figure that asked for them.
        samples: of the run.
        outcomes: of the samples.
        language: of the task.
        lacking: see `available`.
        watch: is told of the progress of each figure.
        keep: directory of verdicts, so that a call that was interrupted goes on; None keeps none.
        fresh: forget what is kept there of these scorers on these responses.

    Raises:
        ModelError, SourceError: a scorer's model cannot be had or loaded; what was kept stays.
        IncompleteError: the disk is full; what was kept stays.
    """
    todo = [
        i
        for i, (sample, outcome) in enumerate(zip(samples, outcomes, strict=True))
        if sample.source and outcome.failure is None and (outcome.response or "").strip()
    ]
    pairs = [Pair(samples[i].source or "", outcomes[i].response or "", samples[i].question, language) for i in todo]
    out = list(outcomes)
    for i in todo if lacking else ():
        out[i] = replace(out[i], checks={**out[i].checks, **(lacking or {})})
    if not pairs:
        return out
    for figure, checker in checkers.items():
        kept = KeptVerdicts(checker, pairs, keep, fresh=fresh)
        if kept.done < len(pairs):
            with watch(f"{figure} by {checker.name}", len(pairs), kept.done) as advance:
                verdicts = kept.score(advance)
        else:
            verdicts = kept.score(lambda _: None)
        for i, verdict in zip(todo, verdicts, strict=True):
            out[i] = replace(out[i], checks={**out[i].checks, figure: _check(checker, verdict, language)})
    return out


def _check(checker: ConsistencyScorer, verdict: Verdict, language: str) -> Check:
    sentences = tuple((one.text, one.value, one.reason) for one in verdict.sentences)
    threshold = checker.threshold_in(language)
    return Check(checker.name, verdict.value, verdict.reason, threshold, verdict.truncated, sentences)
