"""The trainers of trl and transformers, made to resume exactly, to save safely, and to call mitigations.

Importing this imports torch, transformers and trl; `train.py` does so only when something is trained.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import Seq2SeqTrainer, Trainer, TrainerCallback, TrainerState
from trl.trainer.sft_trainer import SFTTrainer

from halueval.backends.base import Architecture
from halueval.errors import TrainingError
from halueval.finetune.arms import targets
from halueval.finetune.arms.base import Arm
from halueval.finetune.checkpoints import LOG_FILE
from halueval.finetune.collate import EpochOrder
from halueval.finetune.encode import NO_LOSS
from halueval.finetune.recipe import Recipe
from halueval.finetune.weights import BrokenWeightsError


@dataclass(slots=True)
class Hooks:
    """What our trainers do beside transformers' own.

    Attributes:
        arms: mitigations, in the order in which they are at work.
        order: the order of the examples.
        save: writes a checkpoint; is handed the trainer.
        recipe: handed to the arms.
    """

    arms: Sequence[Arm]
    order: EpochOrder
    save: Callable[[Any], None]
    recipe: Recipe


class _HookedTrainer(Trainer, ABC):
    """What is common to the three trainers below. `hooks` is set right after construction."""

    hooks: Hooks

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder:
        return self.hooks.order

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # transformers writes in place, so that a killed process leaves a half that looks whole; and it pickles the
        # training arguments.
        self.hooks.save(self)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss, changed by the mitigations where there are any; refuses one that is no number."""
        arms = [arm for arm in self.hooks.arms if arm.changes_loss and model.training]
        found: Any = None
        if not arms:
            found = None if return_outputs else self.loss_at_answers(model, inputs, num_items_in_batch)
            if found is None:
                found = self.plain_loss(model, inputs, return_outputs, num_items_in_batch)
        else:
            loss, outputs = self.loss_and_logits(model, inputs, num_items_in_batch)
            for arm in arms:
                loss = arm.loss(model, inputs, outputs, loss, num_items=num_items_in_batch)
            found = (loss, outputs) if return_outputs else loss
        loss = found[0] if return_outputs else found
        if model.training and not math.isfinite(loss.detach().item()):
            # It was computed with the weights of the step before.
            raise BrokenWeightsError(self._not_finite("the loss", loss.detach().item()))
        return found

    def loss_at_answers(self, model: Any, inputs: dict[str, Any], num_items: Any) -> torch.Tensor | None:
        """The loss of a batch where there is a quicker way to it than the trainer's own, else None."""
        return None

    def plain_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool, num_items: Any) -> Any:
        """The loss without mitigations, with the model's outputs where asked."""
        loss, outputs = self.loss_and_logits(model, inputs, num_items)
        return (loss, outputs) if return_outputs else loss

    @abstractmethod
    def loss_and_logits(self, model: Any, inputs: dict[str, Any], num_items: Any) -> tuple[torch.Tensor, Any]:
        """The loss without mitigations, and outputs with the logits that these look at."""

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        # Called before the optimizer's step: weights are still those of the step before.
        found: Any = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]  # theirs
        if found is not None and not math.isfinite(float(found)):
            raise TrainingError(self._not_finite("the gradient's norm", float(found)))
        return found

    def _not_finite(self, what: str, value: float) -> str:
        return f"step {self.state.global_step + 1}: {what} is {value}, not a number that can be learnt from"

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW over the groups that a mitigation asks for, or over transformers' own."""
        trained: Any = self.model if model is None else model
        for arm in self.hooks.arms:
            groups = arm.parameter_groups(trained, self.hooks.recipe)
            if groups is not None and self.optimizer is None:
                optimizer, options = self.get_optimizer_cls_and_kwargs(self.args, trained)
                self.optimizer = optimizer(groups, **options)
        return super().create_optimizer() if model is None else super().create_optimizer(model)


class CausalTrainer(_HookedTrainer, SFTTrainer):
    """trl's; on a CPU with logits of the answers' positions alone.

    trl's fused output layer scores the answers alone where it has Triton, and every position, twice and in float32,
    elsewhere.
    """

    def loss_at_answers(self, model: Any, inputs: dict[str, Any], num_items: Any) -> torch.Tensor | None:
        """Cross-entropy at the positions before an answer's token in any row, over the answers' tokens of the step."""
        labels = inputs["labels"]
        trained: Any = self.model
        whole = trained.get_base_model() if hasattr(trained, "peft_config") else trained
        if labels.device.type == "cuda" or "logits_to_keep" not in inspect.signature(type(whole).forward).parameters:
            return None
        positions = (labels[:, 1:] != NO_LOSS).any(dim=0).nonzero().squeeze(1)
        given = {key: value for key, value in inputs.items() if key != "labels"}
        logits = model(**given, logits_to_keep=positions, use_cache=False).logits.float()
        wanted = labels[:, positions + 1]
        total: torch.Tensor = functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=NO_LOSS, reduction="sum"
        )
        count: torch.Tensor | int = (wanted != NO_LOSS).sum() if num_items is None else num_items
        return total / count

    def plain_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool, num_items: Any) -> Any:
        """The loss of trl, which builds no logits where it need not."""
        return SFTTrainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch=num_items)  # type: ignore[no-untyped-call]  # theirs

    def loss_and_logits(self, model: Any, inputs: dict[str, Any], num_items: Any) -> tuple[torch.Tensor, Any]:
        """Loss and outputs of transformers."""
        loss, outputs = Trainer.compute_loss(
            self, model, dict(inputs), return_outputs=True, num_items_in_batch=num_items
        )
        return loss, outputs

    def _send_telemetry(self) -> None:
        """Nothing: trl reports each training to the hub; halueval tells nobody."""


