"""Comparing checkpoints in Python: what `halueval diff` does, as a function.

Apart from `api`, so that a comparison imports nothing that runs models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from halueval.compare.figures import Engine
from halueval.compare.find import find_runs, match, of_one_model
from halueval.compare.table import compare_all
from halueval.errors import UsageError
from halueval.known import read_labels
from halueval.report.result import Diff
from halueval.store import Run, load_run

__all__ = ["Diff", "diff"]


def diff(
    base: str | Path | Run,
    candidates: str | Path | Run | Sequence[str | Path | Run],
    *,
    results: str | Path = "results",
    alpha: float = 0.05,
    seed: int = 0,
    n_resamples: int = 10_000,
    noise_floor: str | Path | Run | Sequence[str | Path | Run] = (),
    allow_mismatch: Sequence[str] = (),
    known_class: Sequence[str | Path] = (),
    advance: Callable[[str], None] = lambda _: None,
) -> Diff:
    """Compare one or several candidates with a base, sample by sample.

    Args:
        base: a run, a run directory, or a model's name under `results` (then every task that both have).
        candidates: one or several of the same.
        results: directory of results.
        alpha: level of the tests, in (0, 1); intervals are 95 % whatever it is.
        seed: of the resampling.
        n_resamples: bootstrap and permutation replicates.
        noise_floor: second runs of the base, at most one a task.
        allow_mismatch: keys of the runs' identities that may differ.
        known_class: files of labels by `halueval probe`, at most one a task; without one those beside the base's runs
            are taken.
        advance: is told the candidate and task that are compared next.

    Raises:
        UsageError: names that mean no runs, or runs that cannot be compared.
        DataError: a run that is unfinished, or whose samples are missing or were changed.
    """
    if not 0 < alpha < 1 or n_resamples < 1:
        raise UsageError(
            f"alpha is {alpha:g} and n_resamples {n_resamples}; alpha lies in (0, 1), n_resamples is positive"
        )
    given = [base, *_listed(candidates)]
    if len(given) < 2:
        raise UsageError("nothing to compare the base with; give at least one candidate")
    home = Path(results)
    names = [str(one.path if isinstance(one, Run) else one) for one in given]
    choices, told = [], []
    for one, name in zip(given, names, strict=True):
        found = {str(one.record["task"]["name"]): [one]} if isinstance(one, Run) else find_runs(one, home)
        runs, remarks = of_one_model(name, found)
        choices.append(runs)
        told.append(remarks)
    ours, theirs, notes = match(choices[0], choices[1:], names)
    notes = [[*told[0], *mine, *others] for mine, others in zip(told[1:], notes, strict=True)]
    table = compare_all(
        ours,
        theirs,
        engine=Engine(alpha, seed, n_resamples),
        noise=[one if isinstance(one, Run) else load_run(one) for one in _listed(noise_floor)],
        allow_mismatch=allow_mismatch,
        notes=notes,
        known_class=_labels(known_class, ours),
        advance=advance,
    )
    return Diff(table)


def _labels(paths: Sequence[str | Path], runs: Mapping[str, Run]) -> dict[str, Path]:
    """Files of labels by the task that they are of.

    Raises:
        UsageError: a task that is not compared, or two files for one.
    """
    out: dict[str, Path] = {}
    for path in paths:
        task = read_labels(Path(path))[0].task
        if task not in runs:
            raise UsageError(f"--known-class {path}: labels of {task}, which is not compared: {', '.join(runs)}")
        if task in out:
            raise UsageError(f"--known-class {path}: {out[task]} is also of {task}; give one of them")
        out[task] = Path(path)
    return out


def _listed(given: str | Path | Run | Sequence[str | Path | Run]) -> list[str | Path | Run]:
    return [given] if isinstance(given, str | Path | Run) else list(given)
