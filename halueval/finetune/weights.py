"""Models that can be trained, and their weights on disk."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from halueval.backends.fingerprint import TOKENIZER_FILES, adapter_sha256, read_json, weights_sha256
from halueval.backends.loading import LocatedModel, load, quiet_peft
from halueval.backends.quiet import quiet_transformers
from halueval.errors import ModelError, TrainingError, UsageError
from halueval.finetune.recipe import Recipe

ADAPTER_CONFIG = "adapter_config.json"


class BrokenWeightsError(TrainingError):
    """The weights as they are give no number: a checkpoint of the steps done so far is not good."""


def require_finite(model: Any, step: int) -> None:
    """Refuse weights that are no numbers; looked at where they are, and one answer is brought over.

    Raises:
        BrokenWeightsError: names the step.
    """
    import torch

    finite = torch.stack([parameter.detach().isfinite().all() for parameter in model.parameters()]).all()
    if not finite.item():
        raise BrokenWeightsError(f"step {step}: the weights are not finite")


def load_trainable(
    located: LocatedModel,
    recipe: Recipe,
    *,
    device: str,
    seed: int,
    classes: Sequence[str],
    trust_remote_code: bool,
) -> tuple[Any, Any]:
    """The base in float32 on the device, with new low-rank adapters where the recipe asks for them.

    Args:
        located: the base.
        recipe: method and architecture.
        device: resolved.
        seed: of what is initialised at random: adapters, and a classification head that is new.
        classes: of a classifier, sorted; others give none.
        trust_remote_code: run Python code that comes with the model.

    Returns:
        Model and tokenizer.

    Raises:
        ModelError: files that do not fit together, or modules to adapt that the model does not have.
    """
    import torch

    torch.manual_seed(seed)
    if recipe.architecture == "classifier" and not _has_head(located, classes):
        model, tokenizer = _with_new_head(located, classes, device, trust_remote_code)
    else:
        model, tokenizer = load(located, device=device, dtype="float32", trust_remote_code=trust_remote_code)
    if located.adapter is not None:
        if recipe.method == "lora":
            raise UsageError(
                f"model {located.spec.name} is an adapter itself; fine-tune it with method: full, or train the "
                "adapter on its base"
            )
        model = model.merge_and_unload()
    if recipe.method == "lora":
        model = _with_adapters(model, located, recipe)
    return model, tokenizer


def head_classes(directory: Path) -> list[str]:
    """Names of the classes of a classification head in `config.json`, in its order; none for other models."""
    config = read_json(directory / "config.json")
    names = config.get("id2label")
    if not isinstance(names, dict) or not str((config.get("architectures") or [""])[0]).endswith(
        "ForSequenceClassification"
    ):
        return []
    return [str(names[key]) for key in sorted(names, key=int)]


def _has_head(located: LocatedModel, classes: Sequence[str]) -> bool:
    there = head_classes(located.directory)
    return bool(there) and set(classes) <= set(there)


def _with_new_head(
    located: LocatedModel, classes: Sequence[str], device: str, trust_remote_code: bool
) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(located.directory, **options)
            model = AutoModelForSequenceClassification.from_pretrained(
                located.directory,
                num_labels=len(classes),
                id2label=dict(enumerate(classes)),
                label2id={name: i for i, name in enumerate(classes)},
                ignore_mismatched_sizes=True,
                use_safetensors=True,
                **options,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"model {located.spec.name}: cannot be given a classification head: {str(error).splitlines()[0]}"
            ) from error
    return model.float().to(device), tokenizer


def _with_adapters(model: Any, located: LocatedModel, recipe: Recipe) -> Any:
    from peft import LoraConfig, TaskType, get_peft_model

    kinds = {"causal": TaskType.CAUSAL_LM, "seq2seq": TaskType.SEQ_2_SEQ_LM, "classifier": TaskType.SEQ_CLS}
    settings = recipe.lora
    config = LoraConfig(
        task_type=kinds[recipe.architecture],
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # peft divides it by the rank, and any number will do
        lora_dropout=settings.dropout,
        target_modules=settings.targets or "all-linear",
    )
    try:
        with quiet_peft():
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(
            f"recipe {recipe.name}: lora.targets do not fit {located.spec.name}: {str(error).splitlines()[0]}"
        ) from error
    return adapted


def save_weights(model: Any, located: LocatedModel, directory: Path) -> None:
    """Write weights as safetensors with configuration and the base's own tokenizer files; adapters alone for LoRA."""
    if hasattr(model, "peft_config"):
        model.save_pretrained(str(directory))
        (directory / "README.md").unlink(missing_ok=True)  # peft's template of a model card; ours is halueval.yaml
        _settle_adapter_config(directory / ADAPTER_CONFIG, located.spec.name)
        return
    with _as_configured(model, located):
        model.save_pretrained(str(directory))
    for name in (*TOKENIZER_FILES, "chat_template.jinja"):
        if (located.directory / name).is_file():
            shutil.copyfile(located.directory / name, directory / name)


@contextlib.contextmanager
def _as_configured(model: Any, located: LocatedModel) -> Iterator[None]:
    """The base's own `use_cache`: trl switches it off for training, and saved models would generate without it."""
    own, training = (
        read_json(located.directory / "config.json").get("use_cache"),
        getattr(model.config, "use_cache", None),
    )
    if own is None:
        yield
        return
    model.config.use_cache = own
    try:
        yield
    finally:
        model.config.use_cache = training


def _settle_adapter_config(path: Path, base: str) -> None:
    """Sort what peft writes in the order of a set, which changes from process to process."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    for key in ("target_modules", "modules_to_save"):
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def trained_sha256(directory: Path) -> str:
    """Digest of the weights that training made: of the adapter where there is one, else of the model."""
    adapter = (directory / ADAPTER_CONFIG).is_file()
    return adapter_sha256(directory) if adapter else weights_sha256(directory)


def sync(directory: Path) -> None:
    """See every file of a directory on disk, so that a rename after it is never of half a checkpoint."""
    for path in sorted(directory.iterdir()):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def state_bytes(model: Any) -> tuple[int, int]:
    """Bytes on disk, roughly: of the weights that are saved, and of the optimizer's two moments."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    saved = trained if hasattr(model, "peft_config") else sum(p.numel() for p in model.parameters())
    return 4 * saved, 2 * 4 * trained
