"""How a method declares its parameters, and how text from a command line becomes them.

A parameter is a field of the method's frozen dataclass. Its type and its ``Parameter`` stand in the
annotation:

    sigma: Annotated[float, Parameter("standard deviation", 0.02, 1, unit="of the face")] = 0.15

Types: int, float, ``Colour``, and ``Literal`` of some words. ``check`` runs when an instance is built, so a
method with a wrong parameter does not exist.
"""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from incog.errors import UsageError, must_be

Colour = tuple[int, int, int]
"""R'G'B' in 0..255, written ``#rrggbb``."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a parameter is besides its type and default. The range includes both ends; colours have none."""

    help: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter as tables show it. type is ``int``, ``float``, ``colour`` or ``word``, default as one types it."""

    name: str
    type: str
    default: str
    range: str
    help: str


def describe(method: type[Any]) -> tuple[Row, ...]:
    """Return the parameters of a method in their order."""
    return tuple(
        Row(
            name=name,
            type=_type_name(kind),
            default=_written(default),
            range=_range(kind, parameter),
            help=f"{parameter.help}, {parameter.unit}" if parameter.unit else parameter.help,
        )
        for name, kind, parameter, default in _declared(method)
    )


def parse(method: type[T], settings: Mapping[str, str]) -> T:
    """Return the method with the parameters that the texts in ``settings`` say, and defaults for the others.

    Raises UsageError for a name that is no parameter, a text that is no value of its type, and a value out of
    range.
    """
    title = str(getattr(method, "name", method.__name__))
    declared = {name: (kind, parameter) for name, kind, parameter, _ in _declared(method)}
    values: dict[str, Any] = {}
    for name, text in settings.items():
        if name not in declared:
            valid = f"one of {', '.join(declared)}" if declared else "left out: it has none"
            raise unknown(f"a parameter of {title}", valid, name, declared)
        kind, parameter = declared[name]
        values[name] = _read(f"{title}: {name}", kind, parameter, text)
    return method(**values)


def check(instance: object) -> None:
    """Check every declared field of a frozen dataclass; whole numbers in float fields become float.

    Raises UsageError in the form "what must be X, got Y".
    """
    title = str(getattr(instance, "name", type(instance).__name__))
    for name, kind, parameter, _ in _declared(type(instance)):
        checked = _checked(f"{title}: {name}", kind, parameter, getattr(instance, name))
        object.__setattr__(instance, name, checked)


def unknown(what: str, must: str, got: str, valid: Iterable[str]) -> UsageError:
    """Return the error for a name that does not exist; the hint is the valid name most like it, if any is."""
    error = must_be(what, must, got)
    near = difflib.get_close_matches(got.lower(), list(valid), n=1)
    if near:
        error.hint = f"did you mean {near[0]}?"
    return error


def _declared(method: type[Any]) -> list[tuple[str, Any, Parameter, object]]:
    """Return (name, type, parameter, default) of each field that has a ``Parameter``."""
    hints = get_type_hints(method, include_extras=True)
    rows: list[tuple[str, Any, Parameter, object]] = []
    for item in fields(method):
        hint = hints[item.name]
        if get_origin(hint) is Annotated:
            kind, *extras = get_args(hint)
            rows += [
                (item.name, kind, extra, item.default) for extra in extras if isinstance(extra, Parameter)
            ]
    return rows


def _read(what: str, kind: Any, parameter: Parameter, text: str) -> object:
    """Return the value that a text means; its range is checked later, with all others."""
    text = text.strip()
    if get_origin(kind) is Literal:
        return text
    if kind is Colour:
        match = re.fullmatch(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text)
        if match is None:
            raise must_be(what, _range(kind, parameter), text)
        return tuple(int(group, 16) for group in match.groups())
    try:
        return kind(text)
    except ValueError:
        raise must_be(what, _range(kind, parameter), text) from None


def _checked(what: str, kind: Any, parameter: Parameter, value: object) -> object:
    must = _range(kind, parameter)
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
    elif kind is Colour:
        if (
            isinstance(value, tuple)
            and len(value) == 3
            and all(_is_number(v, numbers.Integral) and 0 <= v <= 255 for v in value)
        ):
            return tuple(int(v) for v in value)
    elif _is_number(value, numbers.Integral if kind is int else numbers.Real):
        number = kind(value)
        # Written so that NaN, which compares false with everything, is refused.
        if parameter.low <= number <= parameter.high and math.isfinite(number):
            return number
    raise must_be(what, must, value)


def _is_number(value: object, kind: type[Any]) -> bool:
    # True is an int for Python, and a mistake for everybody else.
    return isinstance(value, kind) and not isinstance(value, bool)


def _range(kind: Any, parameter: Parameter) -> str:
    if kind is Colour:
        return "a colour like #1a2b3c"
    if get_origin(kind) is Literal:
        return f"a word of {', '.join(get_args(kind))}"
    noun = "a whole number" if kind is int else "a number"
    return f"{noun} from {_written(parameter.low)} to {_written(parameter.high)}"


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "word"
    return "colour" if kind is Colour else str(kind.__name__)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return "#" + "".join(f"{part:02x}" for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
