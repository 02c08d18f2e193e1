"""Jinja's sandbox, narrowed so that a template can neither run code nor exhaust the memory.

The immutable sandbox knows only the filters and methods listed here, and every result is measured, so that
no operation builds more than `MAX_CHARS`: not `"a" * 10**9`, not `~` in a loop, not `replace`, not a macro
that calls itself. Regular expressions run in the `regex` package under a time limit, because a
backtracking pattern on a long document would otherwise hang a run.
"""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Callable, Iterable
from typing import Any, cast

import jinja2
import regex
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_CHARS = 4_000_000
"""Most characters (or elements) that one rendered text or one intermediate value may have."""

MAX_RANGE = 10_000
MAX_EXPONENT = 256
REGEX_SECONDS = 2.0

_BUILTIN_FILTERS = """
abs capitalize count d default dictsort first float groupby int items last length list lower map max min
reject rejectattr reverse round select selectattr sort string sum title trim truncate unique upper wordcount
"""

_STRING_METHODS = """
strip lstrip rstrip split rsplit splitlines partition rpartition replace join lower upper title capitalize
casefold swapcase startswith endswith removeprefix removesuffix find rfind index count isdigit isalpha isalnum
isspace isupper islower isnumeric
"""

_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(_STRING_METHODS.split()),
    list: frozenset({"index", "count"}),
    tuple: frozenset({"index", "count"}),
    dict: frozenset({"keys", "values", "items", "get"}),
    int: frozenset(),
    float: frozenset({"is_integer"}),
    bool: frozenset(),
}


class NullValueError(ValueError):
    """A null that would have been printed as the word "None"."""


def measure(value: Any) -> int:
    """Characters and elements that `value` would print, counted without printing it.

    Raises:
        SecurityError: more than `MAX_CHARS`. Shared parts count each time that they would be printed.
    """
    total, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, (list, tuple, set, frozenset)):
            total += len(item)
            stack.extend(item)
        elif isinstance(item, dict):
            total += len(item)
            stack.extend(item.keys())
            stack.extend(item.values())
        else:
            total += 1
        if total > MAX_CHARS:
            raise _too_large()
    return total


def _too_large() -> SecurityError:
    return SecurityError(f"would build more than {MAX_CHARS:,} characters")


def _bounded(size: int) -> None:
    if size > MAX_CHARS:
        raise _too_large()


def not_null(value: Any) -> Any:
    """Return `value`, which is about to be printed.

    Raises:
        NullValueError: it is null.
        SecurityError: it would print more than `MAX_CHARS`.
    """
    if value is None:
        raise NullValueError("a value is null where text is needed")
    if isinstance(value, (list, tuple, dict)):
        measure(value)
    return value


def _concat(parts: Iterable[str]) -> str:
    """Join the pieces of a rendered text, giving up before they are too many."""
    kept: list[str] = []
    total = 0
    for part in parts:
        total += len(part)
        _bounded(total)
        kept.append(part)
    return "".join(kept)


def _filter_concat(values: list[Any]) -> str:
    return _concat(str(not_null(value)) for value in values)


