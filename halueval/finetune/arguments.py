"""A recipe in the words of transformers' and trl's trainers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from halueval.errors import UsageError
from halueval.finetune.recipe import Recipe


def training_arguments(recipe: Recipe, output: Path, device: str, seed: int, total: int) -> Any:
    """The recipe in transformers' words.

    Raises:
        UsageError: bfloat16 on a device that has none, or one of several GPUs chosen by number.
    """
    import torch
    from transformers import Seq2SeqTrainingArguments, TrainingArguments
    from trl.trainer.sft_config import SFTConfig

    autocast = recipe.precision == "bfloat16-autocast"
    if autocast and device.startswith("cuda") and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError("this GPU has no bfloat16; pass --set precision=float32")
    if device.startswith("cuda:") and device != "cuda:0":
        raise UsageError(f"--device {device}: fine-tuning takes the first GPU; choose it with CUDA_VISIBLE_DEVICES")
    common: dict[str, Any] = {
        "output_dir": str(output / "checkpoints"),
        "use_cpu": device == "cpu",
        "bf16": autocast,
        "seed": seed,
        "data_seed": seed,
        "max_steps": total,
        "per_device_train_batch_size": recipe.batch_size,
        "per_device_eval_batch_size": 2 * recipe.batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "constant_with_warmup" if recipe.schedule == "constant" else recipe.schedule,
        "warmup_steps": math.ceil(recipe.warmup_share * total),
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "activation_checkpointing": False,
        "remove_unused_columns": False,
        "prediction_loss_only": True,
        "dataloader_pin_memory": device.startswith("cuda"),
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    if recipe.architecture == "causal":
        arguments: Any = SFTConfig(max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, **common)
    elif recipe.architecture == "seq2seq":
        arguments = Seq2SeqTrainingArguments(**common)
    else:
        arguments = TrainingArguments(**common)
    if arguments.n_gpu > 1:
        # Several GPUs in one process would be fed by DataParallel, which computes something else.
        arguments._n_gpu = 1
    return arguments
