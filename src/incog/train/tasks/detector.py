"""Detector: finds faces, their boxes and five points; it learns CenterFace's boxes on collages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from incog.perceive.detector import non_maximum_suppression
from incog.train import cutouts
from incog.train.canvas import Collage, varied
from incog.train.collages import Maker
from incog.train.loop import Batch
from incog.train.nets_detector import REACH, STRIDES, DetectorNet, Network, Shipped, cells, decode
from incog.train.recipe import Recipe
from incog.types import Bytes, Floats

RANGES = ((0.0, 40.0), (28.0, 100.0), (72.0, 1e9))
"""Longer sides of the faces that each level learns; where two overlap both learn them."""

ROOM = 32
"""Pixels by which collages are larger than the views of them."""

HELD_OUT = 160
SIDE = 320
"""Number and side in pixels of the held-out collages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """items: collages at hand; each is seen in ``views`` ways before it is drawn anew, for drawing takes time.

    limit: pictures of each source without names.

    box, points: weights of their losses, beside 1 of the score's. floor: the score aimed at where a box still is
    wrong; it rises to 1 with the box's overlap. slope, shift: of the logits in the file that ships.
    """

    items: int = 6000
    views: int = 4
    limit: int = 2500
    box: float = 2.0
    points: float = 1.0
    floor: float = 0.5
    slope: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Targets:
    """What each cell of a batch should say, levels one after the other, pictures outermost.

    face: (B, N) int64, the row of ``boxes`` that it should tell, or -1. ignored: (B, N) bool. boxes (F, 4), points
    (F, 5, 2) float32 px. middles (N, 2), strides (N,): of the cells.
    """

    face: Tensor
    ignored: Tensor
    boxes: Tensor
    points: Tensor
    middles: Tensor
    strides: Tensor


def assign(collages: Sequence[Collage], side: int) -> Targets:
    """Return which cells learn which faces: those around a face's middle, on the level of its size.

    A cell within reach of two faces takes the smaller. Cells in what is neither a face nor none learn no score.
    """
    sides = [side // stride for stride in STRIDES]
    starts = np.cumsum([0, *(length * length for length in sides)])
    face = np.full((len(collages), starts[-1]), -1, np.int64)
    ignored = np.zeros((len(collages), starts[-1]), bool)
    boxes = np.concatenate([collage.boxes for collage in collages])
    points = np.concatenate([collage.points for collage in collages])
    first = 0
    for number, collage in enumerate(collages):
        extents = collage.boxes[:, 2:] - collage.boxes[:, :2]
        for row in np.argsort(-extents.prod(1)):
            box, size = collage.boxes[row], float(extents[row].max())
            for level, (stride, (low, high)) in enumerate(zip(STRIDES, RANGES, strict=True)):
                here = slice(starts[level], starts[level + 1])
                if not collage.sure[row]:
                    x0, y0, x1, y1 = np.clip(np.round(box / stride), 0, sides[level]).astype(int)
                    ignored[number, here].reshape(sides[level], -1)[y0:y1, x0:x1] = True
                elif low <= size < high:
                    radius = float(np.clip(0.2 * size / stride, 0.75, 1.6))
                    x, y = (box[:2] + box[2:]) / 2 / stride - 0.5
                    columns = np.arange(
                        max(int(np.ceil(x - radius)), 0), min(int(x + radius) + 1, sides[level])
                    )
                    rows = np.arange(max(int(np.ceil(y - radius)), 0), min(int(y + radius) + 1, sides[level]))
                    near = np.hypot(rows[:, None] - y, columns[None] - x) <= radius
                    at = (rows[:, None] * sides[level] + columns[None])[near] + starts[level]
                    face[number, at] = first + row
        first += len(collage.boxes)
    middles = torch.cat([cells(side, side, stride).reshape(-1, 2) for stride in STRIDES])
    strides = torch.cat(
        [torch.full((length**2,), float(s)) for length, s in zip(sides, STRIDES, strict=True)]
    )
    return Targets(
        torch.from_numpy(face), torch.from_numpy(ignored & (face < 0)),
        torch.from_numpy(boxes), torch.from_numpy(points), middles, strides,
    )  # fmt: skip


def flat(maps: Sequence[Tensor]) -> Tensor:
    """Return the maps of all levels as (B, N, 15)."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in maps], 1).float()


def overlaps(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalised IoU (Rezatofighi et al. 2019), (N,) each, of boxes (N, 4) pair by pair."""
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    common = (high - low).clamp(min=0).prod(1)
    areas = (first[:, 2:] - first[:, :2]).prod(1) + (second[:, 2:] - second[:, :2]).prod(1)
    union = areas - common
    hull = torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])
    whole = hull.prod(1).clamp(min=1e-6)
    iou = common / union.clamp(min=1e-6)
    return iou, iou - (whole - union) / whole


