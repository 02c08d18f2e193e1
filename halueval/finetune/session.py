"""One training from loaded weights to the record."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from halueval.backends.base import ChatSettings
from halueval.backends.texts import Texts
from halueval.errors import ModelError, TrainingError
from halueval.finetune.arguments import training_arguments
from halueval.finetune.card import VERSIONED, model_card, versions
from halueval.finetune.checkpoints import LOG_FILE, STATE_FILES, CheckpointStore, told_in_one_line
from halueval.finetune.encode import Features, encode_examples, num_target_tokens
from halueval.finetune.examples import Example, counts, examples_sha256
from halueval.finetune.prepare import Prepared
from halueval.finetune.progress import TrainingProgress
from halueval.finetune.record import Checkpoint, FinetuneRecord, write_card
from halueval.finetune.weights import (
    BrokenWeightsError,
    head_classes,
    load_trainable,
    require_finite,
    save_weights,
    state_bytes,
    trained_sha256,
)
from halueval.registry import MODEL_CARD, safe_name


class Training:
    """A fine-tuning in progress."""

    def __init__(self, prepared: Prepared, output: Path, progress: TrainingProgress, trust_remote_code: bool) -> None:
        self.prepared, self.output, self.progress = prepared, output, progress
        self.trust_remote_code = trust_remote_code
        self.recipe, self.located = prepared.recipe, prepared.located
        self.name = safe_name(output)

    def run(self, started: float) -> FinetuneRecord:
        """Train and write everything; see `finetune`."""
        _require_packages()
        import torch

        with _quiet():
            classes = self._classes()
            self.new_head = classes != head_classes(self.located.directory)
            model, tokenizer = load_trainable(
                self.located,
                self.recipe,
                device=self.prepared.device,
                seed=self.prepared.seed,
                classes=classes,
                trust_remote_code=self.trust_remote_code,
            )
            store = self._store(model)
            trainer, conductor = self._trainer(model, tokenizer, store)
            store.require_final_space()
            resumed = store.resumable()
            self.progress.begin(self.name, trainer.args.max_steps, resumed or 0)
            try:
                self._train(trainer, conductor, store, resumed)
            except torch.OutOfMemoryError as error:
                raise TrainingError(
                    f"out of memory on {self.prepared.device}: lower batch_size and raise gradient_accumulation by the "
                    "same factor, or take method: lora"
                ) from error
            except TrainingError as error:
                if isinstance(error, BrokenWeightsError):
                    store.discard(trainer.state.global_step)
                raise TrainingError(f"{error}; {_last_good(store)}; try a lower learning_rate") from error
            finally:
                self.progress.end()
            best = self._best(trainer.state)
            self._write_final(model, store, best)
        return self._record(trainer.state, conductor, store, best, time.perf_counter() - started)

    def _train(self, trainer: Any, conductor: Any, store: CheckpointStore, resumed: int | None) -> None:
        """Train from the start or a checkpoint, unless training was stopped early at that very checkpoint."""
        from halueval.finetune.trainers import out_of_patience, read_state

        if resumed is not None:
            state, stop = read_state(store.path(resumed)), self.recipe.early_stopping
            if out_of_patience(state.log_history, stop.patience if stop else None):
                trainer.state, conductor.stopped_early = state, True
                return
        trainer.train(resume_from_checkpoint=None if resumed is None else str(store.path(resumed)))
        require_finite(trainer.model, trainer.state.global_step)

    def _best(self, state: Any) -> int | None:
        """Step whose weights are the best so far, where the recipe chooses by the development part."""
        from halueval.finetune.trainers import best_step

        return best_step(state.log_history) if self.recipe.early_stopping else None

    def _classes(self) -> list[str]:
        if self.recipe.architecture != "classifier":
            return []
        given = sorted({str(e.label) for e in (*self.prepared.training, *self.prepared.development)})
        there = head_classes(self.located.directory)
        return there if there and set(given) <= set(there) else given

    def _store(self, model: Any) -> CheckpointStore:
        weights, state = state_bytes(model)
        return CheckpointStore(self.output, self.recipe.keep_checkpoints, self._card, weights, state)

    def _card(self, step: int) -> dict[str, Any]:
        """The model card of a checkpoint."""
        return model_card(self.prepared, f"{self.name}-step-{step}", step)

    def _trainer(self, model: Any, tokenizer: Any, store: CheckpointStore) -> tuple[Any, Any]:
        from datasets import Dataset
        from transformers import PrinterCallback

        from halueval.finetune.collate import Collator, EpochOrder
        from halueval.finetune.trainers import TRAINERS, Conductor, Hooks, Schedule, write_state

        recipe, prepared = self.recipe, self.prepared
        texts = Texts(
            tokenizer,
            model.config,
            decoder_start=_decoder_start(model),
            architecture=recipe.architecture,
            chat=ChatSettings(recipe.apply_chat_template),
            input_prefix=self.located.spec.input_prefix,
            model=model,
        )
        labels = dict(model.config.label2id) if recipe.architecture == "classifier" else None

        def encode(examples: Sequence[Example]) -> list[Features]:
            return encode_examples(
                examples,
                texts,
                max_length=recipe.max_length,
                labels=labels,
                drop_too_long=recipe.too_long == "drop",
            )

        encoded, held_back = encode(prepared.training), encode(prepared.development)
        self.num_examples, self.target_tokens = len(encoded), num_target_tokens(encoded)
        steps_per_epoch = math.ceil(math.ceil(len(encoded) / recipe.batch_size) / recipe.gradient_accumulation)
        total = steps_per_epoch * recipe.epochs
        for arm in prepared.arms:
            arm.prepare_texts(encode, texts.pad)
            arm.prepare_model(model)
        order = EpochOrder(
            [len(feature["input_ids"]) for feature in encoded],
            batch_size=recipe.batch_size * recipe.gradient_accumulation,
            seed=prepared.seed,
            by_length=recipe.group_by_length,
        )
        stop = recipe.early_stopping
        evaluate_every = (stop.every if stop and stop.every else steps_per_epoch) if held_back else None
        conductor = Conductor(
            Schedule(recipe.checkpoint_every, evaluate_every, stop.patience if stop else None),
            prepared.arms,
            self.progress,
            lambda state: store.settle(self._best(state)),
        )
        trainer = TRAINERS[recipe.architecture](
            model=model,
            args=training_arguments(recipe, self.output, prepared.device, prepared.seed, total),
            train_dataset=Dataset.from_list(encoded),
            eval_dataset=Dataset.from_list(held_back) if held_back else None,
            data_collator=Collator(texts.pad),
            processing_class=tokenizer,
            callbacks=[conductor],
        )
        # It would write the tokenizer's special tokens into the model's configuration.
        trainer.processing_class = None
        trainer.remove_callback(PrinterCallback)

        def save(active: Any) -> None:
            def write(directory: Path) -> None:
                save_weights(model, self.located, directory)
                write_state(active, directory)

            require_finite(model, active.state.global_step)
            store.save(active.state.global_step, write)
            self.progress.note(f"checkpoint {store.path(active.state.global_step)}")

        trainer.hooks = Hooks(prepared.arms, order, save, recipe)
        return trainer, conductor

    def _write_final(self, model: Any, store: CheckpointStore, best: int | None) -> None:
        """The weights of the last step, or of the best, at the top of the output directory."""
        with told_in_one_line(store.no_final):
            if best is not None:
                for path in sorted(store.path(best).iterdir()):
                    if path.name not in (*STATE_FILES, LOG_FILE, MODEL_CARD):
                        shutil.copyfile(path, self.output / path.name)
            else:
                save_weights(model, self.located, self.output)
        store.finish(best)

    def _record(
        self, state: Any, conductor: Any, store: CheckpointStore, best: int | None, seconds: float
    ) -> FinetuneRecord:
        prepared, recipe = self.prepared, self.recipe
        step = state.global_step if best is None else best
        write_card(self.output, model_card(prepared, self.name, step))
        losses = [(int(e["step"]), float(e["loss"])) for e in state.log_history if "loss" in e]
        record = FinetuneRecord(
            path=self.output,
            name=self.name,
            base=self.located.spec.name,
            base_weights_sha256=self.located.weights_sha256,
            method=recipe.method,
            recipe=recipe.name,
            recipe_hash=recipe.hash,
            data_sha256=examples_sha256(prepared.training),
            seed=prepared.seed,
            steps=int(state.global_step),
            epochs=round(float(state.epoch or 0), 4),
            examples=self.num_examples,
            loss=_mean_of_last_epoch(losses, recipe.epochs),
            weights_sha256=trained_sha256(self.output),
            checkpoints=tuple(_checkpoints(store, state.log_history)),
            best_step=best,
            stopped_early=conductor.stopped_early,
        )
        return record.write(
            {
                "identity": prepared.identity,
                "settings": recipe.model_dump(mode="json"),
                "counts": counts(prepared.training),
                "dropped_too_long": len(prepared.training) - self.num_examples,
                "target_tokens": self.target_tokens,
                "development_examples": len(prepared.development),
                "evaluate": list(recipe.evaluate),
                "new_head": recipe.architecture == "classifier" and self.new_head,
                "overlapping": prepared.overlapping,
                "losses": losses,
                "development_losses": _development(state.log_history),
                "environment": {"versions": versions(), "device": prepared.device},
                "seconds": round(seconds, 1),
            }
        )


def _development(history: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    return [(int(e["step"]), float(e["eval_loss"])) for e in history if "eval_loss" in e]


def _mean_of_last_epoch(losses: Sequence[tuple[int, float]], epochs: int) -> float | None:
    last = losses[-max(1, len(losses) // epochs) :]
    return round(sum(loss for _, loss in last) / len(last), 6) if last else None


def _checkpoints(store: CheckpointStore, history: Sequence[Mapping[str, Any]]) -> Iterator[Checkpoint]:
    development = dict(_development(history))
    before = 0
    for step in store.steps():
        entries = [e for e in history if "loss" in e and before < int(e["step"]) <= step]
        loss = sum(float(e["loss"]) for e in entries) / len(entries) if entries else None
        epoch = float(entries[-1]["epoch"]) if entries else 0.0
        yield Checkpoint(step, store.path(step), epoch, loss, development.get(step))
        before = step


def _last_good(store: CheckpointStore) -> str:
    steps = store.steps()
    return f"the last good checkpoint is {store.path(steps[-1])}" if steps else "there is no checkpoint before it"


def _decoder_start(model: Any) -> int | None:
    for owner in (getattr(model, "generation_config", None), model.config):
        token = getattr(owner, "decoder_start_token_id", None)
        if token is not None:
            return int(token)
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers and datasets from drawing bars and hints of their own."""
    from datasets.utils import disable_progress_bars, enable_progress_bars

    from halueval.backends.quiet import quiet_transformers

    disable_progress_bars()
    try:
        with quiet_transformers():
            yield
    finally:
        enable_progress_bars()


def _require_packages() -> None:
    for name in VERSIONED:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError as error:
            raise ModelError(f"fine-tuning needs {name}: pip install 'halueval[train]'") from error
