"""The steps of a task's `filter_list`, which cut the answer out of a response."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import regex

from halueval.errors import ConfigError

if TYPE_CHECKING:
    from halueval.config import FilterStep, TaskSpec

FILTER_SECONDS = 2.0
"""Time limit of one regular expression on one response."""

_REGEX_DEFAULT = r"#### (\-?[0-9\.\,]+)"
_REGEX_OPTIONS = {"regex_pattern", "group_select", "fallback"}

_log = logging.getLogger("halueval")


def apply_filters(task: TaskSpec, response: str) -> str | None:
    """Cut the answer out of a response by the task's `filter_list`.

    Returns:
        The answer, or None where a pattern matched nothing: the response is unparsable then, whatever the
        card's `fallback` says, because a fallback text would be scored as if the model had written it.
    """
    if not task.filter_list:
        return response
    text: str | None = response
    for step in task.filter_list[0].filter:
        if text is None:
            return None
        text = _apply(step, text)
    return text


def _apply(step: FilterStep, text: str) -> str | None:
    match step.function:
        case "remove_whitespace":
            return text.strip()
        case "lowercase":
            return text.lower()
        case "uppercase":
            return text.upper()
        case "first_line":
            return text.strip().split("\n", 1)[0].strip()
        case "regex":
            return _extract(text, step.options)
        case "take_first":
            return text  # There is one response a sample.


def _extract(text: str, options: Mapping[str, Any]) -> str | None:
    """The harness's rule: match number `group_select`, of it the first group that matched something."""
    pattern = _compiled(options.get("regex_pattern", _REGEX_DEFAULT))
    try:
        matches = pattern.findall(text, timeout=FILTER_SECONDS)
    except TimeoutError:
        _log.warning(
            "filter %r took more than %g s on a response; counted as unparsable", pattern.pattern, FILTER_SECONDS
        )
        return None
    position = int(options.get("group_select", 0))
    if not -len(matches) <= position < len(matches):
        return None
    found = matches[position]
    if isinstance(found, tuple):
        found = next((group for group in found if group), None)
    return None if found is None else str(found).strip()


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def check_filter(step: FilterStep, where: str) -> None:
    """Check one step of a `filter_list`.

    Raises:
        ConfigError: an option that the step does not have, or a pattern that is none.
    """
    allowed = _REGEX_OPTIONS if step.function == "regex" else set()
    for option in sorted(set(step.options) - allowed):
        raise ConfigError(f"{where}: {step.function} has no option {option!r}")
    pattern, select = step.options.get("regex_pattern", _REGEX_DEFAULT), step.options.get("group_select", 0)
    if not isinstance(pattern, str) or not isinstance(select, int):
        raise ConfigError(f"{where}: regex_pattern must be text and group_select a number")
    try:
        _compiled(pattern)
    except regex.error as error:
        raise ConfigError(f"{where}: regex_pattern {pattern!r}: {error}") from error
