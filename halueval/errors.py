"""One family of errors: what a user can mend, and what stopped a run half-way.

Every message is a single line that names what is wrong, where, and what would be right. The command
line prints it as it is and exits with `exit_code`; no traceback is ever shown for these.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HaluevalError(Exception):
    """Base of every error that halueval raises on purpose."""

    exit_code = 2


class UsageError(HaluevalError):
    """A name, option or combination of options that cannot be right."""


class ConfigError(HaluevalError):
    """A task or model card that cannot be read or does not fit its schema."""


class DataError(HaluevalError):
    """A data file or data set whose content does not fit the task."""


class SourceError(HaluevalError):
    """A source (hub, path, package) that could not be had, or whose digest is wrong."""


class ModelError(HaluevalError):
    """Weights, tokenizer or adapter that cannot be used."""


class TrainingError(HaluevalError):
    """A fine-tuning that cannot go on: its loss is no number any more, say."""


class IncompleteError(HaluevalError):
    """The run stopped half-way; what was finished is kept and the same command goes on from there."""

    exit_code = 3


NEAR = 0.66
"""Least share of letters in common (`difflib`'s ratio) at which a name is taken for a slip of the pen: `rum` for `run`
and `alfa` for `alpha` have two thirds. At difflib's own .6, `bogus` stands for `about` and `other` for `order`."""

MOST_SHOWN = 8


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return a hint naming the nearest valid choices, to be appended to an error line.

    Args:
        name: that is not among the choices.
        choices: what would be right.

    Returns:
        `"; did you mean 'a' or 'b'?"`, or the first few choices when nothing is close, or `""` when
        there are no choices at all.
    """
    known = sorted(set(choices))
    close = difflib.get_close_matches(name, known, n=2, cutoff=NEAR)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not known:
        return ""
    shown = ", ".join(known[:MOST_SHOWN]) + (", …" if len(known) > MOST_SHOWN else "")
    return f"; choose from: {shown}"
