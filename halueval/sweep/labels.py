"""Labels of `halueval probe` that a study names: what the base knew before any training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halueval.backends.loading import LocatedModel
from halueval.errors import DataError
from halueval.known import read_labels
from halueval.prompt import build_samples
from halueval.sweep.evaluate import EvalTask
from halueval.sweep.spec import Study

logger = logging.getLogger("halueval")

KNOWN = ("HighlyKnown", "MaybeKnown")


@dataclass(frozen=True, slots=True)
class StudyLabels:
    """Labels that were checked.

    Attributes:
        path: their file.
        classes: known class by the hash of a row.
        n_asked: rows of their task that the study asks.
        n_labelled: how many of these have a label.
        n_known: how many of these the base knew.
    """

    path: Path
    classes: Mapping[str, str]
    n_asked: int
    n_labelled: int
    n_known: int

    @property
    def lacking(self) -> str | None:
        """What is wrong where nothing that the base knew is asked; else None."""
        if self.n_known:
            return None
        if not self.n_labelled:
            what = f"none of its {len(self.classes)} labels is of one of the {self.n_asked} rows that the study asks"
        else:
            what = f"the base knows none of the {self.n_labelled} labelled rows that the study asks"
        return f"{self.path}: {what}, so that accuracy on what it knew is not measured; probe the rows that tasks names"


def study_labels(study: Study, base: LocatedModel, tasks: Sequence[EvalTask]) -> StudyLabels | None:
    """Read and check the labels of a study; warns where they match nothing that is asked.

    Args:
        study: may name a file, beside it or relative to the working directory.
        base: whose labels they must be.
        tasks: that the study asks; one of kind qa must be the labels' task.

    Returns:
        None where the study names no file.

    Raises:
        DataError: no such file, a broken one, or labels of another base or task.
    """
    if study.labels is None:
        return None
    written = study.labels.expanduser()
    beside = (study.directory or Path()) / written
    path = beside if beside.is_file() else written
    header, facts = read_labels(path)
    asked = {one.task.task: one for one in tasks if one.task.kind.value == "qa"}
    command = f"halueval probe --model {study.model} --task {next(iter(asked))}"
    identity = base.identity("float32")
    if not header.are_of(identity.weights_sha256, identity.adapter_sha256):
        raise DataError(
            f"{path}: labels of another model ({header.model}, weights {header.weights_sha256[:12]}…) than the study's "
            f"{study.model} ({identity.weights_sha256[:12]}…); make them with `{command}`"
        )
    if header.task not in asked:
        raise DataError(
            f"{path}: labels of the task {header.task}, and the study asks {', '.join(asked)}; make them with "
            f"`{command}`"
        )
    one = asked[header.task]
    classes: dict[str, str] = {fact.doc_hash: fact.known_class for fact in facts}
    samples = build_samples(one.task, one.data, num_fewshot=0, seed=0, limit=one.limit)
    labelled = [classes[sample.doc_hash] for sample in samples if sample.doc_hash in classes]
    found = StudyLabels(path, classes, len(samples), len(labelled), sum(name in KNOWN for name in labelled))
    if found.lacking is not None:
        logger.warning("%s", found.lacking)
    return found