def loss(maps: Sequence[Tensor], targets: Targets, options: Options) -> dict[str, Tensor]:
    """Return the losses of score (quality focal loss, Li et al. 2020), box and points."""
    values = flat(maps)
    logits = values[..., 0]
    picture, cell = torch.nonzero(targets.face >= 0, as_tuple=True)
    rows = targets.face[picture, cell]
    boxes, points = decode(values[picture, cell, 1:], targets.middles[cell], targets.strides[cell])
    goal = targets.boxes[rows]
    iou, generalised = overlaps(boxes, goal)
    wanted = torch.zeros_like(logits)
    wanted[picture, cell] = options.floor + (1 - options.floor) * iou.detach()
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    weight = (torch.sigmoid(logits).detach() - wanted).square() * ~targets.ignored
    count = max(len(rows), 1)
    # In units of the face: a pixel matters more to a small one.
    size = (goal[:, 2:] - goal[:, :2]).amax(1).clamp(min=1)[:, None, None]
    away = (points - targets.points[rows]) / size * REACH
    return {
        "score": (entropy * weight).sum() / count * 2,
        "box": options.box * (1 - generalised).sum() / count,
        "points": options.points * functional.smooth_l1_loss(away, torch.zeros_like(away), reduction="sum", beta=0.1)
        / (10 * count),
    }  # fmt: skip


