"""What the two ways of hiding by codes differ in for ``benchmarks/deniable.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from incog.appearance import model, painting, reading, texture
from incog.deniable import codes, generating, hiding, prior, seeing, traits
from incog.deniable.coding import Best, Clearest, CodeHider
from incog.deniable.payload import Subject
from incog.deniable.prior import Doubles, Words
from incog.methods import generated
from incog.methods.appearance import AppearanceReplace
from incog.methods.base import Method
from incog.methods.generated import Replace
from incog.methods.looking import coarse, look_of
from incog.perceive.hulls import make_hulls
from incog.train import deniable as fitting
from incog.types import Crops, Floats

LEAST = -1e6
"""What an oracle says of a recovery that it cannot read."""


Codes = tuple[Doubles, Doubles, Floats, Floats, list[str]]


class Way(Protocol):
    """reader, hider: what reads codes, and hides by them. method: in whose place."""

    reader: type[Clearest]
    hider: type[CodeHider]
    method: Method

    def whole(self, crop: Crops) -> Floats:
        """Return a crop, a batch of one, with its face as the network draws it without any code, (S, S, 3)."""

    def cycle(self, crop: Crops, subject: Subject, words: Words) -> float:
        """Return how near the code that is read of a recovery comes to the one that it was drawn from."""

    def tables(self, sources: Mapping[str, Path], most: int | None = None) -> Codes:
        """Return of held-out faces the codes as numbers, and drawn ones, (N, D); whom these and those stand for, (N,
        E); and who each is."""


class Painted:
    """By the appearance model."""

    reader: type[Clearest] = hiding.Codes
    hider: type[CodeHider] = hiding.Hider
    method: Method = AppearanceReplace()

    def whole(self, crop: Crops) -> Floats:
        """See ``Way``."""
        own = model.load()
        read = reading.read(own, crop.pixels[0], crop.dense[0])
        assert read is not None
        vector = own.vector_of(own.texture_of(texture.encode(read.face, read.light, own.grid)))
        person = painting.Face(read.dense, vector, read.light)
        return painting.paint(own, person, crop.pixels[0], crop.masks[0], read.matrix, zoom=read.zoom)

    def cycle(self, crop: Crops, subject: Subject, words: Words) -> float:
        """See ``Way``."""
        own = model.load()
        read = reading.read(own, crop.pixels[0], crop.dense[0])
        if read is None:
            return LEAST
        part = traits.coarse(own, crop.pixels[0], crop.dense[0])
        person = traits.person_of(own, read, part, subject.look)
        textures = prior.load().slopes.shape[1] - len(person.shape)
        row = np.concatenate([person.shape, person.texture[-textures:]])
        found = prior.load().numbers(row[None], subject.told[None])[0]
        return -float(np.square(found - prior.dequantised(words)).sum())

    def tables(self, sources: Mapping[str, Path], most: int | None = None) -> Codes:
        """See ``Way``."""
        table, own = fitting.gather(sources, "test", mirrored=False, most=most), prior.load()
        told = table.noisy(1)
        textures = own.slopes.shape[1] - own.shapes
        values = np.concatenate([table.shapes, table.textures[:, -textures:]], 1)
        real = prior.dequantised(prior.quantised(own.numbers(values, told)))
        numbers = _drawn(real.shape)
        return real, numbers, own.values(real, told), own.values(numbers, told), list(table.people)


class Generated:
    """By the generator."""

    reader: type[Clearest] = generating.Sights
    hider: type[CodeHider] = generating.FaceHider
    method: Method = Replace()

    def whole(self, crop: Crops) -> Floats:
        """See ``Way``."""
        matrix = generated.placed(crop.dense[0])
        assert matrix is not None
        assert crop.looks is not None
        return generated.drawn(crop, matrix, seeing.code_of(crop), coarse(crop.looks[0]))

    def cycle(self, crop: Crops, subject: Subject, words: Words) -> float:
        """See ``Way``: by the cosine of the embeddings that the codes stand for."""
        if not np.isfinite(crop.dense[0]).all():
            return LEAST
        both = np.stack([seeing.code_of(crop), codes.load().decode(words, subject.told)])
        first, second = generated.shipped().prior.embedding(both)
        return float(first @ second)

    def tables(self, sources: Mapping[str, Path], most: int | None = None) -> Codes:
        """See ``Way``."""
        found = list(looks_of(sources, most))
        own = codes.load()
        told = np.stack([best.told for _, best in found])
        real = prior.dequantised(np.stack([best.code() for _, best in found]))
        numbers = _drawn(real.shape)
        return real, numbers, own.codes(real, told), own.codes(numbers, told), [who for who, _ in found]


def looks_of(sources: Mapping[str, Path], most: int | None) -> Iterator[tuple[str, Best]]:
    """Yield held-out faces that the generator can draw, at most so many of each source, evenly, and who
    each is."""
    hulls = make_hulls()
    for _, key, sample in fitting.evenly(sources, ["test"], most):
        (crop,) = fitting.crops_of(sample, hulls, mirrored=False)
        if np.isfinite(crop.dense[0]).all():
            sights = generating.Sights({})
            sights.look(replace(crop, looks=look_of(crop)[None]), 1)
            if 1 in sights.best:
                yield key, sights.best[1]


def _drawn(shape: tuple[int, ...]) -> Doubles:
    words = np.random.default_rng(1).integers(0, 2**prior.BITS, shape).astype(np.uint16)
    return prior.dequantised(words)


WAYS: Mapping[str, Way] = {way.method.name: way for way in (Painted(), Generated())}
