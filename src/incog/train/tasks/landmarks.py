"""Landmarks: dense points, head pose and their own doubt from a crop of a face, learnt from MediaPipe's mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog import points as dense
from incog.alignment import similarity
from incog.data.faces import gather, template
from incog.data.seeds import Integers, uniform
from incog.errors import InputError
from incog.perceive.landmarks import REACH, SIDE
from incog.train import augment
from incog.train.landmark_net import DEGREES, LandmarksNet, Network, Shipped
from incog.train.loop import Batch
from incog.train.meshes import borders, inside, labelled, read_labels
from incog.train.pixels import Pixels, tiled
from incog.train.recipe import Recipe
from incog.train.views import Views, moved, scaled
from incog.types import Bytes

OUTSIDE = 0.25
"""Weight of points that lie outside the picture, where the teacher guesses."""

WEIGHTS = {
    "outline": 0.7, "right_brow": 1.0, "left_brow": 1.0, "right_eye": 1.5, "left_eye": 1.5, "right_iris": 1.5,
    "left_iris": 1.5, "nose": 1.0, "outer_lips": 1.5, "inner_lips": 1.5,
}  # fmt: skip
"""Of the groups in the loss of the points."""

LOST = log(0.5)
"""Logarithm of the doubt that is asked for where there is no face, as a share of the face's scale."""

_DRAWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Weights of the losses, and how faces are shown.

    points: wing loss (Feng et al. 2018) of the points, in pixels of the crop, straight above ``wing`` and as steep as
    ``curve`` makes it below. pose, doubt: smooth L1. steady: squared distance of the points of two views of a face that
    differ as neighbouring frames do, for a share ``pairs`` of the batch. turn: degrees. zoom: as an exponent of 2.
    shift: in half sides. faceless: share of pictures with no face. least: of the teacher's quality.
    """

    points: float = 1.0
    pose: float = 1.0
    doubt: float = 0.1
    steady: float = 0.5
    pairs: float = 0.2
    wing: float = 6.0
    curve: float = 1.0
    turn: float = 30.0
    zoom: float = 0.3
    shift: float = 0.12
    faceless: float = 0.04
    least: float = 0.1


class Landmarks:
    """The task: see ``incog.train.loop.Task``. The source ``mesh`` is the file that ``incog.train.teachers`` wrote."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        self.recipe, self.device = recipe, device
        self.options = recipe.section("options", Options)
        labels = read_labels(data["mesh"])
        pictures = {name: path for name, path in data.items() if name != "mesh"}
        self.faces = gather(
            labelled(pictures, labels, self.options.least),
            name=recipe.template,
            size=recipe.size,
            cache=cache,
        )
        rows = [labels[key] for key in zip(self.faces.sources, self.faces.names, strict=True)]
        goal = template(recipe.template, recipe.size)
        matrices = np.stack([similarity(dense.five(row.points), goal) for row in rows])
        half = recipe.size / 2
        laid = np.einsum("npj,nij->npi", np.stack([row.points for row in rows]), matrices[:, :, :2])
        # In half sides from the middle, as torch's grids count.
        self.points = self._tensor((laid + matrices[:, None, :, 2] + 0.5 - half) / half)
        roll = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
        pose = np.stack([row.pose for row in rows]) + np.stack([0 * roll, 0 * roll, roll], 1)
        self.pose = self._tensor(pose / DEGREES)
        quality = np.minimum(np.array([row.quality for row in rows]) * 2, 1)
        shown = np.stack([inside(row) for row in rows])
        groups = np.ones(dense.COUNT)
        for name, group in dense.GROUPS.items():
            groups[group] = WEIGHTS[name]
        self.inside = self._tensor(shown)
        self.weights = self._tensor(quality[:, None] * groups * np.where(shown > 0, 1.0, OUTSIDE))
        self.mirror = torch.tensor(dense.MIRROR, device=device)
        self.train_rows, self.test = self.faces.rows("train").astype(np.int64), self.faces.rows("test")
        if not len(self.train_rows) or not len(self.test):
            raise InputError(f"{len(self.faces)} faces are too few to train on some and measure on others")
        self.items = len(self.train_rows)
        self.views = Views(
            Pixels(self.faces.pixels, device),
            self._tensor([borders(m, row.size, half) for m, row in zip(matrices, rows, strict=True)]),
            self.train_rows,
            name=recipe.template,
            size=recipe.size,
            side=SIDE,
            reach=REACH,
            seed=recipe.seed,
        )
        network = LandmarksNet(recipe.section("network", Network))
        with torch.no_grad():
            network.start_at((self.points[self._index(self.train_rows)].mean(0) / self.views.base).cpu())
        self.modules = nn.ModuleDict({"network": network})

    def _tensor(self, values: Any) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(self.device)

    def _index(self, rows: Integers) -> Tensor:
        return torch.from_numpy(np.asarray(rows, np.int64)).to(self.device)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        options, rows = self.options, self.train_rows[batch.items]
        draws = batch.uniform(_DRAWS)
        matrices = augment.similarity(
            augment.between(draws[:, 0], -1, 1) ** 3 * (0.6 * options.turn * np.pi / 180)
            + augment.between(draws[:, 1], -0.4, 0.4) * (options.turn * np.pi / 180),
            torch.exp2(augment.between(draws[:, 2], -1, 1) * options.zoom),
            augment.between(draws[:, 3], -1, 1) * options.shift,
            augment.between(draws[:, 4], -1, 1) * options.shift,
        )
        flips = draws[:, 5]
        shown = self.views.spoilt(self.views.show(rows, matrices, draws[:, 6:10], flips), draws[:, 10:32])
        targets, pose = self._targets(rows, matrices, flips)
        weights = self._weights(rows, flips)
        empty = draws[:, 32] < options.faceless
        self.views.empty(shown, empty, draws[:, 33:38])
        second = int(len(rows) * options.pairs)
        if second:
            near = augment.similarity(
                augment.between(draws[:second, 38], -0.04, 0.04),
                torch.exp2(augment.between(draws[:second, 39], -0.04, 0.04)),
                augment.between(draws[:second, 40], -0.03, 0.03),
                augment.between(draws[:second, 41], -0.03, 0.03),
            )
            other = augment.warp(shown[:second], near, SIDE)
            soft = functional.avg_pool2d(other, 3, 1, 1, count_include_pad=False)
            other = other.lerp(soft, draws[:second, 42, None, None, None])
            shown = torch.cat([shown, augment.colour(other, draws[:second, 43:51], strength=0.15)])
        with batch.quick:
            points, angles, doubt = self.modules["network"](
                shown.contiguous(memory_format=torch.channels_last)
            )
        count, keep = len(rows), (~empty).float()
        distance = (points[:count] - targets) * (SIDE / 2)
        weights = weights * keep[:, None]
        wing = _wing(distance.abs(), options.wing, options.curve).sum(2)
        result = {"points": options.points * (wing * weights).sum() / weights.sum().clamp(min=1e-6)}
        off = functional.smooth_l1_loss(angles[:count], pose, beta=0.1, reduction="none").mean(1)
        result["pose"] = options.pose * (off * keep).mean()
        error = (distance.detach().norm(dim=2) * weights).sum(1) / weights.sum(1).clamp(min=1e-6)
        wanted = torch.where(
            empty, torch.full_like(error, LOST), (error / self._scales(targets)).clamp(1e-3, 1).log()
        )
        result["doubt"] = options.doubt * functional.smooth_l1_loss(doubt[:count], wanted)
        if second:
            apart = ((points[count:] - moved(points[:second], near)) * (SIDE / 2)).square().sum(2)
            steady = (apart * weights[:second]).sum() / weights[:second].sum().clamp(min=1e-6)
            result["steady"] = options.steady * steady
        return result

    def _targets(self, rows: Integers, matrices: Tensor, flips: Tensor) -> tuple[Tensor, Tensor]:
        """Return points in half sides of the view and pose in DEGREES, for what ``Views.show`` makes of the same."""
        index = self._index(rows)
        points = moved(self.points[index], scaled(matrices, self.views.base))
        pose = self.pose[index].clone()
        # The view is turned by the inverse of output -> input.
        pose[:, 2] -= torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]) * (180 / np.pi) / DEGREES
        flipped = (flips < 0.5)[:, None]
        mirrored = points[:, self.mirror] * points.new_tensor([-1, 1])
        return (
            torch.where(flipped[:, :, None], mirrored, points),
            torch.where(flipped, pose * pose.new_tensor([-1, 1, -1]), pose),
        )

    def _weights(self, rows: Integers, flips: Tensor) -> Tensor:
        weights = self.weights[self._index(rows)]
        return torch.where((flips < 0.5)[:, None], weights[:, self.mirror], weights)

    @staticmethod
    def _scales(points: Tensor) -> Tensor:
        """Return the scale of the faces in pixels of the crop, (B,): see ``incog.points.scale``."""
        middle = points.mean(1, keepdim=True)
        return (points - middle).square().sum(2).mean(1).sqrt() * (1.12 * SIDE / 2)

    @torch.no_grad()
    def answers(self, network: nn.Module, rows: Integers, *, seed: int = 1) -> tuple[Tensor, ...]:
        """Return images, targets, pose and the network's points, pose, doubt for rows seen as a detector's points
        would show them: a little turned, zoomed and shifted, the same each time."""
        network.eval()
        parts: list[tuple[Tensor, ...]] = []
        for chunk in np.array_split(rows, max(1, len(rows) // 128)):
            chunk = chunk.astype(np.int64)
            drawn = torch.from_numpy(uniform(seed, chunk, np.zeros_like(chunk), 8)).to(self.device)
            matrices = augment.turned(drawn[:, 0:4], degrees=6, zoom=(0.93, 1.07), shift=0.04)
            straight = torch.ones_like(drawn[:, 0])
            draws = torch.zeros_like(drawn[:, 0:4])
            shown = self.views.show(chunk, matrices, draws, straight)
            targets, pose = self._targets(chunk, matrices, straight)
            parts.append(
                (shown, targets, pose, *network(shown.contiguous(memory_format=torch.channels_last)))
            )
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Errors on test faces: mean distance to the teacher's points that lie in the picture, in % of the distance of
        the irises, by group; of the pose in degrees; and how well the doubt ranks the faces."""
        rows = self.test[:: max(1, len(self.test) // 2000)].astype(np.int64)
        _, targets, pose, points, angles, doubt = self.answers(network, rows)
        known = self.inside[self._index(rows)]
        eyes = (targets[:, dense.RIGHT_IRIS.start] - targets[:, dense.LEFT_IRIS.start]).norm(dim=1)
        error = 100 * (points - targets).norm(dim=2) / eyes[:, None]

        def nme(*groups: str) -> float:
            columns = np.concatenate([np.arange(dense.COUNT)[dense.GROUPS[name]] for name in groups])
            return float((error * known)[:, columns].sum() / known[:, columns].sum())

        each = (error * known).sum(1) / known.sum(1)
        ranks = np.stack([np.argsort(np.argsort(v.cpu().numpy())) for v in (each, doubt)]).astype(float)
        off = (angles - pose).abs().mean(0) * DEGREES
        return {
            "nme": nme(*dense.GROUPS),
            "nme_outline": nme("outline"),
            "nme_brows": nme("right_brow", "left_brow"),
            "nme_eyes": nme("right_eye", "left_eye"),
            "nme_irises": nme("right_iris", "left_iris"),
            "nme_nose": nme("nose"),
            "nme_mouth": nme("outer_lips", "inner_lips"),
            "failures_above_10": float((each > 10).float().mean()),
            "yaw_degrees": float(off[0]),
            "pitch_degrees": float(off[1]),
            "roll_degrees": float(off[2]),
            "doubt_rank_correlation": float(np.corrcoef(ranks)[0, 1]),
            "faces": float(len(rows)),
        }

    def sheet(self, network: nn.Module) -> Bytes:
        """Twenty-four test faces of all sources with the network's points (green) and the teacher's (red)."""
        rows = self.test[:: max(1, len(self.test) // 24)][:24].astype(np.int64)
        images, targets, _, points, _, _ = self.answers(network, rows)
        drawn = []
        for image, truth, found in zip(images, targets, points, strict=True):
            canvas = np.ascontiguousarray((image.permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8))
            canvas = cv2.resize(canvas, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_CUBIC)
            for values, colour in ((truth, (255, 60, 60)), (found, (60, 255, 60))):
                for x, y in ((values.cpu().numpy() + 1) * SIDE - 0.5).tolist():
                    cv2.circle(canvas, (round(x), round(y)), 1, colour, -1)
            drawn.append(torch.from_numpy(canvas).permute(2, 0, 1).float() / 255)
        return tiled(torch.stack(drawn), 6)

    def example(self) -> Tensor:
        images, *_ = self.answers(self.modules["network"], self.test[:8].astype(np.int64))
        return images * 255

    def shipped(self, network: nn.Module) -> nn.Module:
        return Shipped(network)

    def card(self) -> dict[str, Any]:
        sources = {name: self.faces.sources.count(name) for name in dict.fromkeys(self.faces.sources)}
        return {
            "inputs": "(B, 3, 112, 112) float32, RGB 0..255, aligned by five points: incog.perceive.landmarks.crop",
            "outputs": "points (B, 130, 2) px of the crop, see incog.points; pose (B, 3) yaw, pitch, roll in degrees; "
            "doubt (B,): expected mean error of the points as a share of the distance of the irises, up to 1",
            "output_names": ["points", "pose", "doubt"],
            "data": sources,
        }


def _wing(distance: Tensor, width: float, curve: float) -> Tensor:
    """Return the wing loss of distances (Feng et al. 2018, eq. 5): a logarithm up to ``width``, then a line."""
    near = width * torch.log1p(distance / curve)
    return torch.where(distance < width, near, distance - width + width * log(1 + width / curve))
