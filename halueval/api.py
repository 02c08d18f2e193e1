r"""The Python API: what the command line does, as functions.

On a tiny random model and a task of one row, so that it runs anywhere (a real one is
`halueval.run("smollm2-135m-instruct", "facts_qa", limit=100)`):

>>> import pathlib, tempfile, torch
>>> import halueval
>>> _ = torch.manual_seed(0)
>>> from tokenizers import Tokenizer, models
>>> from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
>>> here = pathlib.Path(tempfile.mkdtemp())
>>> letters = {c: i for i, c in enumerate("<>abcdefghijklmnopqrstuvwxyzFPR :?")}
>>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(letters, [])), eos_token="<")
>>> model = GPT2LMHeadModel(GPT2Config(vocab_size=len(letters), n_embd=8, n_layer=1, n_head=1, n_positions=64))
>>> for part in (model, tokenizer):
...     _ = part.save_pretrained(here / "tiny")
>>> _ = (here / "rows.jsonl").write_text('{"q": "capital of France?", "a": "Paris"}')
>>> _ = (here / "one.yaml").write_text(
...     "task: one\noutput_type: generate_until\nsource: rows.jsonl\n"
...     "doc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\ngeneration_kwargs: {max_gen_toks: 4}\n"
... )
>>> (run,) = halueval.run(str(here / "tiny"), str(here / "one.yaml"), output=here / "results")
>>> run.metrics.loc["exact_match", "value"]
np.float64(0.0)
>>> run.samples[["target", "state"]].to_dict("records")
[{'target': 'Paris', 'state': 'hallucinated'}]
>>> halueval.load_run(run.path).run_id == run.run_id
True
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from halueval.backends.base import Architecture, ChatSettings
from halueval.backends.devices import resolve_device, resolve_dtype
from halueval.backends.loading import LocatedModel, locate
from halueval.checking import checkers_of
from halueval.choice_calibration import check_method, methods_of
from halueval.config import TaskSpec
from halueval.dataset import LoadedData, load_data
from halueval.errors import IncompleteError, UsageError
from halueval.job import ModelHandle, Observer, Prepared, RunSettings, SilentObserver
from halueval.plan import available_needs, check_fit, check_uncertainty
from halueval.registry import Registry
from halueval.runner import companions, prepare, run_tasks
from halueval.scorers.base import Scorer
from halueval.scorers.catalog import create, create_from_spec, default_scorers
from halueval.source import Progress
from halueval.store import Run, load_run
from halueval.uncertainty.settings import make_settings

if TYPE_CHECKING:
    from halueval.backends.base import Backend

__all__ = ["Run", "load_run", "run"]

logger = logging.getLogger("halueval")


@dataclass(frozen=True, slots=True)
class Loading:
    """How models and data are loaded."""

    device: str = "auto"
    dtype: str = "auto"
    adapter: Path | None = None
    data: Path | None = None
    include_path: tuple[Path, ...] = ()
    trust_remote_code: bool = False
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Options(Loading):
    """Everything that `halueval run` can be told, apart from models and tasks."""

    settings: RunSettings = field(default_factory=RunSettings)
    uncertainty: tuple[int, float] | None = None  # draws and their temperature
    uncertainty_nli: str | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    """A task with its data and scorers, checked before any model is touched."""

    task: TaskSpec
    data: LoadedData
    limit: int | None


def run(
    model: str | Sequence[str],
    task: str | Sequence[str],
    *,
    limit: int | None = None,
    num_fewshot: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    max_tokens_per_batch: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    adapter: str | Path | None = None,
    data: str | Path | None = None,
    apply_chat_template: bool = False,
    system_instruction: str | None = None,
    calibration: str = "none",
    calibration_baselines: str | Sequence[str] = (),
    known_class: str | Path | None = None,
    include_path: Sequence[str | Path] = (),
    fresh: bool = False,
    uncertainty: bool = False,
    num_draws: int = 10,
    draw_temperature: float = 1.0,
    uncertainty_nli: str | None = None,
    output: str | Path = "results",
    trust_remote_code: bool = False,
    observer: Observer | None = None,
) -> list[Run]:
    """Run models on tasks and return the finished runs, in the order models × tasks.

    A run that is already complete under `output` is read, not repeated; one that was interrupted goes on.

    Args:
        model: card name, local directory, or hub id; or several.
        task: task name, group, tag, or YAML path; or several.
        limit: use the first so many rows of each task.
        num_fewshot: examples in the prompt; None means what the task says.
        seed: of few-shot draws, sampling and the bootstrap.
        batch_size: requests a batch; None packs by tokens.
        max_tokens_per_batch: padded tokens a batch; None means from the device's memory.
        device: `auto`, `cpu`, `cuda`, `cuda:0`, `mps`.
        dtype: `auto`, `float32`, `bfloat16`, `float16`.
        adapter: PEFT adapter directory put on the model.
        data: file used in place of the tasks' data set.
        apply_chat_template: wrap prompts in the model's chat template.
        system_instruction: system message of the chat template.
        calibration: of multiple-choice answers: none, contextual, domain, pmi or batch (`choice_calibration`).
        calibration_baselines: methods of calibration (contextual, domain, pmi, or all) whose baselines are asked and
            stored for `calibrate`; they change no answer.
        known_class: labels of `halueval probe`, of this model or of its base, as a stratum of the samples.
        include_path: directories with further tasks and models.
        fresh: start over instead of going on.
        uncertainty: draw further answers, and measure how sure the model is of its own (generated QA only).
        num_draws: further answers to each question.
        draw_temperature: at which they are drawn, above 0.
        uncertainty_nli: directory, hub id or card of an NLI model, for the figures that compare meanings by inference.
        output: directory of the results.
        trust_remote_code: run Python code that comes with a model.
        observer: is told of the progress.

    Raises:
        HaluevalError: one of its subclasses, with one clear line.
    """
    settings = RunSettings(
        output=Path(output),
        limit=limit,
        num_fewshot=num_fewshot,
        seed=seed,
        batch_size=batch_size,
        max_tokens_per_batch=max_tokens_per_batch,
        chat=ChatSettings(apply_chat_template, system_instruction),
        fresh=fresh,
        calibration=calibration,
        baselines=methods_of(calibration_baselines),
        known_class=None if known_class is None else Path(known_class),
    )
    options = Options(
        settings=settings,
        device=device,
        dtype=dtype,
        adapter=None if adapter is None else Path(adapter),
        data=None if data is None else Path(data),
        include_path=tuple(Path(p) for p in include_path),
        trust_remote_code=trust_remote_code,
        uncertainty=(num_draws, draw_temperature) if uncertainty else None,
        uncertainty_nli=uncertainty_nli,
    )
    models = [model] if isinstance(model, str) else list(model)
    tasks = [task] if isinstance(task, str) else list(task)
    return [r for r in iter_runs(models, tasks, options, observer or SilentObserver()) if r is not None]


def iter_runs(
    models: Sequence[str], tasks: Sequence[str], options: Options, observer: Observer
) -> Iterator[Run | None]:
    """Yield each run as it is finished (None for `predict_only`).

    Names, files, data and options are all checked before a model is loaded or anything is written. A
    task that cannot be finished (memory) does not stop the others; the error comes at the end.
    """
    registry = Registry(options.include_path)
    specs = [registry.model(name) for name in models]
    chosen = registry.expand(tasks)
    settings = replace(options.settings, device=options.device)
    if settings.chat.system_instruction is not None and not settings.chat.apply:
        raise UsageError("--system-instruction needs --apply-chat-template: without a template there is no system turn")
    check_method(settings.calibration)
    check_writable(settings.output)
    if options.uncertainty is not None:
        for task, _ in chosen:
            check_uncertainty(task)
        asked = make_settings(*options.uncertainty, nli=options.uncertainty_nli, device=options.device)
        settings = replace(settings, uncertainty=asked)
    elif options.uncertainty_nli is not None:
        raise UsageError("an NLI model for uncertainty was named, but the run is not asked for uncertainty")
    jobs = []
    for task, limit in chosen:
        if len(task.filter_list) > 1:
            used, *others = (pipeline.name for pipeline in task.filter_list)
            rest = ", ".join(others)
            logger.warning("task %s: a sample has one answer: filter %s is used, not %s", task.task, used, rest)
        data = load_data(task, base=task.directory or Path(), data_file=options.data, progress=options.progress)
        jobs.append(_Job(task, data, settings.limit if settings.limit is not None else limit))
        scorers_for(task, "causal", options.trust_remote_code)
    unfinished: list[IncompleteError] = []
    for spec in specs:
        located = locate(spec, adapter=options.adapter, progress=options.progress)
        for job in jobs:
            check_fit(job.task, located.architecture, spec.name)
        handle = open_handle(located, options, settings.chat)
        ready = []
        for job in jobs:
            scorers = scorers_for(job.task, located.architecture, options.trust_remote_code)
            limited = replace(settings, limit=job.limit)
            ready.append(prepare(job.task, job.data, scorers, handle.identity, limited))
        together = companions(ready) if located.architecture == "causal" else [[i] for i in range(len(ready))]
        for outcome in _in_order(together, ready, handle, settings, observer):
            if isinstance(outcome, IncompleteError):
                logger.error("%s", outcome)
                unfinished.append(outcome)
            else:
                yield outcome
    if unfinished:
        raise IncompleteError(f"{len(unfinished)} of {len(specs) * len(jobs)} runs are incomplete: {unfinished[0]}")


def _in_order(
    together: Sequence[Sequence[int]],
    ready: Sequence[Prepared],
    handle: ModelHandle,
    settings: RunSettings,
    observer: Observer,
) -> Iterator[Run | IncompleteError | None]:
    """Outcomes of the tasks in their own order, whichever are run together."""
    known: dict[int, Run | IncompleteError | None] = {}
    shown = 0
    for members in together:
        outcomes = run_tasks([ready[i] for i in members], handle, settings, observer)
        for i, outcome in zip(members, outcomes, strict=True):
            known[i] = outcome
            while shown in known:
                yield known.pop(shown)
                shown += 1


def open_handle(located: LocatedModel, options: Loading, chat: ChatSettings) -> ModelHandle:
    """A handle that loads the model at the first need.

    Raises:
        UsageError: unknown device or dtype, or a chat template asked of a model that has none.
    """
    device = resolve_device(options.device)
    dtype = resolve_dtype(options.dtype, located.spec, device)
    identity = located.identity(dtype)
    if chat.apply and identity.chat_template_sha256 is None:
        raise UsageError(f"model {identity.name} has no chat template; leave out --apply-chat-template")

    def load_backend() -> Backend:
        from halueval.backends.huggingface import HuggingFaceBackend

        return HuggingFaceBackend(
            located, device=device, dtype=dtype, chat=chat, trust_remote_code=options.trust_remote_code
        )

    return ModelHandle(identity, load_backend, located.spec.labels)


def scorers_for(task: TaskSpec, architecture: Architecture, trust_remote_code: bool = False) -> list[Scorer]:
    """The scorers of a task: its own `metric_list` first, then the defaults of its kind.

    A default that the model's architecture cannot feed is left out (a classification head has no
    likelihood of a reference); one that the task itself names must be feedable.

    Raises:
        UsageError: unknown figure, or one that this task cannot be measured by; a consistency scorer that there is
            not, or options that it cannot take.
    """
    available = available_needs(task, architecture)
    chosen: dict[str, Scorer] = {}
    for metric in task.metric_list:
        scorer = create_from_spec(metric, task=task, trust_remote_code=trust_remote_code)
        lacking = sorted(scorer.needs - available)
        if lacking:
            raise UsageError(
                f"task {task.task}: metric {metric.metric!r} needs {', '.join(lacking)}, which a task of output type "
                f"{task.output_type.value} {'without doc_to_source ' if 'source' in lacking else ''}does not give"
            )
        chosen[scorer.name] = scorer
    for name in default_scorers(task.kind, task.output_type, task.doc_to_source is not None):
        scorer = create(name, language=task.language, task=task)
        if name not in chosen and scorer.needs <= available:
            chosen[name] = scorer
    found = list(chosen.values())
    try:
        checkers_of(found)  # built, so that a wrong option is told now; models are loaded when a response is checked
    except UsageError as error:
        raise UsageError(f"task {task.task}: {error}") from error
    return found


def check_writable(output: Path) -> None:
    """Refuse an output directory that cannot be written, before hours are spent.

    Raises:
        UsageError: names the directory and what is wrong with it.
    """
    existing = output
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise UsageError(f"--output {output}: {existing} is a file, not a directory")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UsageError(
            f"--output {output}: cannot write in {existing}: {error.strerror}; choose another directory"
        ) from error
