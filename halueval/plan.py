"""What must be asked of a model about a sample, and how the answers come together again.

Requests are the union of what the scorers need. Each has a role (`generation`, `choice:0` …) under which
its answer is found; equal requests of different samples are run once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from halueval.backends.base import Architecture
from halueval.choice_calibration import check_method
from halueval.config import TaskSpec
from halueval.errors import ModelError, UsageError
from halueval.prompt import apply_filters
from halueval.schema import (
    ClassificationRequest,
    ClassificationResponse,
    Draw,
    FailedResponse,
    GenerationRequest,
    GenerationResponse,
    Kind,
    LoglikelihoodRequest,
    LoglikelihoodResponse,
    Outcome,
    OutputType,
    Request,
    Response,
    RollingRequest,
    Sample,
    Score,
    sha256_text,
)
from halueval.scorers.base import Need, Scorer
from halueval.uncertainty.p_true import FALSE, TRUE, bare_question, p_true, p_true_prompt
from halueval.uncertainty.settings import UncertaintySettings

GENERATION, REFERENCE, ROLLING, CLASSIFICATION = "generation", "reference", "rolling", "classification"
DRAW = "draw:"
OPTIONAL = (REFERENCE, DRAW)
"""Roles by how they begin whose failure leaves the answer itself as it is."""

P_TRUE_CUT = "the prompt that asks whether the answer is true exceeds the model's window"


def check_fit(task: TaskSpec, architecture: Architecture, model: str) -> None:
    """Refuse a task that a model of this architecture has no way of doing.

    Raises:
        UsageError: names the task, the model and what would fit.
    """
    if architecture == "classifier" and (task.classifier is None or task.output_type != OutputType.MULTIPLE_CHOICE):
        raise UsageError(
            f"task {task.task} cannot be run with {model}, a model with a classification head: the task has no "
            "'classifier:' settings; use a causal or seq2seq model, or a classification task such as imdb or rte"
        )
    if architecture == "seq2seq" and task.output_type == OutputType.LOGLIKELIHOOD_ROLLING:
        raise UsageError(
            f"task {task.task} measures the likelihood of plain text, which the encoder-decoder {model} does not "
            "define; use a causal model"
        )


def check_uncertainty(task: TaskSpec) -> None:
    """Refuse `--uncertainty` for a task without answers of its own to be unsure of.

    Raises:
        UsageError: names the task and what it is.
    """
    if task.kind != Kind.QA or task.output_type != OutputType.GENERATE_UNTIL:
        raise UsageError(
            f"--uncertainty is for question answering by generation; task {task.task} is of kind {task.kind.value} and "
            f"output type {task.output_type.value}: leave the task or the option out"
        )


def check_baselines(task: TaskSpec, architecture: Architecture, methods: Sequence[str]) -> None:
    """Refuse baselines of calibration that this task or model has none of.

    Raises:
        UsageError: names the task and what it or the model is.
    """
    if methods and task.output_type != OutputType.MULTIPLE_CHOICE:
        raise UsageError(
            f"task {task.task}: --calibration-baselines are of choices, and the task is of output type "
            f"{task.output_type.value}; leave it out"
        )
    if methods and architecture == "classifier":
        raise UsageError(
            f"task {task.task}: --calibration-baselines ask with other prompts, and a model with a classification head "
            "has none; leave it out"
        )


def check_calibration(task: TaskSpec, samples: Sequence[Sample], architecture: Architecture, calibration: str) -> None:
    """Refuse a calibration that this task or model gives no meaning to.

    Raises:
        UsageError: names the task, the calibration and what would fit.
    """
    check_method(calibration)
    if calibration == "none":
        return
    if task.output_type != OutputType.MULTIPLE_CHOICE:
        raise UsageError(
            f"task {task.task}: --calibration {calibration} is for choices, and the task is of output type "
            f"{task.output_type.value}; leave it out"
        )
    if architecture == "classifier" and calibration != "batch":
        raise UsageError(
            f"task {task.task}: --calibration {calibration} changes the prompt, which a model with a classification "
            "head does not have; use batch"
        )
    if calibration == "batch" and len({sample.choices for sample in samples}) > 1:
        raise UsageError(
            f"task {task.task}: --calibration batch needs the same choices for every sample, and they differ; use "
            "contextual or pmi"
        )


def available_needs(task: TaskSpec, architecture: Architecture) -> frozenset[Need]:
    """What scorers can be given for this task by a model of this architecture."""
    if task.output_type == OutputType.LOGLIKELIHOOD_ROLLING:
        return frozenset({"rolling"})
    needs: set[Need] = {"source"} if task.doc_to_source else set()
    if task.output_type == OutputType.MULTIPLE_CHOICE:
        needs.add("choices")
        if architecture != "classifier":  # the first right choice is scored given the prompt, like a reference
            needs |= {"references", "reference"}
    else:
        needs |= {"response", "references", "reference"}
    return frozenset(needs)


def requests_for(
    task: TaskSpec,
    sample: Sample,
    needs: frozenset[Need],
    architecture: Architecture,
    *,
    templated: bool,
    seed: int,
    uncertainty: UncertaintySettings | None = None,
) -> dict[str, Request]:
    """The requests of one sample by role.

    Args:
        task: the task.
        sample: the sample.
        needs: union of the scorers' needs.
        architecture: of the model.
        templated: prompts are wrapped in a chat template, which ends in a line break of its own; the
            delimiter between prompt and answer is left out then.
        seed: of the run; each sampled generation derives its own from it and the prompt.
        uncertainty: asks for entropies of the answer's tokens, and for further draws.
    """
    delimiter = "" if templated else task.target_delimiter
    if architecture == "classifier":
        assert sample.classifier_input is not None
        return {CLASSIFICATION: ClassificationRequest(*sample.classifier_input)}
    if task.output_type == OutputType.LOGLIKELIHOOD_ROLLING:
        return {ROLLING: RollingRequest(sample.target)}
    if task.output_type == OutputType.MULTIPLE_CHOICE:
        return {
            f"{name}:{i}": LoglikelihoodRequest(prompt, delimiter + choice)
            for name, prompt in {"choice": sample.prompt, **sample.baselines}.items()
            for i, choice in enumerate(sample.choices)
        }
    settings = task.generation_kwargs
    sampling = settings.do_sample and settings.temperature > 0
    requests: dict[str, Request] = {
        GENERATION: GenerationRequest(
            sample.prompt,
            tuple(settings.until or [task.fewshot_delimiter]),
            settings.limit,
            temperature=settings.temperature if sampling else 0.0,
            top_k=settings.top_k if sampling else 0,
            top_p=settings.top_p if sampling else 1.0,
            seed=_seed(f"{seed}:{sample.prompt_hash}") if sampling else 0,
            entropies=uncertainty is not None,
        )
    }
    if uncertainty is not None:
        for i in range(uncertainty.num_draws):
            requests[f"{DRAW}{i}"] = GenerationRequest(
                sample.prompt,
                tuple(settings.until or [task.fewshot_delimiter]),
                settings.limit,
                temperature=uncertainty.temperature,
                seed=_seed(f"{seed}:{sample.prompt_hash}:{DRAW}{i}"),
            )
    if "reference" in needs and sample.references and sample.references[0]:
        requests[REFERENCE] = LoglikelihoodRequest(sample.prompt, delimiter + sample.references[0])
    return requests


def _seed(name: str) -> int:
    return int(sha256_text(name)[:15], 16)


def p_true_requests(sample: Sample, outcome: Outcome, *, templated: bool) -> dict[str, Request]:
    """What is asked about an answer once it and its draws are known; nothing where there is no answer.

    Args:
        sample: the sample.
        outcome: its answer and draws.
        templated: as in `requests_for`.
    """
    if outcome.failure is not None or not (outcome.response or "").strip():
        return {}
    prompt = p_true_prompt(
        bare_question(sample.question), outcome.response or "", [draw.text or "" for draw in outcome.draws]
    )
    space = "" if templated else " "
    return {letter: LoglikelihoodRequest(prompt, space + letter) for letter in (TRUE, FALSE)}


def p_true_of(responses: Mapping[str, Response]) -> Score:
    """P(True) from the responses to `p_true_requests`, by role.

    None of a prompt that was cut: it is cut from the left, so the question is the first to go.
    """
    if not responses:
        return Score.unscored("no answer to ask about")
    failed = next((r.reason for r in responses.values() if isinstance(r, FailedResponse)), None)
    if failed is not None:
        return Score.unscored(failed)
    answers = [_loglikelihood(responses[letter]) for letter in (TRUE, FALSE)]
    if any(answer.num_truncated for answer in answers):
        return Score.unscored(P_TRUE_CUT)
    return Score(p_true(*(answer.loglikelihood for answer in answers)))


def union_of_needs(scorers: Iterable[Scorer]) -> frozenset[Need]:
    """Everything that any of the scorers needs."""
    return frozenset(need for scorer in scorers for need in scorer.needs)


def assemble(task: TaskSpec, sample: Sample, responses: Mapping[str, Response], labels: Mapping[str, str]) -> Outcome:
    """Bring the answers of one sample together.

    Args:
        task: the task, for its filters and its classifier labels.
        sample: the sample.
        responses: by role.
        labels: from the model card, a head's label names to words.

    Raises:
        ModelError: a classification head whose labels are not the task's.
    """
    failures = [
        r.reason for role, r in responses.items() if isinstance(r, FailedResponse) and not role.startswith(OPTIONAL)
    ]
    if failures:
        return Outcome(failure=failures[0])
    cut = max((r.num_truncated for r in responses.values() if not isinstance(r, FailedResponse)), default=0)
    if CLASSIFICATION in responses:
        answer = responses[CLASSIFICATION]
        assert isinstance(answer, ClassificationResponse)
        return Outcome(loglikelihoods=_choice_logprobs(task, answer.logprobs, labels), num_truncated=cut)
    if ROLLING in responses:
        return Outcome(rolling=_loglikelihood(responses[ROLLING]), num_truncated=cut)
    if GENERATION not in responses:
        answers = [_loglikelihood(responses[f"choice:{i}"]) for i in range(len(sample.choices))]
        values = tuple(answer.loglikelihood for answer in answers)
        baselines = {
            name: tuple(_loglikelihood(responses[f"{name}:{i}"]).loglikelihood for i in range(len(values)))
            for name in sample.baselines
        }
        return Outcome(loglikelihoods=values, reference=answers[sample.gold[0]], num_truncated=cut, baselines=baselines)
    generated = responses[GENERATION]
    assert isinstance(generated, GenerationResponse)
    reference = responses.get(REFERENCE)
    return Outcome(
        response=apply_filters(task, generated.text),
        num_response_tokens=generated.num_tokens,
        finish_reason=generated.finish_reason,
        response_loglikelihood=generated.loglikelihood,
        min_logprob=generated.min_logprob,
        mean_entropy=generated.mean_entropy,
        max_entropy=generated.max_entropy,
        draws=tuple(_draw(task, response) for role, response in responses.items() if role.startswith(DRAW)),
        reference=reference if isinstance(reference, LoglikelihoodResponse) else None,
        num_truncated=cut,
    )


def _draw(task: TaskSpec, response: Response) -> Draw:
    if isinstance(response, FailedResponse):
        return Draw(None, reason=response.reason)
    assert isinstance(response, GenerationResponse)
    return Draw(apply_filters(task, response.text), response.loglikelihood, response.num_tokens)


def _loglikelihood(response: Response) -> LoglikelihoodResponse:
    assert isinstance(response, LoglikelihoodResponse)
    return response


def _choice_logprobs(task: TaskSpec, logprobs: Mapping[str, float], labels: Mapping[str, str]) -> tuple[float, ...]:
    """Log-probability of each choice from the classes of a head, matched by the labels' names."""
    assert task.classifier is not None
    by_name = {labels.get(name, name).casefold(): value for name, value in logprobs.items()}
    values = []
    for names in task.classifier.labels:
        found = [by_name[name.casefold()] for name in names if name.casefold() in by_name]
        if not found:
            raise ModelError(
                f"task {task.task}: none of the labels {_quoted(names)} is a class of the model "
                f"({_quoted(list(logprobs))}); map them under 'labels:' in the model card"
            )
        values.append(found[0])
    return tuple(values)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