@torch.no_grad()
def detect(network: nn.Module, images: Tensor, least: float) -> list[tuple[Floats, Floats, Floats]]:
    """Return boxes (N, 4), scores (N,) and points (N, 5, 2) in each of the images (B, 3, H, W), R'G'B' in 0..1."""
    height, width = images.shape[2:]
    values = flat(network(images)).cpu()
    middles = torch.cat([cells(height, width, stride).reshape(-1, 2) for stride in STRIDES])
    strides = torch.cat([torch.full((height // s * (width // s),), float(s)) for s in STRIDES])
    found = []
    for rows in values:
        scores = torch.sigmoid(rows[:, 0])
        here = torch.nonzero(scores > least)[:, 0]
        boxes, points = decode(rows[here, 1:], middles[here], strides[here])
        keep = non_maximum_suppression(boxes.numpy(), scores[here].numpy(), 0.35)
        found.append((boxes.numpy()[keep], scores[here].numpy()[keep], points.numpy()[keep]))
    return found


class Detector:
    """The task: see ``incog.train.loop.Task``."""

    def __init__(
        self, recipe: Recipe, data: Mapping[str, Path], device: torch.device, cache: Path | None = None
    ) -> None:
        self.recipe, self.device = recipe, device
        self.options = recipe.section("options", Options)
        # One thread more would take the processor from the network's own.
        cv2.setNumThreads(1)
        sources = {name: path for name, path in data.items() if name != "scenes"}
        train = cutouts.load(sources, "train", limit=self.options.limit, cache=cache)
        scenes = cutouts.scenes(data.get("scenes"), "train")
        self.facts = {"faces": len(train), "photos": len(scenes.photos), "stamps": len(scenes.stamps)}
        self.maker = Maker(train, scenes, seed=recipe.seed)
        self.items = self.options.items
        self._drawn: dict[int, tuple[tuple[int, int], Collage]] = {}
        self.modules = nn.ModuleDict({"network": DetectorNet(recipe.section("network", Network))})
        held = Maker(
            cutouts.load(sources, "dev", limit=200, cache=cache),
            cutouts.scenes(data.get("scenes"), "dev"),
            seed=-1 % 2**31,
        )
        self.held = [held.draw(np.random.default_rng([1, n]), SIDE) for n in range(HELD_OUT)]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        side = batch.resolution
        drawn = [
            self._view(batch.seed, int(item), int(epoch), side)
            for item, epoch in zip(batch.items, batch.epochs, strict=True)
        ]
        images = tensor([collage.pixels for collage in drawn], self.device)
        targets = assign(drawn, side)
        moved = Targets(*(getattr(targets, name).to(self.device) for name in Targets.__slots__))
        with batch.quick:
            maps = self.modules["network"](images)
        return loss(maps, moved, self.options)

    def _view(self, seed: int, item: int, epoch: int, side: int) -> Collage:
        """Return the picture of an item in an epoch. Items are drawn anew in turns, not all in one epoch."""
        number = (epoch + item) // self.options.views
        key = (number, side + ROOM)
        if item not in self._drawn or self._drawn[item][0] != key:
            collage = self.maker.draw(np.random.default_rng([seed, item, number]), side + ROOM)
            self._drawn[item] = (key, collage)
        return varied(np.random.default_rng([seed, item, epoch, 1]), self._drawn[item][1], side)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Recall and false boxes at IoU .5 on collages of people and scenes that were not trained on."""
        network.eval()
        scores: list[Floats] = []
        right: list[Floats] = []
        faces, error = 0, []
        for start in range(0, len(self.held), 16):
            part = self.held[start : start + 16]
            results = detect(network, tensor([c.pixels for c in part], self.device), 0.1)
            for collage, (boxes, values, points) in zip(part, results, strict=True):
                kinds, pairs = judged(boxes, collage)
                counted = kinds >= 0
                scores.append(values[counted])
                right.append(kinds[counted])
                faces += int(collage.sure.sum())
                sizes = (collage.boxes[:, 2:] - collage.boxes[:, :2]).max(1)
                error += [
                    float(np.linalg.norm(points[a] - collage.points[b], axis=1).mean() / sizes[b])
                    for a, b in pairs
                ]
        value, good = np.concatenate(scores), np.concatenate(right) > 0
        figures = {"faces": float(faces), "point_error": float(np.mean(error)) if error else 1.0}
        for threshold in (0.25, 0.4, 0.6):
            figures[f"recall_at_{threshold:g}"] = float((good & (value >= threshold)).sum() / max(faces, 1))
            figures[f"false_per_picture_at_{threshold:g}"] = float(
                (~good & (value >= threshold)).sum() / len(self.held)
            )
        return figures

    def sheet(self, network: nn.Module) -> Bytes:
        """Twelve held-out collages with what was found: green for faces, red for false boxes, blue for missed faces."""
        network.eval()
        part = self.held[:12]
        drawn = []
        results = detect(network, tensor([c.pixels for c in part], self.device), 0.4)
        for collage, (boxes, _, _) in zip(part, results, strict=True):
            picture = collage.pixels.copy()
            kinds, pairs = judged(boxes, collage)
            for box, kind in zip(boxes.astype(int).tolist(), kinds, strict=True):
                colour = (0, 255, 0) if kind > 0 else (255, 0, 0) if kind == 0 else (160, 160, 160)
                cv2.rectangle(picture, box[:2], box[2:], colour, 1)
            met = {row for _, row in pairs}
            for row, box in enumerate(collage.boxes.astype(int).tolist()):
                if collage.sure[row] and row not in met:
                    cv2.rectangle(picture, box[:2], box[2:], (0, 80, 255), 1)
            drawn.append(picture)
        return np.vstack([np.hstack(drawn[row : row + 4]) for row in range(0, 12, 4)])

    def example(self) -> Tensor:
        return tensor([collage.pixels for collage in self.held[:4]], self.device) * 255

    def shipped(self, network: nn.Module) -> nn.Module:
        assert isinstance(network, DetectorNet)
        return Shipped(network, slope=self.options.slope, shift=self.options.shift)

    def card(self) -> dict[str, Any]:
        height, width = 32 * torch.export.Dim("height"), 32 * torch.export.Dim("width")
        return {
            "inputs": "(B, 3, H, W) float32, R'G'B' 0..255, H and W multiples of 32",
            "outputs": "score, centre, logarithm of size and points of each cell: (B, 15, H / s, W / s), s = "
            + ", ".join(map(str, STRIDES)),
            "output_names": [f"level{stride}" for stride in STRIDES],
            "dynamic": {0: "batch", 2: height, 3: width},
            "data": self.facts,
        }


def tensor(pictures: Sequence[Bytes], device: torch.device) -> Tensor:
    """Return pictures (H, W, 3) as (B, 3, H, W) float32 in 0..1, channels last."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2)
    return stacked.float().mul_(1 / 255).contiguous(memory_format=torch.channels_last)


def judged(boxes: Floats, collage: Collage, least: float = 0.5) -> tuple[Floats, list[tuple[int, int]]]:
    """Return what each box (N, 4), best first, is: 1 a face, 0 false, -1 neither, and the pairs of box and face."""
    kinds = np.zeros(len(boxes), np.float32)
    pairs: list[tuple[int, int]] = []
    free = collage.sure.copy()
    for number, box in enumerate(boxes):
        if not len(collage.boxes):
            break
        low, high = np.maximum(box[:2], collage.boxes[:, :2]), np.minimum(box[2:], collage.boxes[:, 2:])
        common = np.clip(high - low, 0, None).prod(1)
        area = (box[2:] - box[:2]).prod()
        iou = common / (area + (collage.boxes[:, 2:] - collage.boxes[:, :2]).prod(1) - common)
        best = int(np.argmax(np.where(free, iou, -1)))
        if free[best] and iou[best] >= least:
            free[best], kinds[number] = False, 1
            pairs.append((number, best))
        elif (~collage.sure & (common > 0.3 * area)).any():
            kinds[number] = -1
    return kinds, pairs
