"""What the tasks of the autoencoder share: its data, its tables, and what variants make of held-out faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog import outline
from incog.code_tables import VARIANTS, Codes, Variant, kind_of
from incog.data.seeds import Integers
from incog.errors import InputError
from incog.train import code_means
from incog.train.judges import Judges
from incog.train.nets_autoencoder import AutoencoderNet, Network, halves, rounded
from incog.train.pixels import Pixels, tiled
from incog.train.portraits import SIZE, inside, read
from incog.train.recipe import Recipe
from incog.types import Bytes, Floats

HELD = 400
"""Test faces that are measured, at most."""

_AROUND = 0.25
"""Weight of what lies around the face, where the picture shows it."""

_MARGIN = 1.1
"""Size of the face's outline inside which the weight is 1."""

_COLUMNS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """How the tables are made: see ``code_means.fit``."""

    clusters: int = 64
    donors: int = 256
    directions: int = 48
    least: int = 10


class Coding:
    """Faces, codes, and the way between them. The source ``portraits`` is a file of ``incog.train.portraits``."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, settings: Tables
    ) -> None:
        self.recipe, self.device, self.settings = recipe, device, settings
        self.network = recipe.section("network", Network)
        self.faces = read(data["portraits"])
        self.train_rows, test = self.faces.rows("train"), self.faces.rows("test")
        if not len(self.train_rows) or not len(test):
            raise InputError(f"{len(self.faces)} faces are too few to train on some and measure on others")
        self.test = test[:: max(1, len(test) // HELD)][:HELD]
        self.items = len(self.train_rows)
        self.pixels = Pixels(self.faces.pixels, device)
        weights = [weighted(*pair) for pair in zip(self.faces.corners, self.faces.dense, strict=True)]
        self.weights = torch.from_numpy(np.stack(weights)).to(device)
        self.judges = Judges().to(device).eval().requires_grad_(False)
        self.modules = nn.ModuleDict({"network": AutoencoderNet(self.network)})
        if device.type == "cuda":
            for half in halves(self.modules["network"]):
                half.compile(dynamic=False)

    def sized(self, images: Tensor) -> Tensor:
        """Return pictures (B, C, 128, 128) at the side of the network."""
        side = self.network.side
        return images if side == SIZE else functional.interpolate(images, size=(side, side), mode="area")

    def weight(self, rows: Integers) -> Tensor:
        """Return the weights of the pixels of rows, (B, 1, 128, 128) in 0..1: see ``weighted``."""
        return self.weights[torch.from_numpy(rows).to(self.device)].float()[:, None] / 255

    @torch.no_grad()
    def encoded(self, network: nn.Module, rows: Integers) -> Floats:
        """Return the codes of rows, (N, C) float32."""
        encoder, _ = halves(network.eval())
        parts = [
            encoder(self.sized(self.pixels.take(chunk))).float().cpu().numpy()
            for chunk in np.array_split(rows, max(1, len(rows) // 256))
        ]
        return np.concatenate(parts)

    @torch.no_grad()
    def decoded(self, network: nn.Module, codes: Floats) -> Tensor:
        """Return the pictures of codes, (N, 3, S, S) in 0..1."""
        _, decoder = halves(network.eval())
        parts = [
            decoder(torch.from_numpy(chunk).to(self.device)).float().clamp(0, 1)
            for chunk in np.array_split(codes, max(1, len(codes) // 128))
        ]
        return torch.cat(parts)

    def fitted(self, codes: Floats, *, encoder: str = "") -> Codes:
        """Return the tables over the codes of the training faces, (N, C)."""
        rows, settings = self.train_rows, self.settings
        return code_means.fit(
            codes,
            self.faces.attributes[rows],
            self.faces.pose[rows],
            [self.faces.identities[row] for row in rows],
            clusters=settings.clusters,
            donors=settings.donors,
            directions=settings.directions,
            least=settings.least,
            seed=self.recipe.seed,
            encoder=encoder,
        )

    def led(
        self, tables: Codes, codes: Floats, rows: Integers, variant: Variant, alpha: float = 1.0
    ) -> Floats:
        """Return the codes of rows after a variant, (N, C); what is drawn comes from the recipe's seed."""
        random = np.random.default_rng(self.recipe.seed)
        draws = random.standard_normal((len(rows), len(tables.directions))).astype(np.float32)
        kinds = [kind_of(100 * a[0], a[1], a[2:7], a[8]) for a in self.faces.attributes[rows]]
        return np.stack(
            [
                tables.lead(code, variant, alpha, kind, draw, pose=True)
                for code, kind, draw in zip(codes, kinds, draws, strict=True)
            ]
        )

    @torch.no_grad()
    def identities(self, images: Tensor) -> Floats:
        """Return the embeddings of pictures, (N, D) float32 of unit norm."""
        return np.concatenate(
            [self.judges.identity(chunk)[0].cpu().numpy() for chunk in torch.split(images, 64)]
        )

    def diversity(self, embeddings: Floats) -> float:
        """Return the mean of 1 - cosine over all pairs of embeddings (N, D): see ``incog.evaluate.quality``."""
        rows = embeddings.astype(np.float64)
        total = np.square(rows.sum(0)).sum() - np.square(rows).sum()
        return float(1 - total / (len(rows) * (len(rows) - 1)))

    @torch.no_grad()
    def looks(self, images: Tensor) -> Integers:
        """Return whether faces are told to be female and to smile, (N, 2) of 0 and 1."""
        told = [self.judges.attributes(chunk) for chunk in torch.split(images, 64)]
        pairs = [torch.stack([one["gender"][:, 1], one["expression"][:, 1]], 1) for one in told]
        return np.asarray((torch.cat(pairs) > 0.5).cpu().numpy(), np.int64)

    def sheet(self, network: nn.Module) -> Bytes:
        """Forty test faces, eight in a line: as they are, and below them what every variant makes of them."""
        network = rounded(network)
        rows = self.test[:: max(1, len(self.test) // (5 * _COLUMNS))][: 5 * _COLUMNS]
        codes = self.encoded(network, rows)
        images = [self.sized(self.pixels.take(rows)).cpu()]
        images += [self.decoded(network, moved).cpu() for moved in self.variants(network, codes, rows)]
        starts = range(0, len(rows), _COLUMNS)
        full = [
            functional.pad(line, (0, 0, 0, 0, 0, 0, 0, -len(line) % _COLUMNS), value=1) for line in images
        ]
        return tiled(
            torch.cat([line[start : start + _COLUMNS] for start in starts for line in full]), _COLUMNS
        )

    def variants(self, network: nn.Module, codes: Floats, rows: Integers) -> list[Floats]:
        """Return what all variants make of the codes of rows at alpha 1, (N, C) each."""
        tables = self.fitted(self.encoded(network, self.train_rows))
        return [self.led(tables, codes, rows, variant) for variant in VARIANTS]

    def sources(self) -> dict[str, int]:
        """Return how many faces there are of each source."""
        return {name: self.faces.sources.count(name) for name in dict.fromkeys(self.faces.sources)}


def weighted(corners: Floats, dense: Floats) -> Bytes:
    """Return how much each pixel of a face's picture counts, (128, 128) uint8 of 255: all inside the outline and a
    margin, a quarter around it, nothing beyond the picture's ``corners`` (4, 2). dense: (130, 2) px."""
    canvas = np.full((SIZE, SIZE), round(255 * _AROUND), np.uint8)
    hull = np.rint(outline.face_outline(dense, grow=_MARGIN) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [hull], 255, lineType=cv2.LINE_8, shift=4)
    return np.asarray(canvas * inside(corners), np.uint8)


def facts(side: int, code: int, data: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return what the cards of the encoder and of the decoder say."""
    picture = f"(B, 3, {side}, {side}) float32"
    return {
        "encoder": {
            "inputs": f"{picture}, RGB 0..255, in the template outline: incog.methods.autoencode",
            "outputs": f"code (B, {code}) float32, each number of mean 0 and variance 1 over faces",
            "output_names": ["code"],
            "data": dict(data),
        },
        "decoder": {
            "about": "Decoder of the autoencoder of faces: from a code to a picture.",
            "inputs": f"code (B, {code}) float32",
            "outputs": f"picture {picture}, RGB 0..1, in the template outline",
            "input_name": "code",
            "output_names": ["picture"],
            "data": dict(data),
        },
    }
