"""Recipes: everything that a training run depends on, as plain data that one dataclass checks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from incog.errors import InputError, UsageError, must_be

T = TypeVar("T")

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is made.

    task: what is learnt, a name in ``incog.train.tasks.TASKS``. name: of the network. seed: any whole number.
    data: names of the sources that ``--data NAME=PATH`` must give; ``optional`` may be given.
    budget: seconds of wall time that the schedules span. batch: images per step.
    rate: the highest learning rate (AdamW); it rises over the first ``warmup`` of the budget and falls along a cosine
    to ``final`` times its height. decay: weight decay, of matrices and kernels only. clip: highest norm of the
    gradient. betas: of AdamW. rival_rate: the rivals' learning rate relative to the network's, where a task has rivals.
    resolutions: (share of the budget, side in pixels) in rising order, from share 0.
    average: decay per step of the moving average of the weights that ships; average_start: share of the budget.
    template, size: how faces are aligned, see ``incog.data.faces``. network, options: for the task to read.
    bits: that each number of a kernel or matrix takes in the file: 16, or 8 with a factor for each output channel; the
    file is then compressed too.
    about, terms, limits: for the card: what the network does, the terms of each source, what not to expect.
    """

    task: str
    name: str
    data: tuple[str, ...]
    optional: tuple[str, ...] = ()
    seed: int = 0
    budget: float = 3600.0
    batch: int = 64
    rate: float = 1e-3
    warmup: float = 0.03
    final: float = 0.01
    decay: float = 0.05
    clip: float = 5.0
    betas: tuple[float, float] = (0.9, 0.99)
    rival_rate: float = 1.0
    resolutions: tuple[tuple[float, int], ...] = ((0.0, 112),)
    average: float = 0.998
    average_start: float = 0.2
    template: str = "arcface"
    size: int = 128
    network: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    bits: int = 16
    about: str = ""
    terms: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, low, high in (
            ("warmup", 0, 1), ("final", 0, 1), ("average", 0, 1), ("average_start", 0, 1)
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise must_be(name, f"in {low}..{high}", getattr(self, name))
        for name in ("budget", "batch", "rate", "clip", "size"):
            if not getattr(self, name) > 0:
                raise must_be(name, "above 0", getattr(self, name))
        if self.bits not in (8, 16):
            raise must_be("bits", "8 or 16", self.bits)
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            raise must_be("name", "small letters, digits and dashes", self.name)
        shares = [share for share, _ in self.resolutions]
        if not shares or shares[0] != 0 or shares != sorted(shares) or shares[-1] >= 1:
            raise must_be(
                "resolutions", "pairs (share of the budget, side), shares rising from 0", self.resolutions
            )

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe from TOML. Raises InputError when it cannot be read, UsageError for what it must not say."""
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise InputError(f"the recipe {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"the recipe {path} must be UTF-8 text") from error
        try:
            return build(cls, tomllib.loads(text), where=path.name)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"the recipe {path.name} is not TOML: {error}") from error

    def dump(self) -> str:
        """Return the recipe as TOML, every default written out."""
        values = asdict(self)
        tables = {key: values.pop(key) for key in ("network", "options", "terms")}
        lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
        for key, table in tables.items():
            lines += ["", f"[{key}]", *(f"{name} = {_toml(value)}" for name, value in table.items())]
        return "\n".join(lines) + "\n"

    def with_budget(self, seconds: float) -> Recipe:
        """Return the same recipe over another time."""
        return replace(self, budget=seconds)

    def section(self, name: str, kind: type[T]) -> T:
        """Return the table ``network`` or ``options`` as a dataclass. Raises UsageError as ``build`` does."""
        return build(kind, getattr(self, name), where=f"[{name}] of recipe {self.name}")


def build(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Return dataclass ``kind`` made from plain data: names and types are checked, lists become tuples.

    Raises UsageError for a name that it does not know, one that is missing, or a value of another type.
    """
    known: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UsageError(
            f"{where} says {unknown[0]!r}, which means nothing here", hint=f"it may say {', '.join(known)}"
        )
    missing = [
        name for name, item in known.items()
        if name not in values and item.default is MISSING and item.default_factory is MISSING
    ]  # fmt: skip
    if missing:
        raise UsageError(f"{where} must say {missing[0]!r}")
    hints = get_type_hints(kind)
    return kind(**{name: _fitted(value, hints[name], f"{name} in {where}") for name, value in values.items()})


def seconds(text: str) -> float:
    """Return a span such as ``90s``, ``20m`` or ``1.5h`` in seconds. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not match or float(match[1]) <= 0:
        raise must_be("a span of time", "a number with s, m or h, such as 20m", text)
    return float(match[1]) * _UNITS[match[2]]


def _fitted(value: Any, hint: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise must_be(where, "a list", value)
        kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
        if len(kinds) != len(value):
            raise must_be(where, f"a list of {len(kinds)}", value)
        return tuple(_fitted(item, kind, where) for item, kind in zip(value, kinds, strict=True))
    if origin is not None:
        if not isinstance(value, Mapping):
            raise must_be(where, "a table", value)
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if where.startswith("budget ") and isinstance(value, str):
        return seconds(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise must_be(where, f"of type {hint.__name__}", value)
    return value


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)
