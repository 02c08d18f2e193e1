"""Labels of `halueval probe` that a recipe takes its facts by."""

from __future__ import annotations

from pathlib import Path

from halueval.errors import DataError, UsageError
from halueval.known import LABELS_FILE, PROBE_PREFIX, KnownClass, read_labels

RESULTS = Path("results")
"""Where `halueval probe` writes unless it is told otherwise."""


def labels_of(
    path: Path | None, *, base_weights_sha256: str, base_adapter_sha256: str | None, model: str, task: str
) -> dict[str, KnownClass]:
    """Known class of each fact, by the hash of its row.

    Args:
        path: file of the labels; None looks for those of the base under `results`, and takes the one with the most
            facts.
        base_weights_sha256: of the model that is to be fine-tuned; labels of another are refused.
        base_adapter_sha256: of its adapter, None without one; labels of another adapter are refused too.
        model: its name, for the message.
        task: task whose facts are wanted.

    Raises:
        UsageError: no file is named, and there is none.
        DataError: not a file of labels, or of another base or task.
    """
    command = f"halueval probe --model {model} --task {task}"
    if path is None:
        path = _own(base_weights_sha256, base_adapter_sha256, task)
    if path is None:
        raise UsageError(
            f"the recipe takes facts by what the model knows, and {RESULTS} holds no labels of it: make them with "
            f"`{command}`, or pass --set data.labels=FILE"
        )
    header, facts = read_labels(path)
    if not header.are_of(base_weights_sha256, base_adapter_sha256):
        raise DataError(
            f"{path}: labels of other weights ({_shown(header.weights_sha256, header.adapter_sha256)}) than {model} "
            f"has ({_shown(base_weights_sha256, base_adapter_sha256)}); make them with `{command}`"
        )
    if header.task != task:
        raise DataError(f"{path}: labels of the task {header.task}, and the recipe takes facts of {task}")
    if not facts:
        raise DataError(f"{path}: holds no labels; make them with `{command}`")
    return {fact.doc_hash: fact.known_class for fact in facts}


def _shown(weights_sha256: str, adapter_sha256: str | None) -> str:
    return f"{weights_sha256[:12]}… " + ("without adapter" if adapter_sha256 is None else f"+ {adapter_sha256[:12]}…")


def _own(weights_sha256: str, adapter_sha256: str | None, task: str) -> Path | None:
    found = []
    for path in sorted(RESULTS.glob(f"*/{task}/{PROBE_PREFIX}*/{LABELS_FILE}")):
        header, facts = read_labels(path)
        if header.are_of(weights_sha256, adapter_sha256) and header.task == task:
            found.append((len(facts), path))
    return max(found)[1] if found else None
