"""Templates of task cards: text or values computed from a row's columns.

The language is lm-evaluation-harness's (undefined names are errors, a trailing newline is kept, nothing is
escaped), so that its prompts render to the same text. A null is an error where that harness would print the
word "None" into a prompt. A template that is exactly a column's name means that column's value, as there;
columns whose names are no identifiers are reached as `row["Best Answer"]`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
import regex
from jinja2 import nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.meta import find_undeclared_variables

from halueval.errors import ConfigError, DataError, nearest
from halueval.sandbox import REGEX_SECONDS, Environment, NullValueError, measure, not_null

_ENVIRONMENT = Environment()


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: jinja2.Template
    expression: TemplateExpression | None
    columns: frozenset[str]


_PLAIN = ("{{", "{%", "{#")


def is_plain(template: str) -> bool:
    """Whether `template` has no Jinja in it: a constant, or a column's name."""
    return not any(mark in template for mark in _PLAIN)


_BARE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


@functools.lru_cache(maxsize=4096)
def _bare_name(template: str) -> str:
    """`name` of `name` or `{{ name }}`: by far the most common templates, and Jinja is slow to start."""
    match = _BARE.fullmatch(template)
    return match[1] if match else template


@functools.lru_cache(maxsize=4096)
def _compile(template: str) -> _Compiled:
    tree = _ENVIRONMENT.parse(template)
    columns = _columns(tree)
    expression = None
    outputs = tree.body[0].nodes if len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output) else []
    if len(outputs) == 1 and not isinstance(outputs[0], nodes.TemplateData):
        assign = nodes.Assign(nodes.Name("result", "store"), outputs[0], lineno=1)
        program = _ENVIRONMENT.from_string(nodes.Template([assign], lineno=1))
        expression = TemplateExpression(program, undefined_to_none=False)
    return _Compiled(_ENVIRONMENT.from_string(template), expression, columns)


def _row_column(node: nodes.Node) -> str | None:
    """The column that `row["name"]` or `row.name` reaches for, if that is what `node` is."""
    if not (isinstance(node, (nodes.Getitem, nodes.Getattr)) and isinstance(node.node, nodes.Name)):
        return None
    if node.node.name != "row":
        return None
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None


def _names(node: nodes.Node, undeclared: set[str]) -> set[str]:
    found = {name.name for name in node.find_all(nodes.Name) if name.name in undeclared}
    if isinstance(node, nodes.Name) and node.name in undeclared:
        found.add(node.name)
    for part in [node, *node.find_all((nodes.Getitem, nodes.Getattr))]:
        column = _row_column(part)
        if column is not None:
            found.add(column)
    return found


def _columns(tree: nodes.Template) -> frozenset[str]:
    """Columns that the template cannot do without: those under `default` or `is defined` are optional."""
    undeclared = find_undeclared_variables(tree) - set(_ENVIRONMENT.globals)
    optional: set[str] = set()
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        if node.name in ("default", "d", "defined", "undefined") and node.node is not None:
            optional |= _names(node.node, undeclared)
    return frozenset(_names(tree, undeclared) - optional - {"row"})


def columns_of(template: str, *, where: str = "template") -> frozenset[str]:
    """Columns that `template` needs; a template without Jinja is itself a column's name.

    Raises:
        ConfigError: the template is not well-formed.
    """
    return frozenset({template}) if is_plain(template) else _compiled(template, where).columns


def check(template: str, *, where: str) -> None:
    """Compile `template` without rendering it.

    Raises:
        ConfigError: the template is not well-formed; the line names `where` and the problem.
    """
    _compiled(template, where)


def _compiled(template: str, where: str) -> _Compiled:
    try:
        return _compile(template)
    except TemplateSyntaxError as error:
        raise ConfigError(f"{where}: template line {error.lineno}: {_one_line(error.message)}") from error
    except (SecurityError, RecursionError, MemoryError, OverflowError, ValueError) as error:
        raise ConfigError(f"{where}: template cannot be compiled: {_one_line(error)}") from error


def render(template: str, doc: Mapping[str, Any], *, where: str = "template") -> str:
    """Render `template` over the columns of `doc` to text.

    Args:
        template: Jinja, plain text, or the name of a column, which stands for the column's value.
        doc: the row.
        where: what to name in an error: task, key and row.

    Raises:
        DataError: a column is missing, or a value does not fit.
        ConfigError: the template is wrong whatever the row.
    """
    name = _bare_name(template)
    if name in doc and name:
        return str(_guard(lambda: _printable(doc[name]), template, doc, where))
    if is_plain(template):
        return template
    program = _compiled(template, where).text
    return str(_guard(lambda: program.render(_variables(doc)), template, doc, where))


def evaluate(template: str, doc: Mapping[str, Any], *, where: str = "template") -> Any:
    """Like `render`, but exactly one `{{ expression }}`, or a column's name, keeps its native type.

    Raises:
        DataError: a column is missing, or a value does not fit.
        ConfigError: the template is wrong whatever the row.
    """
    name = _bare_name(template)
    if name in doc and name:
        return doc[name]
    if is_plain(template):
        return template
    expression = _compiled(template, where).expression
    if expression is None:
        return render(template, doc, where=where)

    def run() -> Any:
        value = expression(_variables(doc))
        if isinstance(value, jinja2.Undefined):
            str(value)  # A strict undefined value raises here, with its name in the message.
        measure(value)
        return list(value) if isinstance(value, (range, Iterator)) else value

    return _guard(run, template, doc, where)


def _printable(value: Any) -> Any:
    measure(value)
    return not_null(value)


def _variables(doc: Mapping[str, Any]) -> dict[str, Any]:
    return {"row": dict(doc), **doc}


def _guard(run: Callable[[], Any], template: str, doc: Mapping[str, Any], where: str) -> Any:
    """Run, turning whatever a template can raise into one line that names the culprit."""
    try:
        return run()
    except UndefinedError as error:
        missing = sorted(_compile(template).columns - set(doc))
        if missing:
            raise DataError(f"{where}: {missing_column(missing[0], doc)}") from error
        raise DataError(f"{where}: {_one_line(error)}") from error
    except NullValueError as error:
        raise DataError(f"{where}: {error}") from error
    except TimeoutError as error:
        raise ConfigError(f"{where}: a regular expression took more than {REGEX_SECONDS:g} s") from error
    except (SecurityError, regex.error, RecursionError, MemoryError) as error:
        raise ConfigError(f"{where}: {_one_line(error) or type(error).__name__}") from error
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
    ) as error:
        raise DataError(f"{where}: {type(error).__name__}: {_one_line(error)}") from error


def missing_column(name: str, columns: Iterable[str]) -> str:
    """`no column 'x' (the columns are: a, b)`, with the nearest of them where one is near."""
    there = list(columns)
    hint = nearest(name, there)
    hint = hint if "did you mean" in hint else ""
    return f"no column {name!r} (the columns are: {', '.join(there) or 'none'}){hint}"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
