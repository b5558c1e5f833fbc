"""The face identity transformer on faces that it was not trained on: figures, and a sheet to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog import points as dense
from incog.data.seeds import Integers, uniform
from incog.train import keyed
from incog.train.judges import Judges
from incog.train.likeness import dssim
from incog.train.pixels import Pixels, tiled
from incog.train.portraits import SIZE
from incog.train.transformer_net import Network
from incog.types import Bytes

FACES = 192
"""Held-out faces that figures are measured on."""

STRANGERS = 0.34
"""Cosine of the package's embedder that one in a thousand pairs of different people exceeds."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Held-out faces and who judges them.

    pixels, depths: of all portraits, of which ``rows`` are held out. side: of the network's pictures. laid: whether new
    faces are laid into their pictures, or are all of them.
    """

    pixels: Pixels
    depths: Pixels
    judges: Judges
    rows: Integers
    side: int
    network: Network
    laid: bool

    @torch.no_grad()
    def answers(self, network: nn.Module, rows: Integers) -> tuple[Tensor, ...]:
        """Return I, A1, A2, R, WR1, WR2 of rows, (N, 3, S, S) each, with keys that are the same each time."""
        network.eval()
        parts: list[tuple[Tensor, ...]] = []
        side, width = self.side, self.network.key
        for chunk in np.array_split(rows, max(1, len(rows) // 32)):
            images = self.pixels.take(chunk)
            if side != SIZE:
                images = functional.interpolate(images, size=(side, side), mode="area")
            drawn = torch.from_numpy(uniform(1, chunk, np.zeros_like(chunk), 4 * width)).to(images.device)
            right, other, wrong, stray = keyed.signs(drawn).chunk(4, 1)
            scale = self.network.size_of_a_sign
            masks = keyed.usual_masks(
                functional.interpolate(self.depths.take(chunk), (side, side), mode="area")
            )
            if not self.laid:
                masks = torch.ones_like(masks)
            first, second = (images.lerp(network(images, key * scale), masks) for key in (right, other))
            whole = (masks > 0).float()
            turned = [first.lerp(network(first, key * scale), whole) for key in (-right, wrong, stray)]
            parts.append((images, first, second, *turned))
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    @torch.no_grad()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """Cosines of the package's embedder between the stages, the share of faces that pass for the same person, how
        far the recovered picture is from the original, and how far the five points moved, in pixels of 128."""
        rows = self.rows[:: max(1, len(self.rows) // FACES)][:FACES]
        image, first, second, recovered, wrong, stray = self.answers(network, rows)
        stages = {"a": first, "b": second, "r": recovered, "wr": wrong, "xr": stray, "i": image}
        who = {name: self._embedded(pictures) for name, pictures in stages.items()}

        def cosine(one: str, two: str) -> Tensor:
            return (who[one] * who[two]).sum(1)

        pairs = {
            "a_i": ("a", "i"),
            "wr_i": ("wr", "i"),
            "r_i": ("r", "i"),
            "a_b": ("a", "b"),
            "wr_a": ("wr", "a"),
        }
        figures = {f"cosine_{name}": float(cosine(*pair).mean()) for name, pair in pairs.items()}
        figures["cosine_wr_xr"] = float(cosine("wr", "xr").mean())
        for name in ("a_i", "wr_i", "r_i"):
            figures[f"same_{name}"] = float((cosine(*pairs[name]) > STRANGERS).float().mean())
        figures["recovery_l1"] = float((recovered - image).abs().mean())
        figures["recovery_dssim"] = float(dssim(recovered, image).mean())
        figures["wrong_l1"] = float((wrong - image).abs().mean())
        outside = 1 - keyed.usual_masks(self.depths.take(rows))
        outside = functional.interpolate(outside, size=image.shape[-2:], mode="area")
        figures["background_l1"] = float(((first - image).abs() * outside).sum() / (3 * outside.sum()))
        five = list(dense.FIVE)
        moved = [
            (self.judges.points(p)[:, five] - self.judges.points(image)[:, five]).norm(dim=2)
            for p in (first, recovered)
        ]
        figures["shift_a"], figures["shift_r"] = (float(value.mean()) * SIZE / 2 for value in moved)
        return {**figures, "faces": float(len(rows))}

    def _embedded(self, pictures: Tensor) -> Tensor:
        return torch.cat(
            [self.judges.identity(part)[0] for part in pictures.chunk(max(1, len(pictures) // 32))]
        )

    def sheet(self, network: nn.Module) -> Bytes:
        """Held-out faces, two to a row: original, two keys, recovered, recovered with a wrong key."""
        rows = self.rows[:: max(1, len(self.rows) // 16)][:16]
        columns = self.answers(network, rows)[:5]
        return tiled(torch.stack(columns, 1).flatten(0, 1), 10)
