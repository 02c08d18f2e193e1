"""The `halueval` command: commands are imported when called, errors become one line and an exit code."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from types import FrameType

import click

from halueval import __version__
from halueval.errors import HaluevalError

COMMANDS = {
    "run": "Run models on tasks and store figures with their uncertainty.",
    "diff": "Compare a candidate with its base, sample by sample.",
    "probe": "Class facts by how well a model knows them, before it is fine-tuned.",
    "finetune": "Fine-tune a model by a recipe, resumably.",
    "sweep": "Compare mitigations of fine-tuning at a matched score.",
    "leaderboard": "Rank models by their runs, in Markdown, JSON and CSV.",
    "explain": "Show what goes together with induced hallucination.",
    "validate-scorer": "Hold consistency scorers against human annotations.",
    "calibrate": "Measure how far a run's confidences can be trusted, before and after repair.",
    "pull": "Fetch models and data ahead of time.",
    "tasks": "List, show and check tasks.",
    "models": "List, show and check model cards.",
    "scorers": "List and explain the figures.",
}


class LazyGroup(click.Group):
    """Group whose commands live in `halueval.cli.NAME` and are imported only when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of a first session."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"halueval.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the summaries above, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Unknown commands are answered with the nearest one."""
        if args and not args[0].startswith("-") and args[0].replace("_", "-") not in COMMANDS:
            from halueval.errors import nearest

            ctx.fail(f"no command {args[0]!r}{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    epilog="\b\nExample, on the embedded model and data:\n"
    "  halueval run --model smollm2-135m-instruct --task facts_qa --limit 100",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
)
@click.version_option(__version__, prog_name="halueval")
def cli() -> None:
    """Measure whether fine-tuning made a language model hallucinate more."""


def _terminated(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: exit 0 done, 1 a gate failed, 2 bad usage or input, 3 incomplete."""
    signal.signal(signal.SIGTERM, _terminated)
    # What transformers remarks on (a text longer than the window …) is counted and told in our own words.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logger = logging.getLogger("halueval")
    logger.handlers = [logging.StreamHandler(sys.stderr)]
    logger.setLevel(logging.INFO)
    try:
        code = cli.main(standalone_mode=False)
    except HaluevalError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        # One line: what is wrong. Usage stands in --help.
        _fail(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; what was finished is kept, and the same command goes on from there", 3)
    except BrokenPipeError:
        # The reader of a pipe went away (`| head`); nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    line = " ".join(message.split())
    click.echo(f"halueval: {line}", err=True)
    sys.exit(code)
