"""Options that several commands take: one name, type and default each, the same wherever they stand.

Where commands mean slightly different things by an option, its help is theirs and everything else is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from halueval.source import Progress

Command = TypeVar("Command", bound=Callable[..., Any] | click.Command)


class Decorator(Protocol):
    """Adds an option to a command, or to a function that becomes one."""

    def __call__(self, command: Command, /) -> Command:
        """The command with its option."""


TRAINING_SEED = click.IntRange(min=0, max=2**32 - 1)
"""What the trainers take."""


class BatchSize(click.ParamType[int | None]):
    """`auto`, or a positive whole number."""

    name = "auto|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """None for `auto`."""
        if value in (None, "auto"):
            return None
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            self.fail(f"{value!r} is neither 'auto' nor a whole number above 0", param, ctx)
        return number


def limit(about: str) -> Decorator:
    """`--limit`: how much of the data."""
    return click.option("--limit", "-L", type=click.IntRange(min=1), help=about)


def num_fewshot(about: str) -> Decorator:
    """`--num-fewshot`; None for the task's own number."""
    return click.option("--num-fewshot", "-f", type=click.IntRange(min=0), help=about)


def seed(about: str) -> Decorator:
    """`--seed` of everything random but training."""
    return click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=about)


def n_resamples(default: int, about: str) -> Decorator:
    """`--n-resamples`."""
    return click.option("--n-resamples", type=click.IntRange(min=100), default=default, show_default=True, help=about)


def alpha(command: Command) -> Command:
    """`--alpha`."""
    return click.option(
        "--alpha",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.05,
        show_default=True,
        help="Level of the tests; intervals are 95 % whatever it is.",
    )(command)


def batching(command: Command) -> Command:
    """`--batch-size` and `--max-tokens-per-batch`."""
    size = click.option(
        "--batch-size", "-b", type=BatchSize(), default="auto", show_default=True, help="Requests a batch."
    )
    tokens = click.option(
        "--max-tokens-per-batch", type=click.IntRange(min=16), help="Padded tokens a batch [default: from memory]."
    )
    return size(tokens(command))


def device(about: str = "auto, cpu, cuda, cuda:N or mps.") -> Decorator:
    """`--device`."""
    return click.option("--device", default="auto", show_default=True, help=about)


def training_device(command: Command) -> Command:
    """`--device` of a training, which takes the first of several."""
    return device("auto, cpu, cuda or mps.")(command)


def dtype(about: str = "Precision of the weights.") -> Decorator:
    """`--dtype`."""
    return click.option(
        "--dtype",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        show_default=True,
        help=about,
    )


def loading(given: Mapping[str, Any], progress: Progress | None) -> dict[str, Any]:
    """The fields of `api.Loading`, which `api.Options` and `knowledge.ProbeOptions` extend."""
    names = ("device", "dtype", "adapter", "data", "include_path", "trust_remote_code")
    return {name: given[name] for name in names} | {"progress": progress}


def adapter(command: Command) -> Command:
    """`--adapter`."""
    return click.option(
        "--adapter", type=click.Path(path_type=Path), help="PEFT adapter directory on top of the model."
    )(command)


def data(about: str) -> Decorator:
    """`--data`: a file in place of a task's data set."""
    return click.option("--data", type=click.Path(path_type=Path), help=about)


def apply_chat_template(command: Command) -> Command:
    """`--apply-chat-template`."""
    return click.option("--apply-chat-template", is_flag=True, help="Wrap prompts in the model's chat template.")(
        command
    )


def include_path(about: str) -> Decorator:
    """`--include-path`, repeatable."""
    return click.option("--include-path", multiple=True, type=click.Path(path_type=Path, file_okay=False), help=about)


def trust_remote_code(command: Command) -> Command:
    """`--trust-remote-code`."""
    return click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with a model.")(command)


def allow_overlap(command: Command) -> Command:
    """`--allow-overlap`."""
    return click.option("--allow-overlap", is_flag=True, help="Train although items are also evaluated.")(command)


def fresh(command: Command) -> Command:
    """`--fresh`."""
    return click.option("--fresh", is_flag=True, help="Start over instead of going on from what is stored.")(command)


def results(about: str) -> Decorator:
    """`--results`: where runs are read."""
    return click.option(
        "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help=about
    )


def output(about: str, *, default: Path | None = None) -> Decorator:
    """`--output`: a directory; without a default the command chooses one."""
    kept: dict[str, Any] = {} if default is None else {"default": default, "show_default": True}
    return click.option("--output", "-o", type=click.Path(path_type=Path), help=about, **kept)


def written(kind: str, about: str) -> Decorator:
    """An option of this name that takes a file to write one form of the result to; handed on as `KIND_to`."""
    return click.option(f"--{kind}", f"{kind}_to", metavar="FILE", help=about)


def as_json(about: str) -> Decorator:
    """`--json` as a flag: the record on standard output."""
    return click.option("--json", "as_json", is_flag=True, help=about)


def quiet(about: str = "No progress and no notes; errors only.") -> Decorator:
    """`--quiet`."""
    return click.option("--quiet", "-q", is_flag=True, help=about)
