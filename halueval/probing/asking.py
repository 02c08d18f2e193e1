"""From the facts of a task to requests: the same question after other examples, answered greedily and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from halueval import plan
from halueval.backends.base import ModelIdentity
from halueval.config import TaskSpec
from halueval.dataset import LoadedData
from halueval.errors import UsageError
from halueval.job import Prepared
from halueval.journal import request_key
from halueval.known import LABELS_SCHEMA_VERSION, PROBE_PREFIX
from halueval.probing.settings import ProbeSettings
from halueval.prompt import build_samples
from halueval.registry import task_hash
from halueval.schema import GenerationRequest, Kind, OutputType, Request, Sample, canonical_json, sha256_text

GREEDY, DRAW = "greedy", "draw"


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe made ready.

    Attributes:
        prepared: requests and journal, for the runner's inference; a sample of it is a fact with one prompt.
        facts: the facts, each as the sample of its first prompt.
        asked: for each fact its numbers in `prepared.samples`: one a prompt, the fresh prompt last.
    """

    prepared: Prepared
    facts: Sequence[Sample]
    asked: Sequence[Sequence[int]]


def check_probe(task: TaskSpec) -> None:
    """Refuse a task whose rows are no facts with an answer to generate.

    Raises:
        UsageError: names the task and what it is.
    """
    if task.kind != Kind.QA or task.output_type != OutputType.GENERATE_UNTIL or task.variants:
        what = (
            "has variants of its rows" if task.variants else f"is of kind {task.kind.value}, {task.output_type.value}"
        )
        raise UsageError(
            f"task {task.task}: a probe asks for facts and generates answers, and this task {what}; try facts_qa"
        )


def prepare_probe(task: TaskSpec, data: LoadedData, model: ModelIdentity, settings: ProbeSettings) -> Probe:
    """Build the prompts and requests of a probe, and its identity.

    Raises:
        UsageError: a task that is no set of facts, a model that does not generate, or no examples to vary.
        DataError: a row that does not fit the task.
    """
    settings.check()
    check_probe(task)
    plan.check_fit(task, model.architecture, model.name)
    if model.architecture == "classifier":
        raise UsageError(f"model {model.name} has a classification head and generates no answers")
    shots = task.num_fewshot if settings.num_fewshot is None else settings.num_fewshot
    if shots < 1:
        raise UsageError(
            f"task {task.task}: prompts differ in their examples, so a probe needs --num-fewshot 1 or more"
        )
    samples: list[Sample] = []
    for number in range(settings.num_prompts + 1):
        seed = settings.prompt_seed(number)
        samples += build_samples(task, data, num_fewshot=shots, seed=seed, limit=settings.limit)
    n = len(samples) // (settings.num_prompts + 1)
    requests: dict[str, Request] = {}
    roles: list[Mapping[str, str]] = []
    for i, sample in enumerate(samples):
        number = i // n
        wanted = _requests(task, sample, settings, number, draws=number < settings.num_prompts)
        keyed = {role: request_key(request) for role, request in wanted.items()}
        requests.update((keyed[role], request) for role, request in wanted.items())
        roles.append(keyed)
    keys = sorted(requests)
    identity = _identity(task, data, model, settings, shots, keys)
    name = f"{PROBE_PREFIX}{sha256_text(canonical_json(identity))[:12]}"
    home = settings.output / model.name / task.task
    prepared = Prepared(
        task=task,
        data=data,
        samples=samples,
        scorers=[],
        requests=[requests[key] for key in keys],
        keys=keys,
        roles=roles,
        identity=identity,
        directory=home / name,
        journal=home / "responses" / f"{name}.jsonl",
        num_fewshot=shots,
        prepare_seconds=0.0,
    )
    asked = [[number * n + i for number in range(settings.num_prompts + 1)] for i in range(n)]
    return Probe(prepared, samples[:n], asked)


def _requests(
    task: TaskSpec, sample: Sample, settings: ProbeSettings, number: int, *, draws: bool
) -> dict[str, GenerationRequest]:
    kwargs = task.generation_kwargs
    greedy = GenerationRequest(sample.prompt, tuple(kwargs.until or [task.fewshot_delimiter]), kwargs.limit)
    out = {GREEDY: greedy}
    for i in range(settings.num_draws if draws else 0):
        # A draw belongs to the fact and its prompt, never to what else is asked.
        seed = int(sha256_text(f"probe:{settings.seed}:{number}:{sample.prompt_hash}:{i}")[:15], 16)
        out[f"{DRAW}{i}"] = replace(greedy, temperature=settings.temperature, top_k=settings.top_k, seed=seed)
    return out


def _identity(
    task: TaskSpec,
    data: LoadedData,
    model: ModelIdentity,
    settings: ProbeSettings,
    shots: int,
    keys: Sequence[str],
) -> dict[str, Any]:
    system = settings.chat.system_instruction
    return {
        "labels_schema_version": LABELS_SCHEMA_VERSION,
        "weights_sha256": model.weights_sha256,
        "adapter_sha256": model.adapter_sha256,
        "tokenizer_sha256": model.tokenizer_sha256,
        "dtype": model.dtype,
        "apply_chat_template": settings.chat.apply,
        "system_instruction_sha256": None if system is None else sha256_text(system),
        "task": task.task,
        "task_hash": task_hash(task),
        "data_sha256": data.sha256,
        "requests_sha256": sha256_text(canonical_json(list(keys))),
        **settings.described(shots),
    }