class _SummedLoss(_HookedTrainer):
    """The loss as a sum over the targets, divided by those of the whole optimizer step.

    Models of these kinds return the mean over a batch, whatever they are told of the step; transformers takes any that
    accepts further arguments for one that divides, and adds the means of accumulated batches up.
    """

    loss_is_scaled_for_ga = True

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> torch.Tensor | None:
        counts = [(batch["labels"] != NO_LOSS).sum() for batch in batch_samples]
        return torch.stack(counts).sum().to(device) if counts else None

    def loss_and_logits(self, model: Any, inputs: dict[str, Any], num_items: Any) -> tuple[torch.Tensor, Any]:
        """Cross-entropy over the targets of the batch as a part of the step's."""
        given = {key: value for key, value in inputs.items() if key != "labels"}
        cache = {"use_cache": False} if model.config.is_encoder_decoder else {}
        outputs = model(**given, **cache)
        logits, wanted = targets.target_logits(outputs.logits, inputs["labels"], shifted=False)
        return targets.per_target(targets.cross_entropy(logits, wanted), len(wanted), num_items), outputs


class EncoderDecoderTrainer(_SummedLoss, Seq2SeqTrainer):
    """For encoder-decoders."""


class ClassifierTrainer(_SummedLoss):
    """For encoders with a classification head."""


TRAINERS: dict[Architecture, type[_HookedTrainer]] = {
    "causal": CausalTrainer,
    "seq2seq": EncoderDecoderTrainer,
    "classifier": ClassifierTrainer,
}


@dataclass(slots=True)
class Schedule:
    """When to save, evaluate and stop.

    Attributes:
        checkpoint_every: steps between checkpoints, or None.
        evaluate_every: steps between evaluations on the development part, or None where there is none.
        patience: evaluations without a new lowest loss until training stops, or None.
    """

    checkpoint_every: int | None
    evaluate_every: int | None
    patience: int | None


def development_losses(history: Sequence[dict[str, Any]]) -> list[tuple[int, float]]:
    """Steps and losses of the evaluations in a trainer's log."""
    return [(int(entry["step"]), float(entry["eval_loss"])) for entry in history if "eval_loss" in entry]


def best_step(history: Sequence[dict[str, Any]]) -> int | None:
    """Step of the lowest development loss, the first of equals; None without an evaluation."""
    losses = development_losses(history)
    return min(losses, key=lambda pair: (pair[1], pair[0]))[0] if losses else None


def out_of_patience(history: Sequence[dict[str, Any]], patience: int | None) -> bool:
    """Whether a trainer's log says that training stops at its last evaluation."""
    best = best_step(history)
    if patience is None or best is None:
        return False
    return sum(1 for at, _ in development_losses(history) if at > best) >= patience


class Conductor(TrainerCallback):
    """Saves, evaluates, stops and tells the progress; what it decides depends on the step and the log alone.

    So a training that goes on from a checkpoint decides as the uninterrupted one did.
    """

    def __init__(self, schedule: Schedule, arms: Sequence[Arm], progress: Any, settle: Callable[[Any], None]) -> None:
        self.schedule, self.arms, self.progress, self.settle = schedule, arms, progress, settle
        self.stopped_early = False

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell the mitigations."""
        for arm in self.arms:
            arm.before_step(state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say whether this step is followed by an evaluation or a checkpoint."""
        self.settle(state)  # this step's loss was a number, so the weights that it began with are good
        step, plan = state.global_step, self.schedule
        if plan.evaluate_every and (step % plan.evaluate_every == 0 or step == state.max_steps):
            control.should_evaluate = True
        if plan.checkpoint_every and (step % plan.checkpoint_every == 0 or step == state.max_steps):
            control.should_save = True
        control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Tell the loss of the step."""
        if logs and "loss" in logs:
            self.progress.step(state.global_step, float(logs["loss"]))

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the best weights, stop when patience is at its end."""
        losses = development_losses(state.log_history)
        step, loss = losses[-1]
        if not math.isfinite(loss):
            raise BrokenWeightsError(f"step {step}: the development loss is {loss}, not a number")
        best = best_step(state.log_history)
        self.progress.note(f"step {step}: development loss {loss:.4f}" + (" (lowest so far)" if best == step else ""))
        if self.schedule.patience is None:
            return
        if best == step:
            control.should_save = True
        if out_of_patience(state.log_history, self.schedule.patience):
            control.should_training_stop = True
            self.stopped_early = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell the mitigations."""
        for arm in self.arms:
            arm.after_epoch(round(state.epoch or 0))


def read_state(directory: Path) -> TrainerState:
    """A trainer's state as it was at a checkpoint, its log included."""
    found: TrainerState = TrainerState.load_from_json(str(directory / LOG_FILE))
    return found


def write_state(trainer: Any, directory: Path) -> None:
    """Write what resuming needs beside the weights: optimizer, schedule, random states, and the trainer's log.

    Tensors and numbers alone; they are read back with `weights_only`.
    """
    trainer._save_optimizer_and_scheduler(str(directory))
    trainer._save_scaler(str(directory))
    trainer._save_rng_state(str(directory))
    trainer.state.save_to_json(str(directory / LOG_FILE))
