"""One fine-tuning from recipe to model card: resumable, the same for a seed, and never half-written."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from halueval.backends.base import ChatSettings
from halueval.backends.devices import resolve_device
from halueval.backends.loading import LocatedModel, locate
from halueval.backends.texts import Texts
from halueval.config import ModelSpec
from halueval.errors import ModelError, TrainingError, UsageError
from halueval.finetune.arms.catalog import build_arms, prepare_data
from halueval.finetune.checkpoints import LOG_FILE, CheckpointStore
from halueval.finetune.data import DataContext, build_examples, split_development
from halueval.finetune.encode import Features, encode_examples, num_target_tokens
from halueval.finetune.examples import Example, counts, example_lines, examples_sha256
from halueval.finetune.overlap import Protected, check_overlap, read_evaluations, refuse_overlap
from halueval.finetune.progress import SilentTraining, TrainingProgress
from halueval.finetune.recipe import Recipe
from halueval.finetune.record import TRAIN_FILE, Checkpoint, FinetuneRecord, write_card
from halueval.finetune.weights import head_classes, load_trainable, save_weights, state_bytes, trained_sha256
from halueval.finetune.workspace import Workspace
from halueval.registry import Registry, safe_name
from halueval.source import Progress
from halueval.store import write_atomically

VERSIONED = ("torch", "transformers", "trl", "peft")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known before a model is loaded."""

    recipe: Recipe
    located: LocatedModel
    training: Sequence[Example]
    development: Sequence[Example]
    overlapping: int
    arms: Sequence[Any]
    device: str
    seed: int

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two fine-tunings the same."""
        base = self.located.identity("float32")
        fed = {arm.name: digest for arm in self.arms if (digest := arm.data_sha256()) is not None}
        return {
            "base": {
                "weights_sha256": base.weights_sha256,
                "config_sha256": base.config_sha256,
                "tokenizer_sha256": base.tokenizer_sha256,
                "adapter_sha256": base.adapter_sha256,
            },
            "recipe_hash": self.recipe.hash,
            "data_sha256": examples_sha256(self.training),
            "development_sha256": examples_sha256(self.development),
            **({"mitigation_data_sha256": fed} if fed else {}),
            "seed": self.seed,
            "device": self.device.partition(":")[0],
        }


def finetune(
    recipe: Recipe,
    model: str | ModelSpec | None,
    output: Path,
    *,
    seed: int | None = None,
    device: str = "auto",
    allow_overlap: bool = False,
    fresh: bool = False,
    registry: Registry | None = None,
    progress: TrainingProgress | None = None,
    fetch_progress: Progress | None = None,
    trust_remote_code: bool = False,
) -> FinetuneRecord:
    """Fine-tune a model by a recipe.

    The same call again goes on from the last whole checkpoint, or returns the record of what is already done.

    Args:
        recipe: what to train on and how.
        model: card, its name, a directory or a hub id; None takes the recipe's.
        output: directory of the result; it ends in weights, model card, record and training examples.
        seed: takes the place of the recipe's.
        device: `auto`, `cpu`, `cuda` or `mps`.
        allow_overlap: train although items are also evaluated.
        fresh: start over instead of going on.
        registry: where models and tasks are looked up.
        progress: told of the steps.
        fetch_progress: told of downloads.
        trust_remote_code: run Python code that comes with a model.

    Returns:
        The record, also in `output/finetune.json`.

    Raises:
        UsageError: no such model or task, or an output directory that holds something else.
        DataError: data that is empty, too long for the model, or also evaluated.
        TrainingError: the loss or gradient is not finite; the last checkpoint stays.
        IncompleteError: no space for a checkpoint; what there is stays.
    """
    started = time.perf_counter()
    found = registry or Registry()
    told = progress or SilentTraining()
    prepared = _prepare(recipe, model, found, seed, device, allow_overlap, fetch_progress)
    with Workspace(output, prepared.identity, fresh=fresh).opened() as done:
        if done is not None:
            return done
        write_atomically(output / TRAIN_FILE, example_lines(prepared.training))
        return _Training(prepared, output, told, trust_remote_code).run(started)


def _prepare(
    recipe: Recipe,
    model: str | ModelSpec | None,
    registry: Registry,
    seed: int | None,
    device: str,
    allow_overlap: bool,
    fetch_progress: Progress | None,
) -> Prepared:
    arms = build_arms(recipe)
    spec = _spec(recipe, model, registry)
    located = locate(spec, adapter=None, progress=fetch_progress)
    if located.architecture != recipe.architecture:
        raise UsageError(
            f"recipe {recipe.name} trains a {recipe.architecture} model, and {spec.name} is {located.architecture}"
        )
    protected = Protected(read_evaluations(recipe.evaluate, registry))
    directory = recipe.directory or Path()
    # Rows that are evaluated are left out of draws unless overlap is wanted.
    drawn_from = Protected([]) if allow_overlap else protected
    context = DataContext(registry, spec.name, located.weights_sha256, drawn_from, directory)
    examples = build_examples(recipe, context)
    training, development = split_development(examples, recipe, directory)
    training = prepare_data(arms, training, recipe, context)
    overlapping = check_overlap(training, protected)
    if not allow_overlap:
        refuse_overlap(overlapping, len(training))
        refuse_overlap(check_overlap(training, _held_back(development)), len(training))
    return Prepared(
        recipe=recipe,
        located=located,
        training=training,
        development=development,
        overlapping=len(overlapping),
        arms=arms,
        device=resolve_device(device),
        seed=recipe.seed if seed is None else seed,
    )


def _held_back(development: Sequence[Example]) -> Protected:
    return Protected([], [("the development part", example.question or example.prompt) for example in development])


def _spec(recipe: Recipe, model: str | ModelSpec | None, registry: Registry) -> ModelSpec:
    if isinstance(model, ModelSpec):
        return model
    name = model or recipe.model
    if name is None:
        raise UsageError(f"recipe {recipe.name} names no model; give one with --model")
    return registry.model(name)


def versions() -> dict[str, str]:
    """Versions of what trains."""
    return {name: metadata.version(name) for name in VERSIONED}


class _Training:
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

        from halueval.finetune.trainers import best_step

        with _quiet():
            classes = self._classes()
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
            resumed = store.resumable()
            self.progress.begin(self.name, trainer.args.max_steps, resumed or 0)
            try:
                trainer.train(resume_from_checkpoint=None if resumed is None else str(store.path(resumed)))
            except torch.OutOfMemoryError as error:
                raise TrainingError(
                    f"out of memory on {self.prepared.device}: lower batch_size and raise gradient_accumulation by the "
                    "same factor, or take method: lora"
                ) from error
            except TrainingError as error:
                raise TrainingError(f"{error}; {_last_good(store)}; try a lower learning_rate") from error
            finally:
                self.progress.end()
            best = best_step(trainer.state.log_history) if self.recipe.early_stopping else None
            self._write_final(model, store, best)
        return self._record(trainer.state, conductor, store, best, time.perf_counter() - started)

    def _classes(self) -> list[str]:
        if self.recipe.architecture != "classifier":
            return []
        given = sorted({str(e.label) for e in (*self.prepared.training, *self.prepared.development)})
        there = head_classes(self.located.directory)
        return there if there and set(given) <= set(there) else given

    def _store(self, model: Any) -> CheckpointStore:
        weights, state = state_bytes(model)
        return CheckpointStore(self.output, self.recipe.keep_checkpoints, self._card, weights, state)

    def _card(self, step: int, final: bool = False) -> dict[str, Any]:
        """The model card of weights after so many steps."""
        spec, recipe = self.located.spec, self.recipe
        lora = recipe.method == "lora"
        card: dict[str, Any] = {
            "name": self.name if final else f"{self.name}-step-{step}",
            "about": f"{spec.name} fine-tuned by halueval, recipe {recipe.name}, step {step}.",
            "source": _sources(spec) if lora else ".",
            "architecture": recipe.architecture,
            "base": spec.name,
            "license": spec.license,
            "family": spec.family,
            "language": list(spec.language),
            "labels": dict(spec.labels),
            "input_prefix": spec.input_prefix,
            "lineage": {
                "recipe": recipe.name,
                "recipe_hash": recipe.hash,
                "data_sha256": examples_sha256(self.prepared.training),
                "seed": self.prepared.seed,
                "step": step,
                "method": recipe.method,
                "mitigation": [mitigation.name for mitigation in recipe.mitigation],
                "base_weights_sha256": self.located.weights_sha256,
                "versions": versions(),
            },
        }
        if lora:
            card["adapter"] = "."
        return {key: value for key, value in card.items() if value not in ("", [], {})}

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
            from halueval.finetune.trainers import best_step

            def write(directory: Path) -> None:
                save_weights(model, self.located, directory)
                write_state(active, directory)

            best = best_step(active.state.log_history) if stop else None
            store.save(active.state.global_step, write, best=best)
            self.progress.note(f"checkpoint {store.path(active.state.global_step)}")

        trainer.hooks = Hooks(prepared.arms, order, save, recipe)
        return trainer, conductor

    def _write_final(self, model: Any, store: CheckpointStore, best: int | None) -> None:
        """The weights of the last step, or of the best, at the top of the output directory."""
        from halueval.journal import writing_to

        with writing_to(self.output):
            if best is not None:
                for path in sorted(store.path(best).iterdir()):
                    if path.name not in (*_STATE, "halueval.yaml"):
                        shutil.copyfile(path, self.output / path.name)
            else:
                save_weights(model, self.located, self.output)
        store.finish()

    def _record(
        self, state: Any, conductor: Any, store: CheckpointStore, best: int | None, seconds: float
    ) -> FinetuneRecord:
        prepared, recipe = self.prepared, self.recipe
        step = state.global_step if best is None else best
        write_card(self.output, self._card(step, final=True))
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
                "overlapping": prepared.overlapping,
                "losses": losses,
                "development_losses": _development(state.log_history),
                "environment": {"versions": versions(), "device": prepared.device},
                "seconds": round(seconds, 1),
            }
        )


_STATE = ("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", LOG_FILE)


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


def _sources(spec: ModelSpec) -> Any:
    """The base's sources as an adapter's card names them: paths made absolute, for the card stands elsewhere."""
    sources = []
    for source in spec.source:
        entry = source.model_dump(exclude_none=True)
        if not entry["source"].startswith(("hub:", "pypi:")):
            beside = (spec.directory or Path()) / Path(entry["source"]).expanduser()
            entry["source"] = str((beside if beside.exists() else Path(entry["source"])).resolve())
        sources.append(entry)
    return sources


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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers and datasets from drawing bars and hints of their own."""
    from datasets.utils import disable_progress_bars, enable_progress_bars

    from halueval.backends.loading import quiet_transformers

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
