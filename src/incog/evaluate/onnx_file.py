"""Recognisers that others bring: an ONNX file, and a few lines of TOML beside it that say what goes in."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from incog.errors import InputError, ModelError, UsageError, must_be
from incog.evaluate.crops import Aligned, Kind, template_at
from incog.perceive.embedder import SIZE
from incog.runtime import session
from incog.types import Bytes, Floats

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What goes into a network: (values - mean) / scale of an aligned crop's values 0..255.

    size: side of the crop in pixels. template: (5, 2) px of the crop, where the five points lie, or None for ArcFace's.
    channels: their order. mean, scale: of each channel, in that order. flip: whether the embedding of the mirrored crop
    is added. white: whether methods may know the network. note: what a reader of the results must know.
    """

    size: int = SIZE
    template: tuple[tuple[float, float], ...] | None = None
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: Triple = (127.5, 127.5, 127.5)
    scale: Triple = (127.5, 127.5, 127.5)
    flip: bool = False
    white: bool = False
    note: str = ""

    @classmethod
    def load(cls, path: Path, *, size: int = SIZE, only: Container[str] | None = None) -> Settings:
        """Read settings from TOML, where ``template`` may be ``"arcface"`` or five [x, y], ``mean`` and ``scale`` one
        number or three.

        size: where the file says none. only: what it may say, all by default. Raises InputError when it cannot be read,
        UsageError for what it must not say.
        """
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the settings {path.name} cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"the settings {path.name} are not TOML: {error}") from error
        known = [item.name for item in fields(cls) if only is None or item.name in only]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise UsageError(
                f"{path.name} says {unknown[0]!r}, which means nothing here",
                hint=f"it may say {', '.join(known)}",
            )
        for key, value in values.items():
            fits, must = _RULES[key]
            if not fits(value):
                raise must_be(f"{key} in {path.name}", must, value)
        return cls(**{"size": size, **{key: _plain(key, value) for key, value in values.items()}})

    def values(self, pictures: Bytes) -> Floats:
        """Return what goes into the network, (B, 3, S, S) float32, of pictures (B, S, S, 3) uint8 R'G'B'."""
        ordered = pictures[..., ::-1] if self.channels == "bgr" else pictures
        mean, scale = (np.array(three, np.float32) for three in (self.mean, self.scale))
        return np.ascontiguousarray(((ordered.astype(np.float32) - mean) / scale).transpose(0, 3, 1, 2))


def opened(what: str, path: Path, *, threads: int = 1) -> tuple[Any, str]:
    """Return ONNX Runtime's session of a file and the file's SHA-256 in hexadecimal.

    what: what errors call it. threads: 0 for one per core. Raises ModelError when it cannot be read or loaded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{what} cannot be read: {error.strerror}") from error
    try:
        made = session(data, threads=threads)
    except Exception as error:
        raise ModelError(f"{what} cannot be loaded: {error}") from error
    return made, hashlib.sha256(data).hexdigest()


class Onnx(Aligned):
    """A network run by ONNX Runtime: (B, 3, S, S) float32 to (B, D), the first of its outputs."""

    def __init__(self, name: str, path: Path, *, threads: int = 1) -> None:
        """path: the ONNX file; the TOML file of the same name beside it may be absent, see ``Settings``.

        threads: of ONNX Runtime, 0 for one per core. Raises ModelError when the file cannot be read or run or takes and
        gives something else, and for its settings as ``Settings.load`` does.
        """
        beside = path.with_suffix(".toml")
        self._settings = Settings.load(beside) if beside.exists() else Settings()
        self.name, self.settings = name, repr(self._settings)
        self.kind: Kind = "white box" if self._settings.white else "black box"
        self.note = self._settings.note
        self.size = self._settings.size
        given = self._settings.template
        self.template = template_at(self.size) if given is None else np.array(given, np.float32)
        self._session, self.sha256 = opened(f"the recogniser {name}", path, threads=threads)
        self._input, self._single = self._checked(beside)
        # A network that does not fit is found here, not after hours of other work.
        self.embed(np.zeros((2, self.size, self.size, 3), np.uint8))

    def embed(self, crops: Bytes) -> Floats:
        found = self._run(crops)
        return found + self._run(crops[:, :, ::-1]) if self._settings.flip else found

    def _checked(self, beside: Path) -> tuple[str, bool]:
        """Return the input's name and whether it takes one crop at a time. Raises ModelError for another input."""
        inputs = self._session.get_inputs()
        batch, *sides = inputs[0].shape if len(inputs) == 1 and inputs[0].shape else [0]
        # A side that is left open has a name in place of a number.
        wanted = [3, self.size, self.size]
        pairs = zip(sides, wanted, strict=False)
        closed = [side if isinstance(side, int) else right for side, right in pairs]
        open_or_one = not isinstance(batch, int) or batch == 1
        if closed != wanted or len(sides) != 3 or not open_or_one or inputs[0].type != "tensor(float)":
            got = ", ".join(f"{item.shape} {item.type}" for item in inputs)
            raise ModelError(
                f"the recogniser {self.name} must take (B, 3, {self.size}, {self.size}) float32, got {got}",
                hint=f"another size is said in {beside.name}: size = {SIZE}",
            )
        return str(inputs[0].name), batch == 1

    def _run(self, crops: Bytes) -> Floats:
        values = self._settings.values(crops)
        step = 1 if self._single else len(values)
        batches = [values[start : start + step] for start in range(0, len(values), step)]
        try:
            told = [self._session.run(None, {self._input: batch})[0] for batch in batches]
        except Exception as error:
            raise ModelError(f"the recogniser {self.name} cannot be run: {error}") from error
        parts = [np.asarray(part, np.float32) for part in told]
        if any(part.ndim != 2 or len(part) != step for part in parts):
            raise ModelError(f"the recogniser {self.name} must give ({step}, D), got {parts[0].shape}")
        return np.concatenate(parts)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(map(_number, value))


def _pairs(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 5 or not all(_numbers(pair, 2) for pair in value):
        return False
    return any(pair != value[0] for pair in value)


def _above_zero(value: Any) -> bool:
    if _number(value):
        return bool(value > 0)
    return _numbers(value, 3) and all(one > 0 for one in value)


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "size": (lambda value: type(value) is int and 16 <= value <= 1024, "a whole number in 16..1024"),
        "template": (
            lambda value: value == "arcface" or _pairs(value),
            "'arcface' or five different pairs [x, y]",
        ),
        "channels": (lambda value: value in ("rgb", "bgr"), "'rgb' or 'bgr'"),
        "mean": (lambda value: _number(value) or _numbers(value, 3), "a number or three"),
        "scale": (_above_zero, "a number above 0 or three"),
        "flip": (lambda value: isinstance(value, bool), "true or false"),
        "white": (lambda value: isinstance(value, bool), "true or false"),
        "note": (lambda value: isinstance(value, str), "text"),
    }
)


def _plain(key: str, value: Any) -> Any:
    """Return a checked value of TOML as the field of ``Settings`` holds it."""
    if key in ("mean", "scale"):
        return tuple(map(float, value)) if isinstance(value, list) else (float(value),) * 3
    if key == "template":
        return None if value == "arcface" else tuple((float(x), float(y)) for x, y in value)
    return value
