"""Options of consistency scorers: which there are, and whether a value is one that the scorer can take.

The type of an option stands in the signature of the constructor and nowhere else. What a type does not say (a batch
has at least one pair) goes by the option's name, which means the same in every scorer.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from halueval.backends.devices import DTYPES
from halueval.errors import UsageError, nearest

AT_LEAST: Mapping[str, int] = {
    **dict.fromkeys(("n", "batch_size", "chunk_size", "max_length", "max_new_tokens", "passages", "concurrency"), 1),
    **dict.fromkeys(("retries", "gamma"), 0),
}
"""The smallest number that an option takes."""
ABOVE_ZERO = frozenset({"timeout"})
CHOICES: Mapping[str, tuple[str, ...]] = {"dtype": ("auto", *DTYPES)}
DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:\d+)?")

_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Mapping: "a mapping, as in {KEY: VALUE}",
}


def option_types(found: type[Any]) -> dict[str, Any]:
    """Options with their types: the parameters of a constructor, and of those that it hands the rest to."""
    types: dict[str, Any] = {}
    for owner in found.__mro__:
        if "__init__" not in vars(owner):
            continue
        made = vars(owner)["__init__"]
        parameters = list(inspect.signature(made).parameters.values())[1:]
        hints = get_type_hints(made) if inspect.isfunction(made) else {}
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                types.setdefault(parameter.name, hints.get(parameter.name, Any))
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters):
            break
    return types


def check_options(name: str, found: type[Any], options: Mapping[str, Any]) -> None:
    """Refuse options that a scorer does not have, and values that it cannot take.

    A number in quotes is text, and true is no number.

    Args:
        name: of the scorer, for errors.
        found: its class.
        options: by name.

    Raises:
        UsageError: names the scorer, the option, its value, and what would fit.
    """
    types = option_types(found)
    for option, value in options.items():
        if option not in types:
            hint = nearest(str(option), types) if types else "; it has no options"
            raise UsageError(f"consistency scorer {name!r}: unknown option {option!r}{hint}")
        if not _fits(option, types[option], value):
            wanted = _wanted(option, types[option])
            raise UsageError(f"consistency scorer {name!r}: option {option} is {value!r}; it must be {wanted}")


def _fits(option: str, hint: Any, value: Any) -> bool:
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError:
        return False
    if isinstance(value, int | float):
        least = AT_LEAST.get(option, -math.inf)
        return math.isfinite(value) and value >= least and (value > 0 or option not in ABOVE_ZERO)
    if isinstance(value, str):
        device = option != "device" or DEVICE.fullmatch(value) is not None
        return device and value in CHOICES.get(option, (value,))
    return True


def _wanted(option: str, hint: Any) -> str:
    """What an option takes, in words."""
    if option in CHOICES:
        return f"one of {', '.join(CHOICES[option])}"
    if option == "device":
        return "auto, cpu, cuda, cuda:0 … or mps"
    kinds = [kind for kind in get_args(hint) if kind is not NoneType] if NoneType in get_args(hint) else [hint]
    words = " or ".join(_WORDS.get(get_origin(kind) or kind, "a list of texts") for kind in kinds)
    if option in AT_LEAST:
        return f"{words}, {AT_LEAST[option]} or more"
    return f"{words} above 0" if option in ABOVE_ZERO else words
