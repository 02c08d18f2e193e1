"""What the model of a run, or its base, knew of each fact, as a stratum of the run's samples."""

from __future__ import annotations

import glob
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from halueval.backends.base import ModelIdentity
from halueval.errors import DataError
from halueval.job import RunSettings
from halueval.known import LABELS_FILE, PROBE_PREFIX, STRATUM, LabelHeader, largest, read_labels
from halueval.schema import Sample, canonical_json, sha256_text

logger = logging.getLogger("halueval")


def labels_for(
    model: ModelIdentity, task: str, data_sha256: str, settings: RunSettings, *, stored: bool
) -> Path | None:
    """The labels for a run: those that are named, or the model's own or its base's under the output directory.

    Args:
        model: that is run.
        task: name of the task.
        data_sha256: of its data.
        settings: whether labels are named or looked for.
        stored: whether the run is there without labels; it stays as it is then.

    Returns:
        None where there are none; of several found, those with the most facts.

    Raises:
        DataError: a file of labels under the output directory that is broken.
    """
    if settings.known_class is not None or not settings.find_known_class or stored:
        return settings.known_class
    return largest(
        settings.output.glob(f"*/{glob.escape(task)}/{PROBE_PREFIX}*/{LABELS_FILE}"),
        lambda header: _by_digest(model, header) and (header.task, header.data_sha256) == (task, data_sha256),
    )


def with_known_class(
    samples: Sequence[Sample], path: Path, model: ModelIdentity, task: str, data_sha256: str
) -> tuple[list[Sample], str]:
    """Samples with the class of their fact as a stratum; says whose labels they are.

    Args:
        samples: of a task.
        path: file of labels, of the model or of its base: of the base they say what it knew before.
        model: that is run.
        task: name of the task.
        data_sha256: of its data.

    Returns:
        The samples, those without a label as `not probed`, and a digest of the labels for the run's identity.

    Raises:
        DataError: a broken file, or labels of another task, other data or another model.
    """
    header, facts = read_labels(path)
    if (header.task, header.data_sha256) != (task, data_sha256):
        what = "other data" if header.task == task else f"the task {header.task}"
        raise DataError(f"{path}: labels of {what}, and the run is of {task}; probe it with halueval probe")
    if not _may_name(model, header):
        base = f"nor those of its base {model.base}" if model.base else "and its card names no base"
        raise DataError(
            f"{path}: labels of {header.model} ({header.weights_sha256[:12]}), which are not those of {model.name} "
            f"({model.weights_sha256[:12]}), {base}; probe it with halueval probe"
        )
    classes = {fact.doc_hash: fact.known_class for fact in facts}
    out = [
        replace(sample, group={**sample.group, STRATUM: classes.get(sample.doc_hash, "not probed")})
        for sample in samples
    ]
    logger.info("%s: %s is what %s knew, by %s", task, STRATUM, header.model, path)
    return out, sha256_text(canonical_json({"weights_sha256": header.weights_sha256, "classes": classes}))


def _by_digest(model: ModelIdentity, header: LabelHeader) -> bool:
    """Whether labels are of the model, or of the base that its lineage names."""
    if header.are_of(model.weights_sha256, model.adapter_sha256):
        return True
    lineage = model.lineage or {}
    base = lineage.get("base_weights_sha256")
    return base is not None and header.are_of(base, lineage.get("base_adapter_sha256"))


def _may_name(model: ModelIdentity, header: LabelHeader) -> bool:
    """The same, or of the base that the card of a model without lineage names: one that halueval did not make."""
    return _by_digest(model, header) or (not model.lineage and model.base == header.model)