def _filter_join(values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    items = [item if attribute is None else item[attribute] for item in values]
    _bounded(measure(items) + len(items) * len(separator))
    return separator.join(str(not_null(item)) for item in items)


def _filter_replace(text: Any, old: str, new: str, count: int = -1) -> str:
    text = str(not_null(text))
    _bounded(len(text) + text.count(old) * len(new))
    return str(text.replace(old, new, count))


def _filter_tojson(value: Any) -> str:
    measure(value)
    return json.dumps(value, ensure_ascii=False)


def _filter_fromjson(text: str) -> Any:
    return json.loads(text)


def _filter_literal(text: str) -> Any:
    """A Python literal written as text, as several data sets hold lists and dictionaries."""
    try:
        return ast.literal_eval(text)
    except SyntaxError as error:
        raise ValueError(f"{text[:40]!r} is not a Python literal") from error


@functools.lru_cache(maxsize=256)
def _pattern(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def _filter_regex_replace(text: str, pattern: str, repl: str, count: int = 0) -> str:
    """`re.sub`, a match at a time so that back references cannot multiply the text without bound."""
    kept: list[str] = []
    position = total = 0
    for number, match in enumerate(_pattern(pattern).finditer(text, timeout=REGEX_SECONDS), 1):
        longest = max(len(match[0]), *(len(group) for group in match.groups("")), 1)
        _bounded(total + longest * len(repl))
        kept += text[position : match.start()], match.expand(repl)
        total += len(kept[-1]) + len(kept[-2])
        position = match.end()
        if number == count:
            break
    return _concat([*kept, text[position:]])


def _filter_regex_findall(text: str, pattern: str) -> list[Any]:
    """All matches: texts, or lists of groups where the pattern has several."""
    found = _pattern(pattern).findall(text, timeout=REGEX_SECONDS)
    return [list(item) if isinstance(item, tuple) else item for item in found]


def _filter_true_indices(labels: Iterable[Any]) -> list[int]:
    """Positions of 1 or True, e.g. `[1, 0, 1]` gives `[0, 2]`."""
    return [index for index, label in enumerate(labels) if label in (1, "1")]


def _filter_letters(values: Iterable[Any]) -> list[str]:
    """`["A", "B", …]`, one for each value."""
    count = len(list(values))
    if count > 26:
        raise ValueError(f"{count} choices, but there are 26 letters")
    return [chr(ord("A") + index) for index in range(count)]


_FILTERS: dict[str, Callable[..., Any]] = {
    "concat_": _filter_concat,
    "join": _filter_join,
    "replace": _filter_replace,
    "tojson": _filter_tojson,
    "fromjson": _filter_fromjson,
    "literal": _filter_literal,
    "regex_replace": _filter_regex_replace,
    "regex_findall": _filter_regex_findall,
    "true_indices": _filter_true_indices,
    "letters": _filter_letters,
}


def _measured(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        for argument in args:
            measure(argument)
        result = function(*args, **kwargs)
        measure(result)
        return result

    return run


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        raise SecurityError(f"range of {len(numbers):,}; at most {MAX_RANGE:,}")
    return numbers


class _ConcatToFilter(NodeTransformer):
    """`a ~ b` compiles to a plain join that cannot be intercepted, so it is made a filter."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 (name fixed by Jinja's visitor)
        items = nodes.List([self.visit(child) for child in node.nodes], lineno=node.lineno)
        return nodes.Filter(items, "concat_", [], [], None, None, lineno=node.lineno)


@jinja2.pass_context
def _finalize(_context: Any, value: Any) -> Any:
    # Taking the context is what tells Jinja not to call this while compiling.
    return not_null(value)


class Environment(ImmutableSandboxedEnvironment):
    """The environment of every template: see the module for what it bounds and why."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})
    concat = staticmethod(_concat)

    def __init__(self) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            # Prompts are plain text: escaping would turn quotation marks into entities.
            autoescape=False,
            # Nothing is computed while compiling: a constant expression too is bounded and timed once.
            optimized=False,
            finalize=_finalize,
        )
        known = {name: FILTERS[name] for name in _BUILTIN_FILTERS.split()} | _FILTERS
        self.filters = {name: _measured(function) for name, function in known.items()}
        self.globals = {"range": _range, "dict": dict, "namespace": self.globals["namespace"]}

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        source = cast(nodes.Template, _ConcatToFilter().visit(source))
        return super()._generate(source, name, filename, defer_init)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`format` is refused with the other methods: a width alone could fill the memory."""
        return None

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may touch the attribute: of plain values, only the methods listed above."""
        allowed = _METHODS.get(type(obj))
        if allowed is not None and attr not in allowed:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """The operation, once its result is known to be small enough."""
        if operator == "%" and isinstance(left, str):
            raise SecurityError("text formatting with % is not available; use ~")
        if operator == "+" and isinstance(left, (str, list, tuple)):
            _bounded(measure(left) + measure(right))
        elif operator == "*":
            _check_product(left, right)
        elif operator == "**" and not (abs(right) <= MAX_EXPONENT and abs(left) <= 2**64):
            raise SecurityError("power too large")
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 (Jinja's signature)
        """The call, its result measured; `replace` and `join` are measured before they run."""
        # Names with underscores, as in Jinja: a template's keyword argument may be called `self`.
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str) and __obj.__name__ in ("replace", "join"):
            stand_in = _filter_replace if __obj.__name__ == "replace" else _join_method
            return stand_in(owner, *args, **kwargs)
        result = super().call(__context, __obj, *args, **kwargs)
        measure(result)
        return result


def _join_method(separator: str, items: Iterable[Any]) -> str:
    return _filter_join(items, separator)


def _check_product(left: Any, right: Any) -> None:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, (str, list, tuple)) and isinstance(times, int):
            _bounded(measure(sequence) * max(times, 0))
            return
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4096:
        raise SecurityError("product too large")
