"""Frozen judges in the losses of networks that make faces: who it is, where its points lie, how it looks.

Faces are (B, 3, S, S) R'G'B' in 0..1 in the template ``outline`` of ``incog.data.faces``, of any side S. The judges
that measure methods, ``embedder-b`` and ``attributes-b``, are never among these.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog import models
from incog.alignment import similarity
from incog.data.faces import template
from incog.errors import InputError
from incog.perceive import attributes, embedder, landmarks
from incog.train import augment
from incog.train.graph import Graph
from incog.train.likeness import LUMA
from incog.types import Floats

DRAWS = 8
"""Uniform numbers per picture that an augmentation takes."""

_SIZE = 128
"""Side at which the templates are compared: any does."""


class Judges(nn.Module):
    """The embedder and other recognisers, the landmark network and the attribute network, without anything to learn.

    teachers: ONNX files of more recognisers, of the embedder's input: (B, 3, 112, 112), (x / 255 - 0.5) / 0.5, R'G'B'.
    """

    def __init__(self, teachers: Sequence[Path] = ()) -> None:
        super().__init__()
        data = [models.own(embedder.NAME)]
        for path in teachers:
            try:
                data.append(path.read_bytes())
            except OSError as error:
                raise InputError(f"the recogniser {path.name} cannot be read: {error.strerror}") from error
        self.recognisers = nn.ModuleList([Graph(item) for item in data])
        self.landmarks = Graph(models.own(landmarks.NAME))
        self.look = Graph(models.own(attributes.NAME))
        self.register_buffer("aligned", _crop(embedder.TEMPLATE, embedder.SIZE), persistent=False)
        self.register_buffer("outlined", _crop(landmarks.TEMPLATE, landmarks.SIDE), persistent=False)

    def identity(self, images: Tensor, draws: Tensor | None = None) -> list[Tensor]:
        """Return the embeddings, (B, D) float32 of unit norm, of each recogniser, the package's own first.

        draws: (B, 8) uniform numbers for a small change of shift, zoom, turn, side, sharpness and light, so that
        nothing is learnt that fools one alignment only; None for none.
        """
        faces = self.faces(images, draws) * 2 - 1
        found = [recogniser(faces)[0] for recogniser in self.recognisers]
        return [functional.normalize(item.float(), dim=1) for item in found]

    def hasten(self) -> None:
        """Have the networks compiled when they are next called, for batches of one size."""
        for network in (*self.recognisers, self.landmarks, self.look):
            network.compile(dynamic=False)

    def points(self, images: Tensor) -> Tensor:
        """Return the dense points, (B, 130, 2) float32, in half sides of the image from its middle."""
        side = landmarks.SIDE
        # Places need more than the eight bits of bfloat16.
        with torch.autocast(images.device.type, enabled=False):
            shown = augment.warp(images, self._matrices("outlined", images), side)
            found: Tensor = self.landmarks(shown * 255)[self.landmarks.names.index("points")]
            places = (found + 0.5) * (2 / side) - 1
            matrix = self._buffers["outlined"]
            assert matrix is not None
            return places @ matrix[:, :2].t() + matrix[:, 2]

    def attributes(self, images: Tensor) -> dict[str, Tensor]:
        """Return by name the probabilities of ``incog.perceive.attributes.CLASSES``, (B, K) float32 each, and ``age``
        and ``spread`` in years, (B,)."""
        faces = augment.warp(images, self._matrices("aligned", images), embedder.SIZE)
        return {
            name: item.float() for name, item in zip(self.look.names, self.look(faces * 255), strict=True)
        }

    def faces(self, images: Tensor, draws: Tensor | None = None) -> Tensor:
        """Return the crops (B, 3, 112, 112) in 0..1 that recognisers take."""
        matrices = self._matrices("aligned", images)
        if draws is None:
            return augment.warp(images, matrices, embedder.SIZE)
        moved = augment.similarity(
            augment.between(draws[:, 3], -0.06, 0.06),
            torch.exp2(augment.between(draws[:, 2], -0.1, 0.1)),
            augment.between(draws[:, 0], -0.04, 0.04),
            augment.between(draws[:, 1], -0.04, 0.04),
        )
        with torch.autocast(images.device.type, enabled=False):
            linear = matrices[:, :, :2] @ moved[:, :, :2]
            shift = matrices[:, :, :2] @ moved[:, :, 2:] + matrices[:, :, 2:]
        faces = augment.warp(images, torch.cat([linear, shift], 2), embedder.SIZE)
        faces = augment.mirror(faces, draws[:, 4])
        blur = draws[:, 5, None, None, None]
        soft = faces.lerp(functional.avg_pool2d(faces, 5, 1, 2, count_include_pad=False), blur * 1.4)
        small = functional.avg_pool2d(faces, 2)
        coarse = functional.interpolate(small, size=faces.shape[-2:], mode="bilinear", align_corners=False)
        # Fine patterns that people do not see fool a recogniser too: it often sees without them.
        faces = torch.where(blur < 0.6, soft, coarse)
        grey = (faces * faces.new_tensor(LUMA)[None, :, None, None]).sum(1, keepdim=True)
        # So does paint: colours fade, or are gone. The digits of one number serve twice.
        vivid = (draws[:, 7, None, None, None] * 16).frac()
        faces = torch.where(vivid < 0.3, grey, grey.lerp(faces, vivid * 0.8 + 0.4))
        gain = torch.exp2(augment.between(draws[:, 6], -0.3, 0.3))[:, None, None, None]
        return faces * gain + augment.between(draws[:, 7], -0.08, 0.08)[:, None, None, None]

    def _matrices(self, name: str, images: Tensor) -> Tensor:
        matrix = self._buffers[name]
        assert matrix is not None
        return matrix.expand(len(images), 2, 3)


def cosines(found: Sequence[Tensor], goals: Sequence[Tensor]) -> Tensor:
    """Return the cosines (B, R) of what each of R recognisers says, (B, D) of unit norm, of two pictures."""
    return torch.stack([(one * other).sum(1) for one, other in zip(found, goals, strict=True)], 1)


def _crop(goal: Floats, side: int) -> Tensor:
    """Return (2, 3), crop -> image in half sides from the middle, of the crop in which a face lies as ``goal`` says."""
    image = (template("outline", _SIZE) + 0.5) * (2 / _SIZE) - 1
    crop = (goal + 0.5) * (2 / side) - 1
    return torch.from_numpy(np.asarray(similarity(crop.astype(np.float32), image), np.float32))
